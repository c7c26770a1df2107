package jwt

import "slices"

// Set is a key set that was given as text. It doesn't change.
type Set struct{ keys []setKey }

// ParseSet reads a key set (RFC 7517 section 5), and fails where it has no key that
// can verify.
func ParseSet(text []byte) (*Set, error) {
	keys, err := parseSet(text)
	if err != nil {
		return nil, err
	}
	return &Set{keys}, nil
}

// Find returns the keys that may have signed a token.
func (s *Set) Find(t *Token) []any { return fitting(s.keys, t) }

// ParseKey makes a public key of PEM, and a secret ([]byte) of anything else.
func ParseKey(text string) (any, error) { return parseKey(text, false) }

// Fits reports whether a key may be used with a token's algorithm.
func (t *Token) Fits(key any) bool { return slices.Contains(AlgorithmsOf(key), t.Algorithm) }

// Has reports whether keys of a URL are known, of whatever age.
func (s *KeySets) Has(url string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	set := s.sets[url]
	return set != nil && len(set.keys) > 0
}
