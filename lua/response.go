package lua

import (
	"fmt"
	"net/http"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/modules"
	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// responseMethods are what scripts call as response:name(…).
var responseMethods = map[string]glua.LGFunction{
	"status":        responseStatus,
	"header":        responseHeader,
	"headers_all":   responseHeadersAll,
	"set_header":    responseHeader,
	"add_header":    responseAddHeader,
	"remove_header": responseRemoveHeader,
	"write":         responseWrite,
	"json":          responseJSON,
	"redirect":      responseRedirect,
	"cookie":        responseCookie,
	"set_body":      responseSetBody,
	"flush":         responseFlush,
}

// responseProperties are the names that responseProperty knows.
var responseProperties = []string{"status_code", "headers", "body"}

// responseProperty is response.name for what is not a method; nil is no such
// name.
func (c *call) responseProperty(L *glua.LState, o *objects, name string) glua.LValue {
	switch name {
	case "status_code":
		return glua.LNumber(c.resp.status())
	case "headers":
		return &o.responseHeaders
	case "body":
		return c.responseBody(L)
	}
	return nil
}

// setResponseProperty is response.status_code = n and response.body = s.
func (c *call) setResponseProperty(L *glua.LState, name string) bool {
	switch name {
	case "status_code":
		n, ok := vm.Number(L, L.Get(3))
		if !ok {
			L.RaiseError("response.status_code must be a number, got %s", L.Get(3).Type())
		}
		if status := int(max(-1, min(n, 1000))); sendable(status) {
			c.applyStatus(status)
		} else {
			L.RaiseError("response.status_code can't be %s, expected 200 to 599", vm.NumberText(n))
		}
	case "body":
		if text := L.Get(3); glua.LVCanConvToString(text) {
			c.replaceBody(L, vm.CheckString(L, 3))
		} else {
			L.RaiseError("response.body must be a string, got %s", text.Type())
		}
	default:
		return false
	}
	return true
}

// sendable reports whether a status can be that of a response.
func sendable(status int) bool { return status >= 200 && status <= 599 }

func (r *Response) status() int {
	if r.Status == 0 {
		return http.StatusOK
	}
	return r.Status
}

func responseStatus(L *glua.LState) int {
	c, n := self(L)
	c.setStatus(L, n)
	return 0
}

func (c *call) setStatus(L *glua.LState, n int) {
	status := vm.CheckInt(L, n)
	if !sendable(status) {
		vm.ArgError(L, n, fmt.Sprintf("status %d can't be sent, expected 200 to 599", status))
	}
	c.applyStatus(status)
}

func (c *call) applyStatus(status int) {
	if !c.resp.Begun {
		c.resp.Status = status
	}
}

func responseHeader(L *glua.LState) int {
	c, n := self(L)
	name := fieldName(L, n)
	if L.GetTop() == n {
		value := c.resp.Header.Value(view(name))
		if value == nil {
			L.Push(glua.LNil)
		} else {
			L.Push(c.text(L, value))
		}
		return 1
	}
	if L.Get(n+1) == glua.LNil {
		return responseRemoveHeader(L)
	}
	c.setResponseHeader(L, name, fieldValue(L, n+1))
	return 0
}

// setResponseHeader sets a field, unless it is the gateway's or the head has
// been sent.
func (c *call) setResponseHeader(L *glua.LState, name, value string) {
	if c.ignored(name) {
		return
	}
	c.room(L, *c.resp.Header, name, value)
	c.resp.Header.Set(view(name), view(value))
}

// ignored reports fields that scripts may name but not change.
func (c *call) ignored(name string) bool {
	id := message.Identify(view(name))
	return c.resp.Begun || framing.Has(id) && id != message.Upgrade || id == message.XRequestID // Upgrade is sent with a 426
}

func responseHeadersAll(L *glua.LState) int {
	c, n := self(L)
	L.Push(c.all(L, *c.resp.Header, fieldName(L, n), func(f *message.Field) bool { return !f.Dropped }))
	return 1
}

func responseAddHeader(L *glua.LState) int {
	c, n := self(L)
	c.addResponseHeader(L, fieldName(L, n), fieldValue(L, n+1))
	return 0
}

func (c *call) addResponseHeader(L *glua.LState, name, value string) {
	if c.ignored(name) {
		return
	}
	c.room(L, *c.resp.Header, name, value)
	c.resp.Header.Add(view(name), view(value))
}

func responseRemoveHeader(L *glua.LState) int {
	c, n := self(L)
	if name := fieldName(L, n); !c.ignored(name) {
		c.resp.Header.Remove(view(name))
	}
	return 0
}

// own makes the response the script's, for something to be written to it.
func (c *call) own(L *glua.LState) {
	if c.resp.Target {
		L.RaiseError("the response's body comes from the target: read response.body, or replace it with response:set_body(text)")
	}
	if c.resp.Fault {
		c.resp.Fault = false
		c.resp.Body = c.resp.Body[:0]
	}
}

// takeOver makes the response the script's: a target's body is dropped.
func (c *call) takeOver(L *glua.LState) {
	if c.resp.Target {
		c.replaceBody(L, "")
	}
	c.own(L)
}

func responseWrite(L *glua.LState) int {
	c, n := self(L)
	c.own(L)
	for ; n <= L.GetTop(); n++ {
		switch v := L.Get(n).(type) {
		case glua.LString:
			c.write(L, string(v))
		case glua.LNumber:
			c.write(L, vm.Text(v))
		default:
			vm.ArgError(L, n, fmt.Sprintf("string expected, got %s", v.Type()))
		}
	}
	return 0
}

func (c *call) write(L *glua.LState, s string) {
	if grown := len(c.resp.Body) + len(s); grown > cap(c.resp.Body) {
		c.run.Charge(L, grown)
	}
	c.resp.Body = vm.AppendBytes(c.resp.Body, s)
	if c.resp.Begun && len(c.resp.Body) >= 64<<10 {
		c.flush(L)
	}
}

func responseJSON(L *glua.LState) int {
	c, n := self(L)
	c.takeOver(L)
	text, err := modules.EncodeJSON(L, vm.CheckAny(L, n))
	if err != nil {
		L.RaiseError("response:json: %s", err.Error())
	}
	c.setResponseHeader(L, "Content-Type", "application/json")
	if status := n + 1; L.GetTop() >= status {
		c.setStatus(L, status)
	}
	c.write(L, string(text))
	return 0
}

func responseRedirect(L *glua.LState) int {
	c, n := self(L)
	c.takeOver(L)
	target := fieldValue(L, n)
	code := vm.OptInt(L, n+1, http.StatusFound)
	if code < 300 || code > 308 || code == 304 {
		vm.ArgError(L, n+1, fmt.Sprintf("%d is not the status of a redirect, expected 301, 302, 303, 307 or 308", code))
	}
	if target == "" {
		vm.ArgError(L, n, "the target of a redirect is empty")
	}
	c.setResponseHeader(L, "Location", target)
	if !c.resp.Begun {
		c.resp.Status = code
		c.resp.Body = c.resp.Body[:0]
	}
	return 0
}

func responseSetBody(L *glua.LState) int {
	c, n := self(L)
	c.replaceBody(L, vm.CheckString(L, n))
	return 0
}

// replaceBody drops the body there is, and the fields that describe it.
func (c *call) replaceBody(L *glua.LState, body string) {
	if c.resp.Begun {
		L.RaiseError("the response has begun: its body can't be replaced")
	}
	c.run.Charge(L, len(body))
	if c.resp.Target && c.resp.Status == http.StatusSwitchingProtocols {
		L.RaiseError("the connection is about to become a tunnel: set another status before its body")
	}
	if c.resp.Header != &c.resp.Local {
		for _, name := range describing {
			c.resp.Header.Remove(view(name))
		}
		if c.resp.Status == http.StatusPartialContent { // of which nobody could say any more which part it is
			c.resp.Status = http.StatusOK
		}
	}
	c.resp.Target, c.resp.Fault = false, false
	c.resp.Body = vm.AppendBytes(c.resp.Body[:0], body)
}

// describing fields are those of a body that is no more.
var describing = []string{"Content-Encoding", "Content-Range", "Content-MD5", "Content-Digest", "Repr-Digest", "Digest", "ETag", "Accept-Ranges"}

// responseBody returns response.body: all of a target's body is read for it.
func (c *call) responseBody(L *glua.LState) glua.LValue {
	if c.resp.Begun {
		L.RaiseError("the response has begun: its body is no longer there")
	}
	if c.resp.Target {
		if c.resp.Status == http.StatusSwitchingProtocols {
			L.RaiseError("the connection is about to become a tunnel: it has no body")
		}
		var err error
		limit := c.shard.owner.options.Config.MaxBody.Int64()
		c.run.Yield(L, func() { err = c.exchange.ReadResponse(limit) })
		if err != nil {
			c.failWith(L, err)
		}
	}
	c.run.Charge(L, len(c.resp.Body)+16)
	return glua.LString(c.resp.Body)
}

func responseFlush(L *glua.LState) int {
	c, _ := self(L)
	if c.resp.Target {
		L.RaiseError("the response's body comes from the target, which needs no flush")
	}
	c.flush(L)
	return 0
}

func (c *call) flush(L *glua.LState) {
	var err error
	c.run.Yield(L, func() { err = c.exchange.Flush() })
	if err != nil {
		c.failWith(L, err)
	}
}
