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
		{`chi_rute("GET")`, "a.lua:2: attempt to call a non-function object (chi_rute is not a function)"},
		{`response:wriet("x")`, "(response:wriet is not a function)"},
		{`respnse:write("x")`, "(respnse is not a table)"},
		{`local t = {} t.a.b.c = 1`, "(t.a is not a table)"},
		{`local x = string.foo() .. os.execute()`, "(one of: string.foo, os.execute)"},
		{`local t = {} t[1][2] = 3`, "attempt to index a non-table object(nil)"},
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
	if _, err := lua.Load(options(dir, "a.lua")); err == nil || !strings.Contains(err.Error(), "a.lua:2: attempt to call a non-function object (chi_rute is not a function)") {
		t.Errorf("loading: %v", err)
	}
}
