package luatest

import (
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/modules"
	"github.com/keystone-gateway/keystone-gateway/lua/stdlib"
	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// Responses, and the requests that mocks have received, are tables with
// fields and these methods:
//
//	message:json()              the body, decoded
//	message:header(name)        the first field of that name, or nil
//	message:headers_all(name)   a list of all of them
//	message:cookie(name)        the value of a cookie that is set or sent, or nil
//
// message.headers is a table of names and values as they came, which can be
// indexed in any case; several fields of a name are joined by ", ".

// allFields is where a message keeps its fields, as strings in turn.
const allFields = "\x00fields"

// openMessages makes the metatables of messages and of their headers.
func (f *file) openMessages(L *glua.LState) {
	f.headers = L.NewTable()
	f.headers.RawSetString("__index", L.NewFunction(func(L *glua.LState) int {
		L.Push(vm.CheckTable(L, 1).RawGetString(textproto.CanonicalMIMEHeaderKey(vm.CheckString(L, 2))))
		return 1
	}))
	f.headers.RawSetString("__metatable", glua.LFalse)
	methods := L.SetFuncs(L.NewTable(), map[string]glua.LGFunction{
		"json": messageJSON, "header": messageHeader, "headers_all": messageHeaders, "cookie": messageCookie,
	})
	f.message = L.NewTable()
	f.message.RawSetString("__index", vm.Freeze(L, "message", methods))
	f.message.RawSetString("__metatable", glua.LFalse)
}

// pushMessage pushes a message with its header and body; more fields are the
// caller's to set.
func (f *file) pushMessage(L *glua.LState, header http.Header, body []byte) *glua.LTable {
	size := 2000 + len(body)
	for name, values := range header {
		size += 200 + len(name)
		for _, v := range values {
			size += 2*len(v) + 50
		}
	}
	vm.RunOf(L).Charge(L, size)
	t, headers, all := L.NewTable(), L.NewTable(), L.NewTable()
	for _, name := range slices.Sorted(maps.Keys(header)) {
		headers.RawSetString(name, glua.LString(strings.Join(header[name], ", ")))
		for _, value := range header[name] {
			all.Append(glua.LString(name))
			all.Append(glua.LString(value))
		}
	}
	headers.Metatable = f.headers
	t.RawSetString("headers", headers)
	t.RawSetString("body", glua.LString(body))
	holder := L.NewTable() // out of sight of pairs
	holder.RawSetString("__index", f.message.RawGetString("__index"))
	holder.RawSetString("__metatable", glua.LFalse)
	holder.RawSetString(allFields, all)
	t.Metatable = holder
	L.Push(t)
	return t
}

// fieldsOf returns the values of all fields of a name.
func fieldsOf(L *glua.LState, name string) []string {
	meta, ok := vm.CheckTable(L, 1).Metatable.(*glua.LTable)
	if !ok {
		vm.ArgError(L, 1, "expected a response or a request; call it with a colon")
	}
	all, ok := meta.RawGetString(allFields).(*glua.LTable)
	if !ok {
		vm.ArgError(L, 1, "expected a response or a request; call it with a colon")
	}
	name = textproto.CanonicalMIMEHeaderKey(name)
	var values []string
	for i := 1; i < all.Len(); i += 2 {
		if all.RawGetInt(i).String() == name {
			values = append(values, all.RawGetInt(i+1).String())
		}
	}
	return values
}

func messageHeader(L *glua.LState) int {
	if values := fieldsOf(L, vm.CheckString(L, 2)); len(values) > 0 {
		L.Push(glua.LString(values[0]))
	} else {
		L.Push(glua.LNil)
	}
	return 1
}

func messageHeaders(L *glua.LState) int {
	list := L.NewTable()
	for _, value := range fieldsOf(L, vm.CheckString(L, 2)) {
		list.Append(glua.LString(value))
	}
	L.Push(list)
	return 1
}

func messageCookie(L *glua.LState) int {
	name := vm.CheckString(L, 2)
	for _, line := range fieldsOf(L, "Set-Cookie") {
		if cookie, err := http.ParseSetCookie(line); err == nil && cookie.Name == name {
			L.Push(glua.LString(cookie.Value))
			return 1
		}
	}
	for _, line := range fieldsOf(L, "Cookie") {
		cookies, _ := http.ParseCookie(line) // none if it can't be parsed
		for _, cookie := range cookies {
			if cookie.Name == name {
				L.Push(glua.LString(cookie.Value))
				return 1
			}
		}
	}
	L.Push(glua.LNil)
	return 1
}

func messageJSON(L *glua.LState) int {
	body, ok := vm.CheckTable(L, 1).RawGetString("body").(glua.LString)
	if !ok {
		vm.ArgError(L, 1, "expected a response or a request; call it with a colon")
	}
	value, err := modules.DecodeJSON(L, []byte(body))
	if err != nil {
		L.RaiseError("the body is not JSON: %s\n  body: %s", cause.Text(err), show(body))
	}
	L.Push(value)
	return 1
}

// headerTable reads a table of header fields: a value is a string, a number or
// a list of them. It raises what could not be sent.
func headerTable(L *glua.LState, arg int, t *glua.LTable) (fields [][2]string) {
	t = plain(t)
	for k, v := t.Next(glua.LNil); k != glua.LNil; k, v = t.Next(k) {
		name, ok := k.(glua.LString)
		if !ok || !message.IsToken([]byte(name)) {
			vm.ArgError(L, arg, "the name of a header field is wrong: "+show(k))
		}
		list := []glua.LValue{v}
		if values, ok := v.(*glua.LTable); ok {
			list = nil
			for i := 1; i <= plain(values).Len(); i++ {
				list = append(list, plain(values).RawGetInt(i))
			}
		}
		for _, value := range list {
			if !glua.LVCanConvToString(value) {
				vm.ArgError(L, arg, "header field "+string(name)+" must be a string, not a "+value.Type().String())
			}
			text := stdlib.ToString(L, value)
			if strings.ContainsAny(text, "\r\n\x00") {
				vm.ArgError(L, arg, "header field "+string(name)+" has a line break or NUL in it")
			}
			fields = append(fields, [2]string{string(name), text})
		}
		vm.RunOf(L).Charge(L, 100)
	}
	// Tables have no order; the same request is the same bytes.
	slices.SortStableFunc(fields, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return fields
}
