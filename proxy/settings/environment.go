package settings

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Variables are what stands for ${…} in values.
type Variables struct {
	// Env looks a name up, as os.LookupEnv does; nil is that none is set.
	Env func(name string) (value string, ok bool)
	// File reads the file of ${file:PATH}; PATH is as written, with the names in
	// it expanded. nil refuses all. What it returns is a secret: it is in no
	// message, and Effective masks the values that it is in.
	File func(path string) (content []byte, err error)
	// Unset says more of a name that isn't set, such as where it is known, with "; "
	// before it. nil says nothing.
	Unset func(name string) string
}

// expand replaces ${NAME}, ${NAME:-default} and ${file:PATH} in text and turns
// $${ into ${. A $ that no brace follows is literal. As in a shell, :- also
// covers a variable that is set but empty. What a variable or a file holds is not
// expanded again. secrets are what files have given.
func expand(text string, vars *Variables) (expanded string, secrets []string, err error) {
	if !strings.Contains(text, "${") {
		return text, nil, nil
	}
	parts, secrets, err := expandTo(text, vars, nil)
	if err != nil || len(parts) == 0 {
		return "", secrets, err
	}
	return parts[0].Text, secrets, nil // nothing is left for later
}

// expandTo is expand for a value in which variables with the names of later are
// left, each as a part of its own. No two texts follow each other.
func expandTo(text string, vars *Variables, later []string) (parts []Part, secrets []string, err error) {
	add := func(text string) {
		if n := len(parts); n > 0 && parts[n-1].Variable == "" {
			parts[n-1].Text += text
		} else if text != "" {
			parts = append(parts, Part{Text: text})
		}
	}
	for {
		at := strings.Index(text, "${")
		if at < 0 {
			add(text)
			return parts, secrets, nil
		}
		if at > 0 && text[at-1] == '$' {
			add(text[:at-1] + "${")
			text = text[at+2:]
			continue
		}
		add(text[:at])
		inner, rest, ok := cutVariable(text[at+2:])
		if !ok {
			return nil, nil, errors.New("unfinished ${: expected ${NAME}, ${NAME:-default} or ${file:PATH}; write $${ for a literal ${")
		}
		text = rest
		var value string
		if path, isFile := cutFile(inner); isFile {
			if value, err = content(path, vars); err == nil {
				secrets = append(secrets, value)
			}
		} else if slices.Contains(later, inner) {
			parts = append(parts, Part{Variable: inner})
		} else if value, err = variable(inner, vars); err != nil || len(later) > 0 {
			err = ofLater(inner, later, err)
		}
		if err != nil {
			return nil, nil, err
		}
		add(value)
	}
}

// cutVariable returns what stands before the closing brace. A path may have
// variables in it.
func cutVariable(text string) (inner, rest string, ok bool) {
	from := 0
	if _, isFile := cutFile(text); isFile {
		for {
			open, end := strings.Index(text[from:], "${"), strings.IndexByte(text[from:], '}')
			if open < 0 || end < open {
				break
			}
			from += end + 1
		}
	}
	end := strings.IndexByte(text[from:], '}')
	if end < 0 {
		return "", "", false
	}
	return text[:from+end], text[from+end+1:], true
}

// cutFile returns the path of file:PATH. file:-x is the variable "file" with a
// default.
func cutFile(inner string) (path string, ok bool) {
	path, ok = strings.CutPrefix(inner, "file:")
	return path, ok && !strings.HasPrefix(path, "-")
}

// content returns what a file holds, without the newline at its end.
func content(path string, vars *Variables) (string, error) {
	if strings.Contains(path, "${") {
		full, _, err := expand(path, &Variables{Env: vars.Env, Unset: vars.Unset})
		if err != nil {
			return "", err
		}
		path = full
	}
	where := clip("${file:" + path + "}")
	switch {
	case path == "":
		return "", errors.New("${file:} has no path, expected one like ${file:/run/secrets/token}")
	case vars.File == nil:
		return "", fmt.Errorf("%s can't be used here, expected a value or ${NAME}", where)
	}
	raw, err := vars.File(path)
	if err != nil {
		hint := ""
		if strings.Contains(path, ":-") {
			hint = "; ${file:PATH} takes no default"
		}
		return "", fmt.Errorf("cannot read %s: %w%s", where, err, hint)
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(raw), "\n"), "\r")
	switch {
	case text == "":
		return "", fmt.Errorf("%s is empty, expected a value", where)
	case !utf8.ValidString(text) || strings.ContainsRune(text, 0):
		return "", fmt.Errorf("%s holds bytes that are no text, expected UTF-8 without NUL", where)
	}
	return text, nil
}

// variable returns the value of what stands between the braces.
func variable(inner string, vars *Variables) (string, error) {
	name, fallback, hasFallback := strings.Cut(inner, ":-")
	if !isName(name) || strings.Contains(fallback, "${") {
		return "", fmt.Errorf("bad variable %q: expected ${NAME} or ${NAME:-default}, with a name of letters, digits and _, or ${file:PATH};"+
			" write $${ for a literal ${", clip("${"+name))
	}
	value, ok := "", false
	if vars.Env != nil {
		value, ok = vars.Env(name)
	}
	switch {
	case hasFallback && value == "":
		return fallback, nil
	case !ok:
		more := ""
		if vars.Unset != nil {
			more = vars.Unset(name)
		}
		return "", fmt.Errorf("environment variable %s is not set: expected a value, or a default as in ${%s:-default}%s", name, name, more)
	}
	return value, nil
}

func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}
