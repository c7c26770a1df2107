package jwt

import "crypto/sha256"

// maxParsed bounds the keys that a tenant keeps parsed.
const maxParsed = 64

// parsedID names a parsed key without holding its text.
type parsedID struct {
	sum     [sha256.Size]byte
	private bool
}

// Parsed returns what ParseKey has made of a text, or nil: parsing costs more
// than verifying.
func (s *KeySets) Parsed(text string, private bool) any {
	id := parsedID{sha256.Sum256([]byte(text)), private}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.parsed[id]
}

// ParseKey makes a key of PEM, a public one, or a private one where private is
// asked for, and a secret ([]byte) of anything else. It is kept.
func (s *KeySets) ParseKey(text string, private bool) (any, error) {
	key, err := parseKey(text, private)
	if err != nil {
		return nil, err
	}
	id := parsedID{sha256.Sum256([]byte(text)), private}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.parsed) >= maxParsed || s.parsed == nil {
		s.parsed = map[parsedID]any{} // so many keys are none that come again
	}
	s.parsed[id] = key
	return key, nil
}
