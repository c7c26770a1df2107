package proxy

import (
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
)

// defaultIdentityFields are the fields besides X-Forwarded-* and Forwarded by
// which proxies, load balancers and content delivery networks tell an
// application who its client is, over what it came and what it asked for.
var defaultIdentityFields = []string{
	"X-Real-IP", "X-Client-IP", "X-Cluster-Client-IP", "X-Original-Forwarded-For", "X-Envoy-External-Address",
	"True-Client-IP", "CF-Connecting-IP", "CF-Connecting-IPv6", "Fastly-Client-IP", "Fly-Client-IP", "DO-Connecting-IP",
	"X-Azure-ClientIP", "X-Azure-SocketIP", "X-AppEngine-User-IP", "WL-Proxy-Client-IP", "HTTP-Client-IP", "Client-IP",
	"X-Scheme", "X-Url-Scheme", "Front-End-Https", "X-Original-Proto", "X-Original-Host",
	"X-Original-URL", "X-Rewrite-URL", "X-Original-URI",
	"Client-Cert", "Client-Cert-Chain", "X-SSL-Client-Cert", "X-SSL-Client-Verify", "X-SSL-Client-DN", "X-SSL-Client-S-DN",
}

// maxFieldName bounds a name of identity_fields, in bytes.
const maxFieldName = 63

// fieldSet is a set of field names, compared without case and with underscores
// taken for hyphens, as CGI programs do.
type fieldSet struct {
	shapes [maxFieldName + 1]uint32 // by length, a bit for each first letter: most names aren't compared at all
	names  [maxFieldName + 1][]string
}

func newFieldSet(names []string) (s fieldSet) {
	for _, name := range names {
		name = strings.ReplaceAll(strings.ToLower(name), "_", "-")
		if len(name) == 0 || len(name) > maxFieldName {
			continue // which check has refused
		}
		s.shapes[len(name)] |= 1 << (name[0] & 31)
		s.names[len(name)] = append(s.names[len(name)], name)
	}
	return s
}

func (s *fieldSet) has(name []byte) bool {
	return len(name) <= maxFieldName && s.shapes[len(name)]&(1<<(name[0]&31)) != 0 && s.find(name)
}

func (s *fieldSet) find(name []byte) bool {
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

// dropIdentity removes what only a trusted proxy may say of the client.
func (x *exchange) dropIdentity(h message.Header) {
	if x.origin.trusted {
		return
	}
	set := &x.snap.identity
	for i := range h {
		if f := &h[i]; f.ID == message.XForwardedAny || f.ID == message.Unknown && set.has(f.Name) {
			f.Dropped = true
		}
	}
}

func checkIdentityFields(r settings.Reporter, names []string) {
	for i := range names {
		name := []byte(names[i])
		switch {
		case !message.IsToken(name) || len(name) > maxFieldName:
			r.Errorf(&names[i], "identity field %q is not a field's name of at most %d bytes, expected one like X-Real-IP", names[i], maxFieldName)
		case message.Identify(name) != message.Unknown:
			r.Errorf(&names[i], "identity field %q is one that the gateway looks after by itself, expected another one", names[i])
		}
	}
}
