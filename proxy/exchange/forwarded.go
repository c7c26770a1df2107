package exchange

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// sendForwarded says who the client is. What came from a trusted proxy is
// extended; from anyone else it has been dropped, and is made anew.
func (x *exchange) sendForwarded() {
	switch {
	case x.Client.Peer.IsValid() && !x.origin.trusted:
		x.send(forwardedForName, x.Client.Address)
	case x.Client.Peer.IsValid():
		x.send(forwardedForName, x.keepValue(append(x.appendTrusted(x.values, message.XForwardedFor), x.Client.Address...)))
	case x.origin.known: // a Unix socket has no address to add
		x.send(forwardedForName, bytes.TrimSuffix(x.keepValue(x.appendNodes(x.values)), listComma))
	case x.origin.trusted:
		x.sendAll(message.XForwardedFor)
	}
	x.send(forwardedProtoName, x.first(message.XForwardedProto, x.origin.proto, x.scheme()))
	if len(x.Message.Authority) > 0 {
		x.send(forwardedHostName, x.first(message.XForwardedHost, x.origin.host, x.Message.Authority))
	}
	if x.Generation.Forwarded {
		x.send(forwardedName, x.keepValue(x.appendForwardedElement(x.appendTrusted(x.values, message.Forwarded))))
	} else if x.origin.trusted {
		x.sendAll(message.Forwarded)
	}
	if x.Generation.Via != "" {
		x.send(viaName, x.keepValue(appendVia(x.values, x.Message.Header, x.Message.Version, x.Generation.Via)))
	} else {
		x.sendAll(message.Via)
	}
	x.sendCertificate()
	x.sendHops()
}

var (
	forwardedForName, forwardedProtoName = []byte("X-Forwarded-For"), []byte("X-Forwarded-Proto")
	forwardedHostName, forwardedName     = []byte("X-Forwarded-Host"), []byte("Forwarded")
)

// appendTrusted writes all trusted values of that ID, each with a comma after it.
// Where a trusted proxy has said it in the other field only, X-Forwarded-For or
// Forwarded, that one's addresses are written, so that both agree.
func (x *exchange) appendTrusted(dst []byte, id message.ID) []byte {
	if !x.origin.trusted {
		return dst
	}
	begin := len(dst)
	dst = appendValues(dst, x.Message.Header, id)
	switch {
	case id == message.XForwardedFor && x.origin.known:
		dst = x.appendNodes(dst[:begin])
	case id == message.Forwarded && len(dst) == begin:
		dst = x.appendAsElements(dst)
	}
	return dst
}

var listComma = []byte(", ")

// appendNodes writes the addresses of Forwarded as X-Forwarded-For has them,
// each with a comma after it.
func (x *exchange) appendNodes(dst []byte) []byte {
	var buf [16]forwardedElement
	for _, e := range appendElements(buf[:0], x.Message.Header) {
		if ip, ok := parseNode(e.node); ok {
			dst = ip.AppendTo(dst)
		} else {
			dst = append(dst, "unknown"...)
		}
		dst = append(dst, listComma...)
	}
	return dst
}

// appendAsElements writes the addresses of X-Forwarded-For as elements of
// Forwarded (RFC 7239 §7.4), each with a comma after it. The first one is the
// client's, which X-Forwarded-Proto is about.
func (x *exchange) appendAsElements(dst []byte) []byte {
	proto := x.Message.Header.Get(message.XForwardedProto)
	for i := range x.Message.Header {
		if x.Message.Header[i].ID != message.XForwardedFor {
			continue
		}
		for element, rest := message.NextToken(x.Message.Header[i].Value); element != nil; element, rest = message.NextToken(rest) {
			if ip, ok := parseNode(element); ok {
				dst = appendFor(dst, ip)
			} else {
				dst = append(dst, "for=unknown"...)
			}
			if message.IsToken(proto) {
				dst = append(append(dst, ";proto="...), proto...)
				proto = nil
			}
			dst = append(dst, listComma...)
		}
	}
	return dst
}

func appendFor(dst []byte, ip netip.Addr) []byte {
	dst = append(dst, "for="...)
	if ip.Is4() {
		return ip.AppendTo(dst)
	}
	return append(ip.AppendTo(append(dst, "\"["...)), "]\""...)
}

