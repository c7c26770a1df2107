package policy

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/proxy/spelling"
	"github.com/keystone-gateway/keystone-gateway/tenants/cookie"
	"github.com/keystone-gateway/keystone-gateway/tenants/network"
)

// Key says whose requests are counted together: those that have the same in all of
// its parts.
type Key struct{ parts []keyPart }

type keyPart struct {
	kind byte
	name string // of a field, folded; of a cookie or a value
}

// The kinds of parts.
const (
	byClient      = 'c'
	byTenant      = 't'
	byPath        = 'p'
	byHost        = 'h'
	byMethod      = 'm'
	byCertificate = 'x'
	byField       = 'f'
	byCookie      = 'k'
	byValue       = 'v'
)

var plainParts = map[string]byte{
	"client": byClient, "tenant": byTenant, "path": byPath, "host": byHost, "method": byMethod, "certificate": byCertificate,
}

// maxParts bounds the parts of a key.
const maxParts = 8

// ParseKey makes a key of the names of its parts, which CheckKey has passed; without
// any it is the client.
func ParseKey(by []string) Key {
	if len(by) == 0 {
		return Key{[]keyPart{{kind: byClient}}}
	}
	var k Key
	for _, word := range by {
		part, _ := parsePart(word)
		k.parts = append(k.parts, part)
	}
	return k
}

func parsePart(word string) (part keyPart, ok bool) {
	if kind := plainParts[word]; kind != 0 {
		return keyPart{kind: kind}, true
	}
	kind, name, named := strings.Cut(word, ":")
	switch {
	case !named && IsValueName(word):
		return keyPart{byValue, word}, true
	case !named || !message.IsToken([]byte(name)) || len(name) > 256:
	case kind == "header":
		return keyPart{byField, Folded(name)}, true
	case kind == "cookie":
		return keyPart{byCookie, name}, true
	}
	return keyPart{}, false
}

// CheckKey reports what is wrong with the names of a key's parts.
func CheckKey(r settings.Reporter, by *[]string) {
	if *by != nil && len(*by) == 0 {
		r.Errorf(by, "by is empty, expected at least one of client, tenant, path, host, method, certificate, header:NAME, cookie:NAME and POLICY.VALUE")
	}
	if len(*by) > maxParts {
		r.Errorf(by, "by has %d parts, expected at most %d", len(*by), maxParts)
	}
	seen := map[keyPart]bool{}
	for i := range *by {
		word := (*by)[i]
		part, ok := parsePart(word)
		switch {
		case !ok:
			hint := ""
			if near := spelling.Nearest(word, []string{"client", "tenant", "path", "host", "method", "certificate"}); near != "" {
				hint = fmt.Sprintf("; did you mean %q?", near)
			}
			r.Errorf(&(*by)[i], "by %.100q is nothing that requests have, expected client, tenant, path, host, method, certificate, header:NAME, cookie:NAME, or POLICY.VALUE of what an earlier policy has found out, such as jwt.sub%s", word, hint)
		case seen[part]:
			r.Errorf(&(*by)[i], "by has %q twice, expected it once", word)
		}
		seen[part] = true
	}
}

// Append appends the key of a request: a text that no other key has, which begins with
// no part of it that a client could make up. A request that doesn't have a part, be it
// a field, a cookie, a certificate or a value, is counted by its client's address there.
func (k *Key) Append(dst []byte, r *Request) []byte {
	for _, p := range k.parts {
		dst = append(p.append(dst, r), ';') // else the lines of one field could be taken for those of another
	}
	return dst
}

func (p *keyPart) append(dst []byte, r *Request) []byte {
	var value []byte
	switch p.kind {
	case byTenant:
		return append(dst, p.kind)
	case byClient:
		return AppendClient(append(dst, p.kind), r)
	case byField:
		if with, ok := p.appendField(dst, r); ok {
			return with
		}
	case byPath: // as it is compared, so that no spelling is another key
		value = r.Key()
	case byHost:
		value = r.Host
	case byMethod:
		value = r.Method
	case byCookie:
		value, _ = cookie.Of(*r.Header, p.name)
	case byValue:
		value = r.Left(p.name)
	case byCertificate:
		if r.Certificate != nil {
			return appendSized(append(dst, p.kind), r.Certificate.Fingerprint)
		}
	}
	if len(value) == 0 {
		return AppendClient(append(dst, p.kind, 0), r) // no value has the length 0
	}
	return appendSized(append(dst, p.kind), value)
}

// appendField appends all lines of a field, since who reads one of them only would
// take others for the same key.
func (p *keyPart) appendField(dst []byte, r *Request) (with []byte, ok bool) {
	for i := range *r.Header {
		if f := &(*r.Header)[i]; !f.Dropped && len(f.Value) > 0 && SameName(f.Name, p.name) {
			dst, ok = appendSized(append(dst, p.kind), f.Value), true
		}
	}
	return dst, ok
}

func appendSized[T []byte | string](dst []byte, value T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(value))), value...)
}

// AppendClient appends what stands for a client's address: of IPv6 the network of
// 64 bits, all of whose addresses are one customer's (RFC 6177). Clients whose address
// isn't known are counted together: those on Unix sockets, and those whom a proxy has
// not named.
func AppendClient(dst []byte, r *Request) []byte {
	switch client := r.Client.Unmap(); {
	case client.Is4():
		a := client.As4()
		return append(append(dst, '4'), a[:]...)
	case client.Is6():
		a := client.As16()
		return append(append(dst, '6'), a[:8]...)
	case r.Unnamed:
		return append(dst, 'u')
	}
	return append(dst, 's')
}

// Describe says in the log and to whoever has a request traced whose it was counted
// for. It doesn't tell the values of fields and cookies, which may be secrets.
func (k *Key) Describe(r *Request) string {
	words := make([]string, 0, len(k.parts))
	for _, p := range k.parts {
		words = append(words, p.describe(r))
	}
	return strings.Join(words, ", ")
}

func (p *keyPart) describe(r *Request) string {
	missing := ""
	switch p.kind {
	case byTenant:
		return "the tenant"
	case byClient:
		return describeClient(r)
	case byPath:
		return fmt.Sprintf("path %.100q", r.Path)
	case byHost:
		return fmt.Sprintf("host %.100q", r.Host)
	case byMethod:
		return fmt.Sprintf("method %.20q", r.Method)
	case byCertificate:
		if r.Certificate != nil {
			return fmt.Sprintf("certificate %.64s", r.Certificate.Fingerprint)
		}
		missing = "without a certificate"
	case byField:
		if _, has := p.appendField(nil, r); has {
			return "its field " + p.name
		}
		missing = "without the field " + p.name
	case byCookie:
		if value, _ := cookie.Of(*r.Header, p.name); len(value) > 0 {
			return "its cookie " + p.name
		}
		missing = "without the cookie " + p.name
	case byValue:
		if value := r.Left(p.name); len(value) > 0 {
			return fmt.Sprintf("%s %.100q", p.name, value)
		}
		missing = "without " + p.name
	}
	return describeClient(r) + " " + missing
}

func describeClient(r *Request) string {
	switch client := r.Client.Unmap(); {
	case client.Is4():
		return "client " + client.String()
	case client.Is6():
		prefix, _ := client.WithZone("").Prefix(64)
		return "client " + prefix.String()
	case r.Unnamed:
		return "clients that nobody names"
	}
	return "clients on " + network.Unix + " sockets"
}
