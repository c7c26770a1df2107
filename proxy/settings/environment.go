package settings

import (
	"errors"
	"fmt"
	"strings"
)

// lookup looks a name up, as os.LookupEnv does.
type lookup func(name string) (value string, ok bool)

// expand replaces ${NAME} and ${NAME:-default} in text and turns $${ into ${. A
// $ that no brace follows is literal. As in a shell, :- also covers a variable
// that is set but empty. What a variable holds is not expanded again.
func expand(text string, getenv lookup) (string, error) {
	if !strings.Contains(text, "${") {
		return text, nil
	}
	var out strings.Builder
	for {
		at := strings.Index(text, "${")
		if at < 0 {
			out.WriteString(text)
			return out.String(), nil
		}
		if at > 0 && text[at-1] == '$' {
			out.WriteString(text[:at-1] + "${")
			text = text[at+2:]
			continue
		}
		out.WriteString(text[:at])
		end := strings.IndexByte(text[at:], '}')
		if end < 0 {
			return "", errors.New("unfinished ${: expected ${NAME} or ${NAME:-default}; write $${ for a literal ${")
		}
		value, err := variable(text[at+2:at+end], getenv)
		if err != nil {
			return "", err
		}
		out.WriteString(value)
		text = text[at+end+1:]
	}
}

// variable returns the value of what stands between the braces.
func variable(inner string, getenv lookup) (string, error) {
	name, fallback, hasFallback := strings.Cut(inner, ":-")
	if !isName(name) || strings.Contains(fallback, "${") {
		return "", fmt.Errorf("bad variable %q: expected ${NAME} or ${NAME:-default}, with a name of letters, digits and _;"+
			" write $${ for a literal ${", clip("${"+name))
	}
	value, ok := getenv(name)
	switch {
	case hasFallback && value == "":
		return fallback, nil
	case !ok:
		return "", fmt.Errorf("environment variable %s is not set: expected a value, or a default as in ${%s:-default}", name, name)
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