// appendValues writes the values of that ID, without empty elements at their
// ends, each with a comma after it.
func appendValues(dst []byte, h message.Header, id message.ID) []byte {
	for i := range h {
		if h[i].ID != id {
			continue
		}
		if value := bytes.Trim(h[i].Value, ", \t"); len(value) > 0 {
			dst = append(dst, value...)
			dst = append(dst, listComma...)
		}
	}
	return dst
}

// first is a trusted value, else what Forwarded says, or ours.
func (x *exchange) first(id message.ID, forwarded, ours []byte) []byte {
	if x.origin.trusted {
		if value := x.Message.Header.Get(id); len(value) > 0 {
			return value
		}
		if len(forwarded) > 0 {
			return forwarded
		}
	}
	return ours
}

// sendAll passes the fields of that ID on.
func (x *exchange) sendAll(id message.ID) {
	for i := range x.Message.Header {
		if f := &x.Message.Header[i]; f.ID == id && !f.Dropped {
			x.send(f.Name, f.Value)
		}
	}
}

// appendForwardedElement writes an element of RFC 7239.
func (x *exchange) appendForwardedElement(dst []byte) []byte {
	if x.Client.Peer.IsValid() {
		dst = appendFor(dst, x.Client.Peer)
	} else {
		dst = append(dst, "for=unknown"...)
	}
	if len(x.Message.Authority) > 0 { // CanonicalHost has left no quote in it
		dst = append(dst, ";host=\""...)
		dst = append(dst, x.Message.Authority...)
		dst = append(dst, '"')
	}
	dst = append(dst, ";proto="...)
	return append(dst, x.scheme()...)
}

// appendVia appends the values of Via, and one more (RFC 9110 §7.6.3).
func appendVia(dst []byte, h message.Header, version, pseudonym string) []byte {
	dst = appendValues(dst, h, message.Via)
	dst = append(append(dst, version...), ' ')
	return append(dst, pseudonym...)
}

// hasPassed looks for a pseudonym in Via: "1.1 name (comment)".
func hasPassed(h message.Header, pseudonym string) bool {
	for i := range h {
		if h[i].ID != message.Via {
			continue
		}
		for element, rest := message.NextToken(h[i].Value); element != nil; element, rest = message.NextToken(rest) {
			if words := bytes.Fields(element); len(words) > 1 && string(words[1]) == pseudonym {
				return true
			}
		}
	}
	return false
}

var schemeHTTP, schemeHTTPS = []byte("http"), []byte("https")

func (x *exchange) scheme() []byte {
	if x.Client.Secure {
		return schemeHTTPS
	}
	return schemeHTTP
}

// maxRequestID bounds an id that is taken over.
const maxRequestID = 128

// identify gives the request an id before anything can go wrong with it.
func (x *exchange) identify() {
	for i := 0; i < 32; i += 16 {
		n := rand.Uint64() //nolint:gosec // G404: an id is no secret
		binary.LittleEndian.PutUint64(x.idBuf[i:], hexDigits(n&0xffffffff))
		binary.LittleEndian.PutUint64(x.idBuf[i+8:], hexDigits(n>>32))
	}
	x.ID = x.idBuf[:32]
}

// hexDigits returns the eight hexadecimal digits of a number, a byte each.
func hexDigits(x uint64) uint64 {
	const ones = 0x0101010101010101
	x = (x | x<<16) & 0x0000ffff0000ffff
	x = (x | x<<8) & 0x00ff00ff00ff00ff
	x = (x | x<<4) & (0x0f * ones)
	letters := (x + 6*ones) >> 4 & ones // 1 where the digit is above 9
	return x + '0'*ones + letters*('a'-'0'-10)
}

// adoptID takes over the id that a trusted proxy has given.
func (x *exchange) adoptID() {
	if !x.origin.trusted {
		return
	}
	id := x.Message.Header.Get(message.XRequestID)
	if len(id) == 0 || len(id) > maxRequestID {
		return
	}
	for _, c := range id {
		if c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return
		}
	}
	x.ID = id
}
