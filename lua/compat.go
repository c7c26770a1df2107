package lua

import (
	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/modules"
	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// flat are the functions of the earlier Keystone's second style. What is
// missing is an empty string there, not nil: its scripts join the results.
func flat(t *modules.Tenant) map[string]glua.LGFunction {
	return map[string]glua.LGFunction{
		"chi_param":       orEmpty(requestParam),
		"chi_context_set": requestSet,
		"chi_context_get": requestGet,
		"request_method":  property("method"),
		"request_url":     property("url"),
		"request_body":    property("body"),
		"request_host":    property("host"),
		"request_path":    property("path"),
		"request_query":   property("query"),
		"request_headers": requestHeaders,
		"request_header":  orEmpty(requestHeader),
		"response_status": responseStatus,
		"response_header": responseHeader,
		"response_write":  responseWrite,
		"http_get":        modules.HTTPGet(t),
		"http_post":       modules.HTTPPost(t),
		"get_env":         getEnv(t),
	}
}

func property(name string) glua.LGFunction {
	return func(L *glua.LState) int {
		c, o := owner(L)
		L.Push(c.requestProperty(L, o, name))
		return 1
	}
}

// orEmpty turns nil into an empty string.
func orEmpty(f glua.LGFunction) glua.LGFunction {
	return func(L *glua.LState) int {
		owner(L)
		f(L)
		if L.Get(-1) == glua.LNil {
			L.Pop(1)
			L.Push(glua.LString(""))
		}
		return 1
	}
}

// requestHeaders returns a table of its own: names as they came, the first
// value of each.
func requestHeaders(L *glua.LState) int {
	c, _ := self(L)
	c.run.Charge(L, 4096)
	t := L.CreateTable(0, 1)
	h := *c.req.Header
	for i := range h {
		if name := string(h[i].Name); c.req.visible(&h[i]) && t.RawGetString(name) == glua.LNil {
			t.RawSetString(name, c.text(L, h[i].Value))
		}
	}
	L.Push(t)
	return 1
}

func getEnv(t *modules.Tenant) glua.LGFunction {
	return func(L *glua.LState) int {
		value, _ := t.Env(vm.CheckString(L, 1))
		L.Push(glua.LString(value))
		return 1
	}
}
