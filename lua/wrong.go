package lua

import (
	"fmt"
	"maps"
	"slices"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// kind is what an object of a request is to a script, and what it says of names
// that the object doesn't have.
type kind struct {
	name       string
	methods    map[string]glua.LGFunction
	properties []string
	get        getter
	set        func(c *call, L *glua.LState, name string) bool // false is a name that can't be assigned to
	assignable []string
	// instead says what changes a property that can't be assigned to.
	instead map[string]string
	// called is what other gateways, frameworks and languages call things.
	called map[string]string
}

// requestKind and responseKind are functions since their methods lead back to
// them.
func requestKind() *kind {
	return &kind{
		name: "request", methods: requestMethods, properties: requestProperties, get: (*call).requestProperty,
		set: func(*call, *glua.LState, string) bool { return false },
		instead: map[string]string{
			"method": "request:set_method(value)", "path": "request:set_path(value)", "query": "request:set_query(value)",
			"host": "request:set_host(value)", "body": "request:set_body(value)", "url": "request:set_path(path) and request:set_query(query)",
			"headers": "request.headers[name] = value or request:set_header(name, value)",
		},
		called: map[string]string{
			"uri": "request.url", "args": "request:query_param(name)", "params_query": "request:query_param(name)", "query_params": "request:query_param(name)",
			"ip": "request.remote_addr", "client_ip": "request.remote_addr", "cookies": "request:cookie(name)", "verb": "request.method",
			"version": "request.protocol", "proto": "request.protocol", "get_header": "request:header(name)", "get_headers": "request.headers",
			"get_method": "request.method", "get_body": "request.body", "get_uri_args": "request:query_param(name)", "context": "request:get(key) and request:set(key, value)",
			"ctx": "request:get(key) and request:set(key, value)", "del_header": "request:remove_header(name)", "clear_header": "request:remove_header(name)",
		},
	}
}

func responseKind() *kind {
	return &kind{
		name: "response", methods: responseMethods, properties: responseProperties, get: (*call).responseProperty,
		set:        (*call).setResponseProperty,
		assignable: []string{"status_code", "body"},
		instead: map[string]string{
			"headers": "response.headers[name] = value or response:header(name, value)",
			"status":  "response.status_code = value or response:status(value)",
		},
		called: map[string]string{
			"code": "response.status_code", "statuscode": "response.status_code", "set_status": "response:status(code)", "get_header": "response:header(name)",
			"content": "response.body", "text": "response.body", "send": "response:write(…)", "say": "response:write(…)", "print": "response:write(…)",
			"del_header": "response:remove_header(name)", "set_cookie": "response:cookie{…}", "content_type": `response:header("Content-Type", value)`,
			"write_header": "response:status(code)", "finish": "return", "exit": "response:status(code) and return", "close": "return", "next": "next()",
		},
	}
}

// names are all that the object has.
func (k *kind) names() []string {
	return slices.Concat(slices.Sorted(maps.Keys(k.methods)), k.properties)
}

// push pushes what a field is; nil is that there is none.
func (k *kind) push(L *glua.LState, value glua.LValue) int {
	if value == nil {
		k.unknown(L, L.Get(2))
	}
	L.Push(value)
	return 1
}

// What a guess is counted as: it compares with all names that the object has,
// and makes lists of them.
const (
	guessWork  = 3000
	guessBytes = 4 << 10
)

// unknown raises that the object has no such field.
func (k *kind) unknown(L *glua.LState, name glua.LValue) {
	chargeGuess(L)
	L.RaiseError("%s", k.noField(fieldText(name)))
}

func chargeGuess(L *glua.LState) {
	run := vm.RunOf(L)
	run.Charge(L, guessBytes)
	run.Spend(L, guessWork)
}

func (k *kind) noField(name string) string {
	return fmt.Sprintf("%s has no field or method '%s'%s", k.name, vm.Clip(name), k.meant(name))
}

// has reports whether the object has a field or method.
func (k *kind) has(name string) bool {
	return k.methods[name] != nil || slices.Contains(k.properties, name)
}

// fieldText is a key as text.
func fieldText(key glua.LValue) string {
	if glua.LVCanConvToString(key) {
		return vm.Text(key)
	}
	return "a " + key.Type().String()
}

// meant guesses what a name was meant to be.
func (k *kind) meant(name string) string {
	if right := k.called[name]; right != "" {
		return fmt.Sprintf(" (did you mean %s?)", right)
	}
	if guess := vm.Suggestion(name, k.names()); guess != "" {
		return guess
	}
	for _, other := range []*kind{requestKind(), responseKind()} {
		if other.has(name) || other.called[name] != "" {
			return fmt.Sprintf(" (%s has: functions get request, response and next, in this order)", other.name)
		}
	}
	return ""
}

// refusal says why a field can't be assigned to, and what to do instead.
func (k *kind) refusal(name string) string {
	said := k.name + "." + vm.Clip(name) + " can't be assigned to"
	switch right := k.instead[name]; {
	case right != "":
		return said + ": use " + right
	case slices.Contains(k.properties, name):
		return said + ", and nothing changes it"
	case k.methods[name] != nil:
		return said + ": it is a function, call " + k.name + ":" + name + "(…)"
	}
	if hint := k.meant(name); hint != "" {
		return said + hint
	}
	return said + ": use request:set(key, value) for values of your own"
}

// fieldNames lists what an object of a request has, for messages.
func fieldNames(object *glua.LUserData) []string {
	o, ok := object.Value.(*objects)
	if !ok {
		return nil
	}
	switch object {
	case &o.request:
		return requestKind().names()
	case &o.response:
		return responseKind().names()
	}
	return nil
}
