package forwardauth

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"slices"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/tenants/fetch"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

// own are the fields that the policy itself writes, and what isn't told as it came: who
// asks a server about a request must not have its words taken from it.
var own = message.NewNameSet([]string{
	"X-Forwarded-*", "X-Original-*", "X-Real-IP", "Forwarded", "Via", "Host", "Accept-Encoding", "Content-*", "Expect",
	"If-*", "Range", "Sec-WebSocket-*", "Upgrade", "Connection", "Keep-Alive", "TE", "Trailer", "Transfer-Encoding", "Proxy-*", "HTTP2-Settings",
	"Max-Forwards", "X-Gateway-*",
})

// eachField calls f for the fields that the server gets.
func (g *guard) eachField(r *policy.Request, f func(field *message.Field)) {
	for i := range *r.Header {
		field := &(*r.Header)[i]
		switch {
		case field.Dropped:
		case field.ID == message.ContentType:
			if g.maxBody > 0 {
				f(field)
			}
		case own.Has(field.Name), !g.all && !g.fields.Has(field.Name):
		default:
			f(field)
		}
	}
}

// tell writes what the server is told into a request to it.
func (g *guard) tell(q *fetch.Request, r *policy.Request) (err error) {
	add := func(name string, value []byte) {
		var reserved *fetch.ReservedError
		if wrong := q.Add(name, string(value)); wrong != nil && !errors.As(wrong, &reserved) && err == nil {
			err = wrong
		}
	}
	g.eachField(r, func(f *message.Field) { add(string(f.Name), f.Value) })
	scheme, host := g.origin(r)
	uri := append(bytes.Clone(r.Path), r.Query...)
	if g.method {
		add("X-Forwarded-Method", r.Method)
		add("X-Original-Method", r.Method)
	}
	if g.host {
		add("X-Forwarded-Proto", scheme)
		add("X-Forwarded-Host", host)
	}
	if g.path {
		add("X-Forwarded-Uri", uri)
	}
	if g.host && g.path {
		add("X-Original-URL", slices.Concat(scheme, []byte("://"), host, uri))
	}
	if g.address && r.Client.IsValid() {
		add("X-Forwarded-For", r.Client.AppendTo(nil))
		add("X-Real-IP", r.Client.AppendTo(nil))
	}
	return err
}

// appendTold appends all that the server is told, so that no two requests of which it is
// told something else have the same text.
func (g *guard) appendTold(dst []byte, r *policy.Request, scheme, host []byte) []byte {
	sized := func(part []byte) { dst = append(binary.AppendUvarint(dst, uint64(len(part))), part...) }
	if g.method {
		sized(r.Method)
	}
	if g.host {
		sized(scheme)
		sized(host)
	}
	if g.path {
		sized(r.Path)
		sized(r.Query)
	}
	if g.address {
		address := r.Client.As16() // of no address it is that of ::
		sized(address[:])
	}
	for i := range *r.Header {
		if f := &(*r.Header)[i]; !f.Dropped && f.ID != message.ContentType && !own.Has(f.Name) && g.fields.Has(f.Name) {
			sized(f.Name)
			sized(f.Value)
		}
	}
	return dst
}

var schemeHTTP, schemeHTTPS = []byte("http"), []byte("https")

// origin is what stands in front of the path: the canonical host, with the client's
// port.
func (g *guard) origin(r *policy.Request) (scheme, host []byte) {
	scheme = schemeHTTP
	if r.Secure {
		scheme = schemeHTTPS
	}
	written := r.Header.Get(message.Host)
	at := bytes.LastIndexByte(written, ':')
	if at < 0 || at+1 == len(written) || len(bytes.Trim(written[at+1:], "0123456789")) > 0 {
		return scheme, r.Host
	}
	return scheme, r.Append(func(dst []byte) []byte { return append(append(dst, r.Host...), written[at:]...) })
}

// verdict is what an answer that lets a request pass says. It never changes.
type verdict struct {
	user          []byte
	copied, given message.Header
}

// Value is policy.Values's: a copied field, by its name in lower case.
func (v *verdict) Value(name string) []byte {
	for i := range v.copied {
		if message.EqualFold(v.copied[i].Name, name) {
			return v.copied[i].Value
		}
	}
	return nil
}

func (g *guard) verdictOf(header map[string][]string) *verdict {
	v := &verdict{copied: fieldsOf(header, g.copied.Has), given: fieldsOf(header, g.given.Has)}
	v.copied = slices.DeleteFunc(v.copied, func(f message.Field) bool { return f.ID != message.Unknown && f.ID != message.XForwardedAny })
	user := fieldsOf(header, func(name []byte) bool { return message.SameName(name, []byte(g.user)) })
	if len(user) > 0 && len(user[0].Value) > 0 && len(user[0].Value) <= policy.MaxValue {
		v.user = user[0].Value
	}
	return v
}

// fieldsOf makes a header of those fields of an answer that are wanted, lines of one
// name one after the other.
func fieldsOf(header map[string][]string, wanted func(name []byte) bool) (h message.Header) {
	for _, name := range slices.Sorted(maps.Keys(header)) {
		if !message.IsToken([]byte(name)) || !wanted([]byte(name)) {
			continue
		}
		for _, value := range header[name] {
			if message.IsFieldText([]byte(value)) {
				h.Add([]byte(name), []byte(value))
			}
		}
	}
	return h
}
