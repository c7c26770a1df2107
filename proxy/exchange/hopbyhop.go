package exchange

import (
	"bytes"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// Fields that end at each hop (RFC 9110 §7.6.1) are never copied. Those that
// the gateway can honour on its other side too are made anew: Upgrade, the
// word that the client reads trailers, and what a 426 asks for.

// hopByHop are the fields that end at each hop, besides Upgrade; how a message is
// framed is decided apart from them.
var hopByHop = message.SetOf(message.Connection, message.KeepAlive, message.ProxyAny, message.TE, message.TransferEncoding,
	message.HTTP2Settings)

// upgrading reports whether the request asks for another protocol that it may
// have (RFC 9110 §7.8).
func (x *exchange) upgrading() bool {
	if !x.Message.UpgradeAsked {
		return false
	}
	for i := range x.Message.Header {
		if f := &x.Message.Header[i]; f.ID == message.Upgrade && countUpgradable(f.Value) > 0 {
			return true
		}
	}
	return false
}

// upgradable refuses HTTP itself, with or without TLS: a target that spoke it
// inside a tunnel would be beyond every rule of the gateway.
func upgradable(protocol []byte) bool {
	name, _, _ := bytes.Cut(protocol, []byte{'/'})
	for _, refused := range [...]string{"h2c", "h2", "http", "tls"} {
		if message.EqualFold(name, refused) {
			return false
		}
	}
	return true
}

func countUpgradable(list []byte) (n int) {
	for protocol, rest := message.NextToken(list); protocol != nil; protocol, rest = message.NextToken(rest) {
		if upgradable(protocol) {
			n++
		}
	}
	return n
}

// appendUpgrade writes what a request's Upgrade field offers, without the
// protocols that are refused.
func appendUpgrade(dst, offered []byte) []byte {
	begin := len(dst)
	for protocol, rest := message.NextToken(offered); protocol != nil; protocol, rest = message.NextToken(rest) {
		if !upgradable(protocol) {
			continue
		}
		if len(dst) > begin {
			dst = append(dst, listComma...)
		}
		dst = append(dst, protocol...)
	}
	return dst
}

// checkUpgrade refuses a 101 that nobody asked for, or for a protocol that
// was not offered.
func (x *exchange) checkUpgrade() error {
	chosen := x.call.Response.Header.Get(message.Upgrade)
	if x.upgrading() && x.call.Response.UpgradeAsked && len(chosen) > 0 && upgradable(chosen) {
		for i := range x.Message.Header {
			if x.Message.Header[i].ID == message.Upgrade && message.HasToken(x.Message.Header[i].Value, string(bytes.ToLower(chosen))) {
				return nil
			}
		}
	}
	return faultBadResponse
}

// agrees reports whether a target's response to a request that asks for another protocol
// says what it may to this client.
func (x *exchange) agrees() bool {
	t, ok := x.stream.(Tunneler)
	return !ok || t.Agrees(&x.call.Response.Response)
}

// upgrades reports whether a response's Upgrade is kept: a 426 must have one (RFC
// 9110 §15.5.22), and a 101 says what was chosen. In others it is an offer that
// nobody needs, and that has broken clients.
func upgrades(status int) bool { return status == 426 || status == 101 }
