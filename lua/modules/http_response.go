package modules

import (
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
	"github.com/keystone-gateway/keystone-gateway/tenants/fetch"
)

// What tables cost, roughly.
const (
	tableBytes = 200
	entryBytes = 100
)

// responses makes the tables that scripts see responses as. There is one for
// each VM: it holds the metatables.
type responses struct {
	response *glua.LTable // response:json()
	lower    *glua.LTable // finds fields by names in any case among lower-case ones
	title    *glua.LTable // among those written Like-This
}

func newResponses(L *glua.LState) *responses {
	meta := func(index glua.LValue) *glua.LTable {
		t := L.CreateTable(0, 1)
		t.RawSetString("__index", index)
		t.RawSetString("__metatable", glua.LFalse)
		return t
	}
	methods := L.CreateTable(0, 1)
	methods.RawSetString("json", L.NewFunction(responseJSON))
	return &responses{
		response: meta(methods),
		lower:    meta(L.NewFunction(lookUp(strings.ToLower))),
		title:    meta(L.NewFunction(lookUp(textproto.CanonicalMIMEHeaderKey))),
	}
}

// lookUp is the __index of a table of fields.
func lookUp(spell func(string) string) glua.LGFunction {
	return func(L *glua.LState) int {
		fields := vm.CheckTable(L, 1)
		name, ok := L.Get(2).(glua.LString)
		if !ok || len(name) > 256 {
			return 0
		}
		L.Push(fields.RawGetString(spell(string(name))))
		return 1
	}
}

// push makes the table of an answer.
func (rs *responses) push(L *glua.LState, a *fetch.Answer) *glua.LTable {
	all := rs.charged(L, a.Header)
	one := L.CreateTable(0, len(a.Header))
	one.Metatable, all.Metatable = rs.lower, rs.lower
	for name, values := range a.Header {
		name = strings.ToLower(name)
		one.RawSetString(name, glua.LString(strings.Join(values, ", ")))
		all.RawSetString(name, stringList(L, values))
	}
	t := L.CreateTable(0, 5)
	t.RawSetString("status", glua.LNumber(a.Status))
	t.RawSetString("body", glua.LString(a.Body))
	t.RawSetString("url", glua.LString(a.URL))
	t.RawSetString("headers", one)
	t.RawSetString("headers_all", all)
	t.Metatable = rs.response
	return t
}

// flat makes the table of fields that the earlier Keystone's functions return:
// Set-Cookie, whose values can't be joined, is a list.
func (rs *responses) flat(L *glua.LState, header http.Header) *glua.LTable {
	fields := rs.charged(L, header)
	fields.Metatable = rs.title
	for name, values := range header {
		fields.RawSetString(name, glua.LString(values[0])) // as the earlier Keystone has it
	}
	return fields
}

// charged returns an empty table, when the memory for all that response tables
// hold of a header has been counted.
func (rs *responses) charged(L *glua.LState, header http.Header) *glua.LTable {
	bytes, fields := 3*tableBytes, 0
	for name, values := range header {
		bytes += tableBytes + 2*entryBytes + 2*len(name)
		for _, value := range values {
			bytes += 2*len(value) + entryBytes
		}
		fields += len(values)
	}
	run := vm.RunOf(L)
	run.Charge(L, bytes)
	run.Spend(L, 30*fields+bytes/16)
	return L.CreateTable(0, len(header))
}

func stringList(L *glua.LState, values []string) *glua.LTable {
	list := L.CreateTable(len(values), 0)
	for _, value := range values {
		list.Append(glua.LString(value))
	}
	return list
}

// response:json() -> value | nil, message: the body, decoded as json.decode
// does.
func responseJSON(L *glua.LState) int {
	body, ok := plain(vm.CheckTable(L, 1)).RawGetString("body").(glua.LString)
	if !ok {
		vm.ArgError(L, 1, "a response expected: call it as response:json()")
	}
	vm.RunOf(L).Charge(L, len(body))
	value, err := DecodeJSON(L, []byte(body))
	if err != nil {
		return failed(L, err)
	}
	L.Push(value)
	return 1
}

// failed returns nil and a message: Lua's way to say that something outside of
// the script went wrong.
func failed(L *glua.LState, err error) int {
	L.Push(glua.LNil)
	L.Push(messageOf(L, err))
	return 2
}

// messageOf returns the text of an error. It may quote what a server sent.
func messageOf(L *glua.LState, err error) glua.LString {
	message := cause.Text(err)
	message = strings.ToValidUTF8(message[:min(len(message), 500)], "\uFFFD")
	vm.RunOf(L).Charge(L, len(message))
	return glua.LString(message)
}

// bodyOptions are those of http.request.
func bodyOptions() []string {
	return slices.Concat([]string{"method", "url", "body"}, commonOptions())
}
