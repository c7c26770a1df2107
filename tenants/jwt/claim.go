package jwt

import "strings"

// Claim returns a claim of a token by its path: names with dots between them lead into
// claims that are objects. A name that itself has dots (a URL, as some issuers have it)
// is found as it stands. The value is as encoding/json makes it.
func (t *Token) Claim(path string) (value any, ok bool) { return claimOf(t.claims, path) }

func claimOf(object map[string]any, path string) (value any, ok bool) {
	if value, ok := object[path]; ok {
		return value, true
	}
	for at := strings.IndexByte(path, '.'); at >= 0; {
		if inner, is := object[path[:at]].(map[string]any); is {
			if value, ok := claimOf(inner, path[at+1:]); ok {
				return value, true
			}
		}
		next := strings.IndexByte(path[at+1:], '.')
		if next < 0 {
			break
		}
		at += 1 + next
	}
	return nil, false
}

// Claims returns all claims. Nobody may change them.
func (t *Token) Claims() map[string]any { return t.claims }

// Expires returns when a token expires, in seconds since 1970; ok is false where it
// doesn't say so.
func (t *Token) Expires() (seconds float64, ok bool) {
	seconds, ok, err := date(t.claims, "exp")
	return seconds, ok && err == nil
}
