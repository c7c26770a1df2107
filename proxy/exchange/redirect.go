package exchange

import (
	"bytes"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/tenants/route"
)

// Redirect is what a listener does that is there to lead to HTTPS.
type Redirect struct {
	// Port stands behind the host of the location: ":8443"; "" is HTTPS's own.
	Port string
	// Except finds the paths that are served as on any listener; nil finds none.
	Except *route.Table[struct{}]
}

// leadToHTTPS answers a request that has come without TLS with its own URL, with
// https, where its listener is there for that. The host is the canonical one,
// without it there is no location; the path is spelled as the client did, as far as
// that makes no difference to what is judged there.
func (x *exchange) leadToHTTPS() (answered bool, err error) {
	r := x.Entrance.Redirect
	if r == nil || x.overTLS() {
		return false, nil
	}
	if r.Except != nil {
		if _, served := r.Except.Match(nil, x.Path); served {
			return false, nil
		}
	}
	if len(x.Host) == 0 {
		return false, faultBadHost
	}
	path := x.Path
	switch {
	case x.Message.Form == message.AsteriskForm:
		path = rootPath
	case x.written != nil:
		if x.sendBuf, err = route.Spell(x.sendBuf, x.written, route.Spelling{KeepSlashes: true, KeepEscapes: true}); err == nil {
			path = x.sendBuf
		} // else the one that is judged will do
	}
	location := append(append(x.values, "https://"...), x.Host...)
	location = append(append(append(location, r.Port...), path...), x.query...)
	x.local(308, "", nil)
	x.response.Local.Set(locationName, x.keepValue(location))
	return true, nil
}

var locationName = []byte("Location")

// overTLS reports whether the client has sent the request over TLS: to here, to who
// has introduced it, or to a trusted proxy which says so.
func (x *exchange) overTLS() bool {
	if x.Client.Secure || !x.origin.trusted {
		return x.Client.Secure
	}
	proto := x.Message.Header.Get(message.XForwardedProto)
	if len(proto) == 0 {
		proto = x.origin.proto
	}
	first, _, _ := bytes.Cut(proto, []byte{','})
	return message.EqualFold(bytes.TrimSpace(first), "https")
}
