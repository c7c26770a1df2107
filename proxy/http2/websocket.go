package http2

import (
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // G505: RFC 6455 §4.2.2 has it, and nothing depends on its strength
	"encoding/base64"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// What HTTP/1 upgrades, HTTP/2 asks for by CONNECT with :protocol (RFC 8441). Only a
// WebSocket has a handshake besides, which proves to HTTP/1's peers what HTTP/2 has
// proved already: towards them it is made up here.

var (
	upgradeName = []byte("upgrade")
	keyName     = []byte("sec-websocket-key")
	acceptName  = []byte("sec-websocket-accept")
	getMethod   = []byte("GET")
)

// asUpgrade makes an extended CONNECT the request that asks for the same in HTTP/1.
func (r *Request) asUpgrade() {
	r.Method, r.UpgradeAsked = getMethod, true
	r.Header.Remove(keyName) // it has no meaning here (RFC 8441 §5)
	r.Receive(message.Field{Name: upgradeName, Value: r.Protocol, ID: message.Upgrade})
	if !r.isWebSocket() {
		return
	}
	if r.key == [24]byte{} {
		var random [16]byte
		_, _ = rand.Read(random[:]) // which doesn't fail
		base64.StdEncoding.Encode(r.key[:], random[:])
	}
	r.Receive(message.Field{Name: keyName, Value: r.key[:], ID: message.Unknown})
}

func (r *Request) isWebSocket() bool { return message.EqualFold(r.Protocol, "websocket") }

// Agrees reports whether a 101 agrees to what was asked for. The field that says so
// is dropped: it has no meaning here.
func (r *Request) Agrees(answer *message.Response) bool {
	if !r.isWebSocket() {
		return true
	}
	want := AcceptOf(string(r.key[:]))
	agreed := 0
	for i := range answer.Header {
		f := &answer.Header[i]
		if message.SameName(f.Name, acceptName) {
			if string(f.Value) != want {
				return false
			}
			agreed++
			f.Dropped = true
		}
	}
	return agreed == 1
}

// AcceptOf is by which one who has a WebSocket's key agrees (RFC 6455 §4.2.2).
func AcceptOf(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // G401: see above
	return base64.StdEncoding.EncodeToString(sum[:])
}
