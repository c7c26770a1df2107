package certificates

import (
	"cmp"
	"crypto/tls"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Set is certificates by the names that clients ask for. It doesn't change, and
// may be used concurrently.
type Set struct {
	// Problems are what couldn't be used when the set was made, by their files.
	Problems []Problem

	byName   map[string]*choice // wildcards by what follows the asterisk: ".example.com"
	fallback *choice
	all      []*Certificate
	known    map[Pair]*Certificate
	stamps   map[Pair]stamps // of the files that were read
	seen     map[Pair]stamps // of those that have changed since, until they have been left alone
	bound    *bound
}

// choice is the certificates of one name, the preferred kind first.
type choice []*Certificate

var errNone = errors.New("there is no certificate")

// Choose returns the certificate for a client. It is tls.Config.GetCertificate.
// Once the certificate is ready it allocates nothing.
func (s *Set) Choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c := s.find(hello)
	if c == nil {
		return nil, errNone
	}
	return s.bound.use(c)
}

// Has reports whether there is a certificate for a name besides the default; a set
// that is nil has none.
func (s *Set) Has(name string) bool { return s != nil && s.named(name) != nil }

// find chooses among the certificates; nil is none.
func (s *Set) find(hello *tls.ClientHelloInfo) *Certificate {
	list := s.named(hello.ServerName)
	if list == nil {
		list = s.fallback
	}
	if list == nil {
		return nil
	}
	for _, c := range (*list)[:len(*list)-1] {
		if c.Kind.suits(hello) {
			return c
		}
	}
	return (*list)[len(*list)-1] // if not even that suits, the handshake says so
}

// maxName is the length of the longest name in DNS.
const maxName = 253

func (s *Set) named(name string) *choice {
	if name == "" || name[0] == '.' || len(name) > maxName {
		return nil
	}
	var buf [maxName]byte
	lower := buf[:len(name)]
	label := -1 // where the first one ends
	for i := range len(name) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		} else if c == '.' && label < 0 {
			label = i
		}
		lower[i] = c
	}
	if exact := s.byName[string(lower)]; exact != nil || label < 0 {
		return exact
	}
	return s.byName[string(lower[label:])]
}

// suits reports whether a client takes a certificate with such a key.
func (k Kind) suits(hello *tls.ClientHelloInfo) bool {
	if k == RSA {
		return true
	}
	wanted := [...]tls.SignatureScheme{ECDSA256: tls.ECDSAWithP256AndSHA256, ECDSA384: tls.ECDSAWithP384AndSHA384, ECDSA521: tls.ECDSAWithP521AndSHA512, Ed25519: tls.Ed25519}[k]
	if !slices.Contains(hello.SignatureSchemes, wanted) {
		return false
	}
	if slices.Contains(hello.SupportedVersions, tls.VersionTLS13) {
		return true
	}
	curve := [...]tls.CurveID{ECDSA256: tls.CurveP256, ECDSA384: tls.CurveP384, ECDSA521: tls.CurveP521, Ed25519: 0}[k]
	if curve != 0 && !slices.Contains(hello.SupportedCurves, curve) {
		return false
	}
	return slices.ContainsFunc(hello.CipherSuites, signsWithECDSA)
}

// signsWithECDSA says it of a cipher suite of TLS 1.2 that Go has; Ed25519 goes
// by them too (RFC 8422 §5.10).
func signsWithECDSA(suite uint16) bool {
	switch suite {
	case tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA:
		return true
	}
	return false
}

// newSet compiles certificates. The first is the default, with those of other
// kinds that are for its names. Of two of one kind for one name, the one that
// ends later counts.
func newSet(all []*Certificate, bound *bound) *Set {
	s := &Set{byName: map[string]*choice{}, all: all, known: make(map[Pair]*Certificate, len(all)), bound: bound}
	for _, c := range all {
		s.known[c.Pair] = c
		for _, name := range c.Names {
			s.add(strings.TrimPrefix(name, "*"), c)
		}
	}
	for _, list := range s.byName {
		slices.SortFunc(*list, func(a, b *Certificate) int { return int(a.Kind) - int(b.Kind) })
	}
	if len(all) > 0 {
		s.fallback = &choice{all[0]}
		if names := all[0].Names; len(names) > 0 {
			if same := s.byName[strings.TrimPrefix(names[0], "*")]; slices.Contains(*same, all[0]) {
				s.fallback = same
			}
		}
	}
	return s
}

func (s *Set) add(name string, c *Certificate) {
	list := s.byName[name]
	if list == nil {
		s.byName[name] = &choice{c}
		return
	}
	for i, other := range *list {
		if other.Kind == c.Kind {
			if c.NotAfter.After(other.NotAfter) {
				(*list)[i] = c
			}
			return
		}
	}
	*list = append(*list, c)
}

// All returns the certificates, the default first. The caller must not change
// the list.
func (s *Set) All() []*Certificate { return s.all }

// Files returns the paths of all files, in order.
func (s *Set) Files() []string {
	paths := map[string]bool{}
	for pair := range s.known {
		paths[pair.Cert], paths[pair.Key] = true, true
	}
	return slices.Sorted(maps.Keys(paths))
}

// maxReady bounds the certificates whose keys are ready to sign: each takes 1 kB
// (ECDSA) or 6 kB (RSA) more, and whoever asks for one name after the other
// would have all of them made ready.
const maxReady = 4096

// bound keeps those that are ready within their number.
type bound struct {
	most int // 0 is maxReady

	mu    sync.Mutex     // guards all below
	ready []*Certificate // a ring
	hand  int            // where the next look begins
}

// use returns a certificate with its key ready.
func (b *bound) use(c *Certificate) (*tls.Certificate, error) {
	if ready := c.ready.Load(); ready != nil {
		if !c.used.Load() {
			c.used.Store(true)
		}
		return ready, nil
	}
	return b.prepare(c)
}

// prepare makes a certificate ready; another one that hasn't been used for long
// makes room.
func (b *bound) prepare(c *Certificate) (*tls.Certificate, error) {
	ready, err := c.prepare()
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if before := c.ready.Load(); before != nil { // another client's handshake was faster
		return before, nil
	}
	c.ready.Store(ready)
	c.used.Store(true)
	if len(b.ready) < cmp.Or(b.most, maxReady) {
		b.ready = append(b.ready, c)
		return ready, nil
	}
	for b.ready[b.hand].used.Swap(false) { // a second chance; after one round all have had theirs
		b.hand = (b.hand + 1) % len(b.ready)
	}
	b.ready[b.hand].ready.Store(nil)
	b.ready[b.hand] = c
	b.hand = (b.hand + 1) % len(b.ready)
	return ready, nil
}
