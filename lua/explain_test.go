package lua_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/lua"
)

func TestErrorsSayWhatIsNil(t *testing.T) {
	for _, c := range []struct{ code, want string }{
		{`chi_rute("GET")`, "a.lua:2: attempt to call global 'chi_rute' (a nil value) (did you mean 'chi_route'?)"},
		{`response:wriet("x")`, "a.lua:2: response has no field or method 'wriet' (did you mean 'write'?)"},
		{`respnse:write("x")`, "a.lua:2: attempt to index global 'respnse' (a nil value) (did you mean 'response'?)"},
		{`local t = {} t.a.b.c = 1`, "a.lua:2: attempt to index field 'a' (a nil value)"},
		{`local x = string.formt("x") .. os.execute()`, "a.lua:2: attempt to call field 'formt' (a nil value) (did you mean 'format'?)"},
		{`local s = string s.lenn("x")`, "attempt to call field 'lenn' (a nil value) (did you mean 'len'?)"},
		{`("x"):uper()`, "attempt to call method 'uper' (a nil value) (did you mean 'upper'?)"},
		{`chi.rout("/x")`, "attempt to call field 'rout' (a nil value) (did you mean 'route'?)"},
		{`json.encod({})`, "attempt to call field 'encod' (a nil value) (did you mean 'encode'?)"},
		{`require("keystone.jsn")`, "there is no module \"keystone.jsn\" (did you mean 'keystone.json'?)"},
		{`keystone.metrics.add("x")`, `attempt to index global 'keystone' (a nil value) (did you mean 'require "keystone.…"'?)`},
		{`metrics.add("x")`, `(did you mean 'require "keystone.metrics"'?)`},
		{`json.stringify({})`, "attempt to call field 'stringify' (a nil value) (did you mean 'encode'?)"},
		{`log.warning("x")`, "(did you mean 'warn'?)"},
		{`os.getenv("HOME")`, "(did you mean 'get_env'?)"},
		{`("x"):substring(1)`, "(did you mean 'sub'?)"},
		{`request:write("x")`, "request has no field or method 'write' (response has: functions get request, response and next, in this order)"},
		{`response:send_it("x")`, "response has no field or method 'send_it'"},
		{`if request.metod == "GET" then end`, "a.lua:2: request has no field or method 'metod' (did you mean 'method'?)"},
		{`request:heder("X")`, "a.lua:2: request has no field or method 'heder' (did you mean 'header'?)"},
		{`local r = request r.uri = r.uri`, "request has no field or method 'uri' (did you mean request.url?)"},
		{`local x = request.header["X"]`, "attempt to index field 'header' (a function value) (did you mean 'headers'?)"},
		{`response.status = 404`, "a.lua:2: response.status can't be assigned to: use response.status_code = value or response:status(value)"},
		{`response.status_cod = 404`, "response.status_cod can't be assigned to (did you mean 'status_code'?)"},
		{`response.headers = {}`, "response.headers can't be assigned to: use response.headers[name] = value or response:header(name, value)"},
		{`response.cookie = "a=b"`, "response.cookie can't be assigned to: it is a function, call response:cookie(…)"},
		{`response.mine = 1`, "response.mine can't be assigned to: use request:set(key, value) for values of your own"},
		{`response.status_code = "x"`, "response.status_code must be a number, got string"},
		{`response.status_code = 1e300`, "response.status_code can't be 1e+300, expected 200 to 599"},
		{`response.body = {}`, "response.body must be a string, got table"},
		{`request.method = "GET"`, "request.method can't be assigned to: use request:set_method(value)"},
		{`request.path = "/"`, "request.path can't be assigned to: use request:set_path(value)"},
		{`request.remote_addr = "1"`, "request.remote_addr can't be assigned to, and nothing changes it"},
		{`request.user = "1"`, "request.user can't be assigned to, and nothing changes it"},
		{`request.account = "1"`, "request.account can't be assigned to: use request:set(key, value) for values of your own"},
		{`request[{}] = "1"`, "request.a table can't be assigned to"},
		{`request:header(nil)`, "bad argument #1 to 'header' (string expected, got nil)"},
		{`request.header(request, nil)`, "bad argument #2 to 'header' (string expected, got nil)"},
		{`response:header("X", {})`, "bad argument #2 to 'header' (string expected, got table)"},
		{`response:status("x")`, "bad argument #1 to 'status' (number expected, got string)"},
		{`response:status(42)`, "bad argument #1 to 'status' (status 42 can't be sent, expected 200 to 599)"},
		{`response:write("a", {})`, "bad argument #2 to 'write' (string expected, got table)"},
		{`response:redirect()`, "bad argument #1 to 'redirect' (string expected, got no value)"},
		{`local d = {} local x = "a" .. ((d and -2) and {})`, "a.lua:2: attempt to concatenate a table value"},
		{`local t = {} t[1][2] = 3`, "attempt to index field '?' (a nil value)"},
		{`error("attempt to call a non-function object")`, "a.lua:2: attempt to call a non-function object"},
	} {
		scripts := load(t, "chi_middleware(function(request, response, next)\n"+c.code+" end)")
		failed, ok := errors.AsType[*lua.Error](scripts.Serve(newRequest(), 0))
		if !ok || !strings.Contains(failed.Message, c.want) {
			t.Errorf("%s: %v, expected %q", c.code, failed, c.want)
		} else if !strings.HasSuffix(failed.Stack, "a.lua:2: in the request's outermost function") {
			t.Errorf("%s: the stack is %q", c.code, failed.Stack)
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.lua"), []byte("\nchi_rute('GET')"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := lua.Load(options(dir, "a.lua")); err == nil || !strings.Contains(err.Error(), "a.lua:2: attempt to call global 'chi_rute' (a nil value) (did you mean 'chi_route'?)") {
		t.Errorf("loading: %v", err)
	}
}

// TestGuessesAreCounted has guesses made without end, which requests pay for.
func TestGuessesAreCounted(t *testing.T) {
	for _, statement := range []string{"return request.metod", "response.status_cod = 1"} {
		scripts := load(t, `chi_middleware(function(request, response, next)
			for i = 1, 5000 do pcall(function() `+statement+` end) end
			next()
		end)`)
		r := newRequest()
		r.begin()
		if err := scripts.Serve(r, 0); err == nil || !strings.Contains(err.Error(), "lua.max_") {
			t.Errorf("%s, 5,000 times: %v, expected that a limit is used up", statement, err)
		}
	}
}
