package lua_test

import (
	"testing"

	"github.com/keystone-gateway/keystone-gateway/lua"
)

// TestVariablesOutliveTheirStack: what functions have captured stays when the coroutine,
// or the request, whose variables it was has failed.
func TestVariablesOutliveTheirStack(t *testing.T) {
	t.Parallel()
	const captured = `local a, b, c = "a", {"b"}, "c"
		F, G, H = function() return a end, function() return b[1] end, function() return c end
		error("x")`
	for name, body := range map[string]string{
		"a coroutine": "coroutine.resume(coroutine.create(function() " + captured + " end))",
		"a wrapped":   "pcall(coroutine.wrap(function() " + captured + " end))",
		"a request":   captured,
		"pcall":       "pcall(function() " + captured + " end)",
	} {
		dir := t.TempDir()
		put(t, dir, "a.lua", "chi_middleware(function(request, response, next) if F then response:write(F() .. G() .. H()) return end "+body+" end)")
		o := options(dir, "a.lua")
		o.Shards = 1
		scripts, err := lua.Load(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(scripts.Close)
		if err := scripts.Serve(newPage(), 0); (err != nil) != (name == "a request") {
			t.Errorf("%s: %v", name, err)
		}
		for range 3 {
			p := newPage()
			if got := p.answered(scripts.Serve(p, 0)); got != "0 abc" {
				t.Errorf("%s: got %q", name, got)
			}
		}
	}
}
