package pattern

import (
	"regexp"
	"strings"
)

// Meant guesses which pattern was meant by one that is written as other routers
// have it: "/users/:id", "/files/*path", "/users/<int:id>". "" is no guess.
func Meant(s string) string {
	if len(s) > maxMeant || !strings.ContainsAny(s, ":<>()[?#$^.*%\\") && !strings.Contains(s, "//") && !strings.ContainsAny(s, "{ ") && strings.HasPrefix(s, "/") {
		return ""
	}
	text := s
	if len(text) > 0 && text[0] != '/' {
		text = absolute.ReplaceAllString(strings.TrimPrefix(text, "^"), "")
		if !strings.HasPrefix(text, "/") {
			text = "/" + text
		}
		text = strings.TrimSuffix(text, "$")
	}
	text = notSlash.ReplaceAllStringFunc(text, func(found string) string {
		if found[0] == '{' { // an expression of ours may have it
			return found
		}
		return "{name}"
	})
	if at := strings.IndexAny(text, "?#"); at > 0 && !strings.ContainsAny(text[:at], "{<[(:") {
		text = text[:at]
	}
	segments := strings.Split(text, "/")
	for i, segment := range segments {
		for _, f := range foreign {
			if !f.form.MatchString(segment) {
				continue
			}
			with := f.with
			if i == len(segments)-1 && f.last != "" {
				with = f.last
			}
			segments[i] = f.form.ReplaceAllString(segment, with)
			break
		}
	}
	meant := strings.ReplaceAll(strings.Join(segments, "/"), "//", "/")
	if meant == s {
		return ""
	}
	if _, err := Parse(meant); err != nil {
		return ""
	}
	return meant
}

// maxMeant bounds what is guessed about, in bytes.
const maxMeant = 200

var (
	absolute = regexp.MustCompile(`^https?://[^/]*`)
	notSlash = regexp.MustCompile(`\{(?:[^{}]|\{[^{}]*\})*\}|\(?\[\^/\][+*]\)?`)
)

// foreign are segments as other routers write them. What Parse takes for text is
// here only if hardly any path has it.
var foreign = []struct {
	form       *regexp.Regexp
	with, last string // last is for the last segment
}{
	{regexp.MustCompile(`^:([A-Za-z_]\w*)\((.+)\)$`), "{$1:$2}", ""},
	{regexp.MustCompile(`^:([A-Za-z_]\w*)\*$`), "{$1}", "*"},
	{regexp.MustCompile(`^:([A-Za-z_]\w*)[?+]?(\.\w+)?$`), "{$1}$2", ""},
	{regexp.MustCompile(`^<path:(\w+)>$`), "{$1}", "*"},
	{regexp.MustCompile(`^<int:(\w+)>$`), "{$1:[0-9]+}", ""},
	{regexp.MustCompile(`^<(?:\w+:)?(\w+)>$`), "{$1}", ""},
	{regexp.MustCompile(`^(?:\*|\{\*+|\[\.\.\.)(\w+)[}\]]?$`), "{$1}", "*"},
	{regexp.MustCompile(`^\{(\w+)(?:\.\.\.|\*+)\}$`), "{$1}", "*"},
	{regexp.MustCompile(`^(?:\*\*|\(?\.[*+]\)?|\{\*+\})$`), "{name}", "*"},
	{regexp.MustCompile(`^\*$`), "{name}", "*"},
	{regexp.MustCompile(`^\{(\w+):(?:int|integer|num|number|digits?)\}$`), "{$1:[0-9]+}", ""},
	{regexp.MustCompile(`^\{(\w+):(?:string|str|text|any|slug|word)?\}$`), "{$1}", ""},
	{regexp.MustCompile(`^\{:?\s*(\w+)\??\s*\}$`), "{$1}", ""},
	{regexp.MustCompile(`^(?:\{\{|\$\{|\[)\s*(\w+)\s*(?:\}\}|\}|\])$`), "{$1}", ""},
	{regexp.MustCompile(`^\(?(?:[%\\]d|\[0-9\])[+*]\)?$`), "{id:[0-9]+}", ""},
	{regexp.MustCompile(`^\(?(?:[%\\]w|\[[\w-]+\])[+*]\)?$`), "{name}", ""},
}
