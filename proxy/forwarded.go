package proxy

import (
	"bytes"
	"math/rand/v2"
	"net/netip"

	"github.com/keystone-gateway/keystone-gateway/proxy/http1"
)

// adoptForwarded finds the original client's address: the peer's, or, behind
// trusted proxies, the last address in X-Forwarded-For that is not theirs.
func (x *exchange) adoptForwarded() {
	x.clientIP = x.client.Peer
	if !x.trusted {
		return
	}
	for i := len(x.req.Header) - 1; i >= 0; i-- {
		if x.req.Header[i].ID != http1.XForwardedFor {
			continue
		}
		list := x.req.Header[i].Value
		for len(list) > 0 {
			cut := bytes.LastIndexByte(list, ',')
			ip, err := netip.ParseAddr(string(bytes.TrimSpace(list[cut+1:])))
			if err != nil {
				return // garbage: what stands before it is not believed
			}
			x.clientIP = ip.Unmap()
			if !x.snap.trusts(x.clientIP) {
				return
			}
			list = list[:max(cut, 0)]
		}
	}
}

// appendForwarded writes who the client is. What came from a trusted proxy is
// extended; from anyone else it has been dropped, and is made anew.
func (x *exchange) appendForwarded(dst []byte) []byte {
	if x.client.Peer.IsValid() {
		dst = x.appendList(dst, "X-Forwarded-For: ", http1.XForwardedFor, func(dst []byte) []byte {
			return append(dst, x.client.ip...)
		})
	} else if x.trusted { // a Unix socket has no address to add
		dst = x.appendAll(dst, http1.XForwardedFor)
	}
	dst = append(dst, "X-Forwarded-Proto: "...)
	dst = append(x.appendFirst(dst, http1.XForwardedProto, x.scheme()), '\r', '\n')
	if len(x.req.Authority) > 0 {
		dst = append(dst, "X-Forwarded-Host: "...)
		dst = append(x.appendFirst(dst, http1.XForwardedHost, x.req.Authority), '\r', '\n')
	}
	if x.snap.forwarded {
		dst = x.appendList(dst, "Forwarded: ", http1.Forwarded, x.appendForwardedElement)
	} else if x.trusted {
		dst = x.appendAll(dst, http1.Forwarded)
	}
	if x.snap.via != "" {
		dst = appendVia(dst, x.req.Header, x.req.Minor, x.snap.via)
	} else {
		dst = x.appendAll(dst, http1.Via)
	}
	return x.appendHops(dst)
}

// appendList writes one field with all trusted values of that ID, and one more.
func (x *exchange) appendList(dst []byte, name string, id http1.ID, last func([]byte) []byte) []byte {
	dst = append(dst, name...)
	if x.trusted {
		dst = appendValues(dst, x.req.Header, id)
	}
	dst = last(dst)
	return append(dst, '\r', '\n')
}

func appendValues(dst []byte, h http1.Header, id http1.ID) []byte {
	for i := range h {
		if h[i].ID == id && len(h[i].Value) > 0 {
			dst = append(dst, h[i].Value...)
			dst = append(dst, ", "...)
		}
	}
	return dst
}

// appendFirst writes a trusted value, or ours.
func (x *exchange) appendFirst(dst []byte, id http1.ID, ours []byte) []byte {
	if x.trusted {
		if value := x.req.Header.Get(id); len(value) > 0 {
			return append(dst, value...)
		}
	}
	return append(dst, ours...)
}

func (x *exchange) appendAll(dst []byte, id http1.ID) []byte {
	for i := range x.req.Header {
		if f := &x.req.Header[i]; f.ID == id && !f.Dropped {
			dst = http1.AppendField(dst, f.Name, f.Value)
		}
	}
	return dst
}

// appendForwardedElement writes an element of RFC 7239.
func (x *exchange) appendForwardedElement(dst []byte) []byte {
	dst = append(dst, "for="...)
	switch {
	case !x.client.Peer.IsValid():
		dst = append(dst, "unknown"...)
	case x.client.Peer.Is4():
		dst = append(dst, x.client.ip...)
	default:
		dst = append(dst, "\"["...)
		dst = append(dst, x.client.ip...)
		dst = append(dst, "]\""...)
	}
	if len(x.req.Authority) > 0 { // CanonicalHost has left no quote in it
		dst = append(dst, ";host=\""...)
		dst = append(dst, x.req.Authority...)
		dst = append(dst, '"')
	}
	dst = append(dst, ";proto="...)
	return append(dst, x.scheme()...)
}

// appendVia extends Via (RFC 9110 §7.6.3).
func appendVia(dst []byte, h http1.Header, minor uint8, pseudonym string) []byte {
	dst = append(dst, "Via: "...)
	dst = appendValues(dst, h, http1.Via)
	dst = append(dst, '1', '.', '0'+minor, ' ')
	dst = append(dst, pseudonym...)
	return append(dst, '\r', '\n')
}

// hasPassed looks for a pseudonym in Via: "1.1 name (comment)".
func hasPassed(h http1.Header, pseudonym string) bool {
	for i := range h {
		if h[i].ID != http1.Via {
			continue
		}
		for element, rest := http1.NextToken(h[i].Value); element != nil; element, rest = http1.NextToken(rest) {
			if words := bytes.Fields(element); len(words) > 1 && string(words[1]) == pseudonym {
				return true
			}
		}
	}
	return false
}

var schemeHTTP, schemeHTTPS = []byte("http"), []byte("https")

func (x *exchange) scheme() []byte {
	if x.client.Secure {
		return schemeHTTPS
	}
	return schemeHTTP
}

// maxRequestID bounds an id that is taken over.
const maxRequestID = 128

// identify gives the request an id before anything can go wrong with it.
func (x *exchange) identify() {
	const digits = "0123456789abcdef"
	a, b := rand.Uint64(), rand.Uint64() //nolint:gosec // G404: an id is no secret
	for i := range 16 {
		x.idBuf[i] = digits[a>>(4*i)&15]
		x.idBuf[16+i] = digits[b>>(4*i)&15]
	}
	x.id = x.idBuf[:32]
}

// adoptID takes over the id that a trusted proxy has given.
func (x *exchange) adoptID() {
	if !x.trusted {
		return
	}
	id := x.req.Header.Get(http1.XRequestID)
	if len(id) == 0 || len(id) > maxRequestID {
		return
	}
	for _, c := range id {
		if c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return
		}
	}
	x.id = id
}
