package lua

import (
	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// headersMeta makes the metatable of request.headers or response.headers.
func headersMeta(L *glua.LState, ofResponse bool) *glua.LTable {
	meta := L.CreateTable(0, 1)
	for name, f := range map[string]glua.LGFunction{
		"__index": func(L *glua.LState) int { return headersIndex(L, ofResponse) },
		"__newindex": func(L *glua.LState) int {
			owner(L)
			if ofResponse {
				return responseHeader(L)
			}
			return requestSetHeader(L)
		},
		"__pairs": func(L *glua.LState) int { return headersPairs(L, ofResponse) },
		"__call": func(L *glua.LState) int { // request:headers()
			owner(L)
			L.SetTop(1)
			return 1
		},
		"__len": func(L *glua.LState) int {
			c, _ := owner(L)
			L.Push(glua.LNumber(len(c.fields(ofResponse))))
			return 1
		},
	} {
		meta.RawSetString(name, L.NewFunction(f))
	}
	meta.RawSetString("__metatable", glua.LFalse)
	return meta
}

func (c *call) fields(ofResponse bool) message.Header {
	if ofResponse {
		return *c.resp.Header
	}
	return *c.req.Header
}

func headersIndex(L *glua.LState, ofResponse bool) int {
	c, _ := owner(L)
	name, ok := L.Get(2).(glua.LString)
	var value []byte
	switch {
	case !ok || !isToken(string(name)):
	case ofResponse:
		value = c.resp.Header.Value(view(string(name)))
	default:
		value = c.header(view(string(name)))
	}
	if value == nil {
		L.Push(glua.LNil)
	} else {
		L.Push(c.text(L, value))
	}
	return 1
}

// headersPairs makes an iterator, which knows its request by a handle only.
func headersPairs(L *glua.LState, ofResponse bool) int {
	c, _ := owner(L)
	c.run.Charge(L, 256)
	of, i := c.number, 0
	L.Push(L.NewFunction(func(L *glua.LState) int {
		c := of.call(L)
		for h := c.fields(ofResponse); i < len(h); {
			f := &h[i]
			i++
			if !f.Dropped && (ofResponse || c.req.visible(f)) {
				L.Push(c.text(L, f.Name))
				L.Push(c.text(L, f.Value))
				return 2
			}
		}
		return 0
	}))
	return 1
}
