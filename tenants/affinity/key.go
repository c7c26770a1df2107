package affinity

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/spelling"
	"github.com/keystone-gateway/keystone-gateway/tenants/cookie"
)

// Request is what a key is made of. All slices are only read.
type Request struct {
	Header message.Header
	Path   []byte // in the form in which paths are compared
	Query  []byte // with its "?", or empty
	// Client is the client's address, past trusted proxies; not Valid where it isn't known.
	Client netip.Addr
	// Script is what a script has said (request:balance_key); nil is nothing. It goes
	// before what the key is made of otherwise.
	Script []byte
}

// Key says what requests belong together by.
type Key struct {
	kind kind
	name string
}

type kind byte

const (
	byClient kind = iota
	byPath
	byScript
	byHeader
	byCookie
	byQuery
)

var kinds = map[string]kind{"client": byClient, "path": byPath, "key": byScript}

var named = map[string]kind{"header": byHeader, "cookie": byCookie, "query": byQuery}

// Client is the key of the client's address.
var Client = Key{kind: byClient}

const longestName = 256

// ParseKey reads what stands behind the setting by: client, path, key, header:NAME,
// cookie:NAME or query:NAME.
func ParseKey(by string) (Key, error) {
	if k, ok := kinds[by]; ok {
		return Key{kind: k}, nil
	}
	word, name, has := strings.Cut(by, ":")
	k, ok := named[word]
	switch {
	case !ok:
		meant := ""
		if near := spelling.Nearest(word, []string{"client", "path", "key", "header", "cookie", "query"}); near != "" {
			meant = fmt.Sprintf("; did you mean %q?", near)
		}
		return Key{}, fmt.Errorf("by %.100q is nothing that requests have, expected client, header:NAME, cookie:NAME, query:NAME, path, or key, which a script sets%s", by, meant)
	case !has || name == "":
		return Key{}, fmt.Errorf("by %q has no name, expected one like %s:%s", by, word, map[kind]string{byHeader: "X-User", byCookie: "session", byQuery: "user"}[k])
	case len(name) > longestName || k != byQuery && !message.IsToken([]byte(name)):
		return Key{}, fmt.Errorf("by %.100q has no valid name, expected one like %s:%s", by, word, map[kind]string{byHeader: "X-User", byCookie: "session", byQuery: "user"}[k])
	}
	if k == byHeader {
		name = strings.ToLower(name) // as it is compared
	}
	return Key{k, name}, nil
}

// Of returns the key of a request, the same on all gateways; 0 is that it has none: no
// such field, cookie or parameter, or an empty one, or an address that isn't known.
// Scratch is memory for what is decoded. The clients of an IPv6 network of 64 bits,
// all of whose addresses are one customer's (RFC 6177), have one key.
func (k *Key) Of(r *Request, scratch []byte) (key uint64, used []byte) {
	if r.Script != nil {
		return hashOf(r.Script), scratch
	}
	switch k.kind {
	case byClient:
		return clientKey(r.Client), scratch
	case byPath:
		return hashOf(r.Path), scratch
	case byHeader:
		for i := range r.Header {
			if f := &r.Header[i]; !f.Dropped && message.EqualFold(f.Name, k.name) {
				return hashOf(f.Value), scratch
			}
		}
	case byCookie:
		value, _ := cookie.Of(r.Header, k.name)
		return hashOf(value), scratch
	case byQuery:
		scratch = parameter(r.Query, k.name, scratch[:0])
		return hashOf(scratch), scratch
	case byScript: // which has said nothing
	}
	return 0, scratch
}

func clientKey(client netip.Addr) uint64 {
	switch client = client.Unmap(); {
	case client.Is4():
		a := client.As4()
		return hashOf(a[:])
	case client.Is6():
		a := client.As16()
		return hashOf(a[:8])
	}
	return 0
}

// parameter appends the first parameter of that name, decoded.
func parameter(query []byte, name string, dst []byte) []byte {
	for rest := bytes.TrimPrefix(query, []byte("?")); len(rest) > 0; {
		var pair []byte
		pair, rest, _ = bytes.Cut(rest, []byte("&"))
		key, value, _ := bytes.Cut(pair, []byte("="))
		if dst = message.AppendParameter(dst[:0], key); string(dst) == name {
			return message.AppendParameter(dst[:0], value)
		}
	}
	return dst[:0]
}

// hashOf is 0 for nothing, and for nothing else.
func hashOf(value []byte) uint64 {
	if len(value) == 0 {
		return 0
	}
	const offset, prime = 14695981039346656037, 1099511628211 // FNV-1a
	h := uint64(offset)
	for _, b := range value {
		h = (h ^ uint64(b)) * prime
	}
	return max(1, mix(h))
}

// mix spreads what differs in a few bits over all of them (the finalizer of MurmurHash3).
func mix(h uint64) uint64 {
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
