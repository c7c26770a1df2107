package exchange

import (
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// MaxFieldName bounds a name of identity_fields, in bytes.
const MaxFieldName = 63

// FieldSet is a set of field names, compared without case and with underscores
// taken for hyphens, as CGI programs do.
type FieldSet struct {
	shapes [MaxFieldName + 1]uint32 // by length, a bit for each first letter: most names aren't compared at all
	names  [MaxFieldName + 1][]string
}

// NewFieldSet returns the set of these names; what is longer than MaxFieldName is
// left out.
func NewFieldSet(names []string) (s FieldSet) {
	for _, name := range names {
		name = strings.ReplaceAll(strings.ToLower(name), "_", "-")
		if len(name) == 0 || len(name) > MaxFieldName {
			continue // which check has refused
		}
		s.shapes[len(name)] |= 1 << (name[0] & 31)
		s.names[len(name)] = append(s.names[len(name)], name)
	}
	return s
}

func (s *FieldSet) has(name []byte) bool {
	return len(name) <= MaxFieldName && s.shapes[len(name)]&(1<<(name[0]&31)) != 0 && s.find(name)
}

func (s *FieldSet) find(name []byte) bool {
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

// dropIdentity removes what only a trusted proxy may say of the client, and what
// only the gateway may.
func (x *exchange) dropIdentity(h message.Header) {
	if x.certs != nil {
		x.certs.drop(h)
	}
	if x.origin.trusted {
		return
	}
	set := &x.Generation.Identity
	for i := range h {
		if f := &h[i]; f.ID == message.XForwardedAny || f.ID == message.Unknown && set.has(f.Name) {
			f.Dropped = true
		}
	}
}
