package lua

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unsafe"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/modules"
	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/tenants/cookie"
)

// requestMethods are what scripts call as request:name(…). The earlier
// Keystone's scripts also call request.name(…).
var requestMethods = map[string]glua.LGFunction{
	"header":        requestHeader,
	"headers_all":   requestHeadersAll,
	"set_header":    requestSetHeader,
	"add_header":    requestAddHeader,
	"remove_header": requestRemoveHeader,
	"query_param":   requestQueryParam,
	"cookie":        requestCookie,
	"param":         requestParam,
	"set_path":      requestSetPath,
	"set_query":     requestSetQuery,
	"set_method":    requestSetMethod,
	"set_host":      requestSetHost,
	"set_body":      requestSetBody,
	"set":           requestSet,
	"get":           requestGet,
	"set_context":   requestSet,
	"get_context":   requestGet,
	"upstream":      requestUpstream,
	"pool":          requestPool,
	"balance_key":   requestBalanceKey,
	"json":          requestJSON,
	"identity":      requestIdentity,
}

// requestProperties are the names that call.requestProperty knows.
var requestProperties = []string{
	"method", "path", "url", "query", "host", "scheme", "protocol", "remote_addr", "id", "tenant", "route",
	"client_certificate", "user", "headers", "body", "params",
}

// requestProperty is request.name for what is not a method; nil is no such name.
func (c *call) requestProperty(L *glua.LState, o *objects, name string) glua.LValue {
	r := c.req
	switch name {
	case "method":
		return c.text(L, r.Method)
	case "path":
		return c.text(L, r.Path)
	case "url":
		return c.text(L, append(bytes.Clone(r.Path), r.Query...))
	case "query":
		return c.text(L, bytes.TrimPrefix(r.Query, []byte("?")))
	case "host":
		return c.text(L, r.Host)
	case "scheme":
		return glua.LString(r.Scheme)
	case "protocol":
		return glua.LString(r.Protocol)
	case "remote_addr":
		if !r.Remote.IsValid() {
			return glua.LString("unix")
		}
		return glua.LString(r.Remote.String())
	case "client_certificate":
		return c.certificateTable(L)
	case "user":
		if r.User == nil {
			return glua.LNil
		}
		return c.text(L, r.User)
	case "id":
		return c.text(L, r.ID)
	case "tenant":
		return glua.LString(r.Tenant)
	case "route":
		return glua.LString(r.Route)
	case "headers":
		return &o.headers
	case "body":
		return c.readBody(L)
	case "params":
		return c.paramsTable(L)
	}
	return nil
}

// isProperty reports whether a string is a property of the running request, which
// scripts of the first style may call.
func isProperty(L *glua.LState, name, text string) bool {
	c, ok := vm.RunOf(L).Owner.(*call)
	if !ok || c.exchange == nil || !slices.Contains(requestProperties, name) {
		return false
	}
	value := c.body // which isn't read for this
	if name != "body" {
		value = c.requestProperty(L, &objects{}, name)
	}
	return value == glua.LString(text)
}

// text makes a Lua string of the proxy's memory.
func (c *call) text(L *glua.LState, b []byte) glua.LValue {
	if len(b) > maxInterned {
		c.run.Charge(L, len(b)+16)
	}
	return c.shard.intern(b)
}

// view returns the bytes of a Lua string without a copy: strings never change,
// and neither does anyone change header fields in place. Those of an empty one
// aren't nil, which would be no field at all.
func view(s string) []byte {
	if s == "" {
		return []byte{}
	}
	return unsafe.Slice(unsafe.StringData(s), len(s)) //nolint:gosec // G103: read only, and it keeps the string alive
}

func requestQueryParam(L *glua.LState) int {
	c, n := self(L)
	want := vm.CheckString(L, n)
	query := bytes.TrimPrefix(c.req.Query, []byte("?"))
	c.run.Spend(L, len(query)/16)
	for len(query) > 0 {
		var pair []byte
		pair, query, _ = bytes.Cut(query, []byte("&"))
		key, value, _ := bytes.Cut(pair, []byte("="))
		if unescapeQuery(key) == want {
			c.run.Charge(L, len(value)+16)
			L.Push(glua.LString(unescapeQuery(value)))
			return 1
		}
	}
	L.Push(glua.LNil)
	return 1
}

// unescapeQuery decodes a part of a query; what is no escape stays as it is.
func unescapeQuery(b []byte) string {
	if !bytes.ContainsAny(b, "%+") {
		return string(b)
	}
	return string(message.AppendParameter(make([]byte, 0, len(b)), b))
}

func requestCookie(L *glua.LState) int {
	c, n := self(L)
	want := vm.CheckString(L, n)
	h := *c.req.Header
	for i := range h {
		if !message.SameName(h[i].Name, view("cookie")) || !c.req.visible(&h[i]) {
			continue
		}
		c.run.Spend(L, len(h[i].Value)/16)
		if value, ok := cookie.In(h[i].Value, want); ok {
			L.Push(c.text(L, value))
			return 1
		}
	}
	L.Push(glua.LNil)
	return 1
}

func requestParam(L *glua.LState) int {
	c, n := self(L)
	L.Push(c.param(L, vm.CheckString(L, n)))
	return 1
}

// param returns a parameter of the route, decoded, or nil.
func (c *call) param(L *glua.LState, name string) glua.LValue {
	value, ok := c.params.Get(name)
	if !ok {
		return glua.LNil
	}
	return c.paramText(L, value)
}

