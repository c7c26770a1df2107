package message

import "strings"

// MaxSetName bounds a name in a NameSet, in bytes.
const MaxSetName = 63

// NameSet is a set of field names, compared without case and with underscores
// taken for hyphens, as CGI programs do. A name that ends with "*" stands for all
// that begin so. The zero set is empty.
type NameSet struct {
	shapes   [MaxSetName + 1]uint32 // by length, a bit for each first letter: most names aren't compared at all
	names    [MaxSetName + 1][]string
	prefixes []string
	some     bool
}

// NewNameSet returns the set of these names; what is longer than MaxSetName is
// left out.
func NewNameSet(names []string) (s NameSet) {
	for _, name := range names {
		name = strings.ReplaceAll(strings.ToLower(name), "_", "-")
		if len(name) == 0 || len(name) > MaxSetName {
			continue // which check has refused
		}
		s.some = true
		if prefix, open := strings.CutSuffix(name, "*"); open {
			s.prefixes = append(s.prefixes, prefix)
			continue
		}
		s.shapes[len(name)] |= 1 << (name[0] & 31)
		s.names[len(name)] = append(s.names[len(name)], name)
	}
	return s
}

// Has reports whether a name is in the set.
func (s *NameSet) Has(name []byte) bool {
	if len(name) > 0 && len(name) <= MaxSetName && s.shapes[len(name)]&(1<<(name[0]&31)) != 0 && s.find(name) {
		return true
	}
	for _, prefix := range s.prefixes {
		if len(name) >= len(prefix) && sameSpelling(name[:len(prefix)], prefix) {
			return true
		}
	}
	return false
}

func (s *NameSet) find(name []byte) bool {
	for _, candidate := range s.names[len(name)] {
		if sameSpelling(name, candidate) {
			return true
		}
	}
	return false
}

func sameSpelling(name []byte, lower string) bool {
	for i, c := range name {
		if c == '_' {
			c = '-'
		} else if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// Drop marks the fields of a header that are in the set as Dropped.
func (s *NameSet) Drop(h Header) {
	if !s.some {
		return
	}
	for i := range h {
		if f := &h[i]; s.Has(f.Name) {
			f.Dropped = true
		}
	}
}
