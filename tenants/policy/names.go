package policy

import "strings"

// Folded is the form in which names of fields are compared: in lower case, with
// underscores taken for hyphens, as CGI programs do. Otherwise a client's X_User would
// reach an application as the X-User that a policy has looked for.
func Folded(name string) string { return strings.ReplaceAll(strings.ToLower(name), "_", "-") }

// SameName reports whether a name is that one, which is folded.
func SameName(name []byte, folded string) bool {
	if len(name) != len(folded) {
		return false
	}
	for i, c := range name {
		if c == '_' {
			c = '-'
		} else if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != folded[i] {
			return false
		}
	}
	return true
}