func (c *call) paramText(L *glua.LState, value []byte) glua.LValue {
	if bytes.IndexByte(value, '%') >= 0 {
		c.run.Charge(L, len(value)+16)
		if decoded, err := url.PathUnescape(string(value)); err == nil {
			return glua.LString(decoded)
		}
	}
	return c.text(L, value)
}

func (c *call) paramsTable(L *glua.LState) glua.LValue {
	c.run.Charge(L, 2048)
	t := L.CreateTable(0, 1)
	for i := range c.params.Len() {
		name, value := c.params.At(i)
		t.RawSetString(name, c.paramText(L, value))
	}
	return t
}

// requestIdentity is request:identity(name): what a policy has found out about who
// has sent the request, such as "jwt.sub", or nil.
func requestIdentity(L *glua.LState) int {
	c, n := self(L)
	name := vm.CheckString(L, n)
	var value []byte
	if c.req.Identity != nil {
		value = c.req.Identity.Left(name)
	}
	if value == nil {
		L.Push(glua.LNil)
	} else {
		L.Push(c.text(L, value))
	}
	return 1
}

// check raises an error of the exchange as one of the script's call.
func (c *call) check(L *glua.LState, err error) {
	if err != nil {
		L.RaiseError("%s", err.Error())
	}
}

// before refuses what makes no difference any more.
func (c *call) before(L *glua.LState, what string) {
	if c.forwarded {
		L.RaiseError("%s was called after next had sent the request on", what)
	}
}

func requestSetPath(L *glua.LState) int {
	c, n := self(L)
	c.before(L, "request:set_path")
	c.check(L, c.exchange.SetPath(vm.CheckString(L, n)))
	return 0
}

func requestSetQuery(L *glua.LState) int {
	c, n := self(L)
	c.before(L, "request:set_query")
	c.check(L, c.exchange.SetQuery(strings.TrimPrefix(vm.CheckString(L, n), "?")))
	return 0
}

func requestSetMethod(L *glua.LState) int {
	c, n := self(L)
	c.before(L, "request:set_method")
	method := vm.CheckString(L, n)
	if !isToken(method) || len(method) > 32 || slices.Contains(unsendable, strings.ToUpper(method)) {
		vm.ArgError(L, n, fmt.Sprintf("%q is not a method that can be sent on", vm.Clip(method)))
	}
	c.req.Method = view(method)
	return 0
}

// unsendable methods mean something else to a connection, or to HTTP/2.
var unsendable = []string{"CONNECT", "TRACE", "PRI"}

func requestSetHost(L *glua.LState) int {
	c, n := self(L)
	c.before(L, "request:set_host")
	c.check(L, c.exchange.SetHost(vm.CheckString(L, n)))
	return 0
}

func requestSetBody(L *glua.LState) int {
	c, n := self(L)
	c.before(L, "request:set_body")
	body := vm.CheckString(L, n)
	c.req.Body, c.req.Replaced = view(body), true
	c.body = glua.LString(body)
	return 0
}

func requestSet(L *glua.LState) int {
	c, n := self(L)
	key := vm.CheckString(L, n)
	if c.values == nil {
		c.values = map[string]glua.LValue{}
	}
	value := L.Get(n + 1)
	if value == glua.LNil {
		delete(c.values, key)
		return 0
	}
	c.run.Charge(L, 64)
	c.values[key] = value
	return 0
}

func requestGet(L *glua.LState) int {
	c, n := self(L)
	if value, ok := c.values[vm.CheckString(L, n)]; ok {
		L.Push(value)
	} else {
		L.Push(glua.LNil)
	}
	return 1
}

func requestUpstream(L *glua.LState) int {
	c, n := self(L)
	c.before(L, "request:upstream")
	c.check(L, c.exchange.Choose(vm.CheckString(L, n)))
	return 0
}

func requestPool(L *glua.LState) int {
	c, n := self(L)
	c.before(L, "request:pool")
	c.check(L, c.exchange.ChoosePool(vm.CheckString(L, n)))
	return 0
}

func requestBalanceKey(L *glua.LState) int {
	c, n := self(L)
	c.before(L, "request:balance_key")
	c.check(L, c.exchange.SetBalanceKey(vm.CheckString(L, n)))
	return 0
}

// readBody returns request.body, which is read from the client when it is
// first asked for.
func (c *call) readBody(L *glua.LState) glua.LValue {
	if c.body != nil {
		return c.body
	}
	var body []byte
	var err error
	limit := c.shard.owner.options.Config.MaxBody.Int64()
	c.run.Yield(L, func() { body, err = c.exchange.ReadBody(limit) })
	if err != nil {
		c.failWith(L, err)
	}
	c.run.Charge(L, len(body)+16)
	c.body = glua.LString(body)
	return c.body
}

// failWith raises an error of the exchange.
func (c *call) failWith(L *glua.LState, err error) {
	if errors.Is(err, ErrGone) {
		c.run.Fail(L, vm.Cancelled, err.Error())
	}
	if ending, ok := errors.AsType[*Ending](err); ok {
		c.raise(L, ending.Err)
	}
	L.RaiseError("%s", err.Error())
}

// requestJSON decodes the body.
func requestJSON(L *glua.LState) int {
	c, _ := self(L)
	text, _ := c.readBody(L).(glua.LString)
	value, err := modules.DecodeJSON(L, view(string(text)))
	if err != nil {
		L.Push(glua.LNil)
		L.Push(glua.LString(err.Error()))
		return 2
	}
	L.Push(value)
	return 1
}
