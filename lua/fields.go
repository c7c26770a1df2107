package lua

import (
	"fmt"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// What scripts see and make of a request's header; response.go has the
// response's.

// visible reports whether scripts see a field of the request.
func (r *Request) visible(f *message.Field) bool {
	switch f.ID {
	case message.Unknown: // the common case first
	case message.XForwardedFor, message.XForwardedProto, message.XForwardedHost, message.Forwarded:
		return r.Trusted && !f.Dropped
	case message.XRequestID:
		return false // request.id is the one in use
	case message.XGatewayHops:
		return false // scripts that copy headers must not take it for theirs
	}
	return !f.Dropped
}

// header returns the first value of a field, or nil.
func (c *call) header(name []byte) []byte {
	h := *c.req.Header
	id := message.Identify(name)
	for i := range h {
		if f := &h[i]; f.ID == id && (id.Unique() || message.SameName(f.Name, name)) && c.req.visible(f) {
			return f.Value
		}
	}
	switch id {
	case message.Host:
		return c.req.Authority
	case message.XRequestID:
		return c.req.ID
	}
	return nil
}

func requestHeader(L *glua.LState) int {
	c, n := self(L)
	value := c.header(view(fieldName(L, n)))
	if value == nil {
		L.Push(glua.LNil)
	} else {
		L.Push(c.text(L, value))
	}
	return 1
}

func requestHeadersAll(L *glua.LState) int {
	c, n := self(L)
	L.Push(c.all(L, *c.req.Header, fieldName(L, n), c.req.visible))
	return 1
}

// all lists the values of a field.
func (c *call) all(L *glua.LState, h message.Header, name string, visible func(*message.Field) bool) *glua.LTable {
	c.run.Charge(L, 2048)
	list := L.CreateTable(0, 1)
	for i := range h {
		if f := &h[i]; message.SameName(f.Name, view(name)) && visible(f) {
			list.Append(c.text(L, f.Value))
		}
	}
	return list
}

// fieldName checks that an argument is the name of a field.
func fieldName(L *glua.LState, n int) string {
	name := vm.CheckString(L, n)
	if len(name) > maxFieldName || !isToken(name) {
		vm.ArgError(L, n, fmt.Sprintf("%q is not the name of a header field", vm.Clip(name)))
	}
	return name
}

// fieldValue checks that an argument can stand in a header.
func fieldValue(L *glua.LState, n int) string {
	value := vm.CheckString(L, n)
	if len(value) > maxFieldValue {
		vm.ArgError(L, n, fmt.Sprintf("a header value of %d bytes is too long, expected at most %d", len(value), maxFieldValue))
	}
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7F {
			vm.ArgError(L, n, fmt.Sprintf("a header value has the control character 0x%02X at byte %d", c, i+1))
		}
	}
	return trimSpace(value)
}

// trimSpace cuts optional white space off both ends (RFC 9110 §5.6.3).
func trimSpace(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// isToken reports whether s is a token (RFC 9110 §5.6.2).
func isToken(s string) bool { return message.IsToken(view(s)) }

// Bounds of what scripts put into a header.
const (
	maxFieldName  = 256
	maxFieldValue = 16 << 10
	maxFields     = 200
)

// framing fields are the gateway's: what a script says of them is ignored, so
// that it can copy whole headers.
var framing = message.SetOf(message.ContentLength, message.TransferEncoding, message.Connection, message.KeepAlive, message.TE,
	message.Trailer, message.Upgrade, message.ProxyAny, message.HTTP2Settings, message.Expect, message.XGatewayError, message.XGatewayHops)

// owned are request fields that the gateway itself writes.
var owned = message.SetOf(message.XForwardedFor, message.XForwardedProto, message.XForwardedHost, message.XForwardedAny, message.Forwarded,
	message.Via, message.XRequestID)

// changing checks a field of the request that is about to change; false
// ignores it.
func changing(L *glua.LState, id message.ID, name string) bool {
	if owned.Has(id) {
		L.RaiseError("%s is the gateway's own field: targets get what the gateway knows", name)
	}
	return !framing.Has(id)
}

func requestSetHeader(L *glua.LState) int {
	c, n := self(L)
	if L.Get(n+1) == glua.LNil {
		return requestRemoveHeader(L)
	}
	c.setHeader(L, fieldName(L, n), fieldValue(L, n+1))
	return 0
}

func (c *call) setHeader(L *glua.LState, name, value string) {
	id := message.Identify(view(name))
	if id == message.Host {
		c.check(L, c.exchange.SetHost(value))
		return
	}
	if changing(L, id, name) {
		c.room(L, *c.req.Header, name, value)
		c.req.Header.Set(view(name), view(value))
	}
}

// room bounds the number of fields, and charges what one takes in the head that
// is sent: in a script, all may have the same value.
func (c *call) room(L *glua.LState, h message.Header, name, value string) {
	if len(h) >= maxFields {
		L.RaiseError("too many header fields, expected at most %d", maxFields)
	}
	c.run.Charge(L, 2*(len(name)+len(value))) // its buffer grows
}

func requestAddHeader(L *glua.LState) int {
	c, n := self(L)
	name, value := fieldName(L, n), fieldValue(L, n+1)
	if id := message.Identify(view(name)); id == message.Host {
		c.setHeader(L, name, value)
	} else if changing(L, id, name) {
		c.room(L, *c.req.Header, name, value)
		c.req.Header.Add(view(name), view(value))
	}
	return 0
}

func requestRemoveHeader(L *glua.LState) int {
	c, n := self(L)
	name := fieldName(L, n)
	id := message.Identify(view(name))
	if id == message.Host {
		L.RaiseError("Host can't be removed: a request must have one")
	}
	if changing(L, id, name) {
		c.req.Header.Remove(view(name))
	}
	return 0
}
