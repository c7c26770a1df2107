package lua_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/lua"
)

// TestWarningsOfDeclarations: what is declared and never called, with a pool and without,
// in the order of files and lines.
func TestWarningsOfDeclarations(t *testing.T) {
	t.Parallel()
	const (
		notFound = ": chi_not_found is never called here: what no route matches goes to the tenant's services\n"
		never    = ": the middleware is never called: its group has neither a prefix nor routes\n"
		none     = "a.lua: the tenant's scripts declare no routes and no middleware\n"
	)
	for _, c := range []struct{ script, with, without string }{
		{`local a = 1`, none, none},
		{`chi_group(function() end)`, none, none},
		{`chi_not_found(f)`, "a.lua:1" + notFound, ""},
		{`chi_method_not_allowed(f)`, none, none},
		{`chi.tls_ask(function() return true end)`, "", ""},
		{`chi.group("/v", function() chi.not_found(f) end)`, "", ""},
		{`chi.use(m) chi.not_found(f)`, "a.lua:1" + notFound, ""},
		{`chi.use(m) chi.group(function() chi.use(m) end)`, "a.lua:1" + never, "a.lua:1" + never},
		{`chi.use(m) chi.group("/v", function() chi.use(m) end)`, "", ""},
		{`chi.use(m) chi.group(function() chi.use(m) chi.get("/", f) end)`, "", ""},
		{`chi.use(m) chi.group(function() chi.use(m) chi.group(function() chi.get("/", f) end) end)`, "", ""},
		{`chi.use(m) chi.group(function() chi.use(m) chi.group("/v", function() end) end)`, "", ""},
		{`chi.get("/", f) chi.group("/v", function() chi.group(function() chi.use(m) end) end)`, "a.lua:1" + never, "a.lua:1" + never},
		{`chi.use(m) chi.group(function() chi.use(m) chi.not_found(f) end)`, "a.lua:1" + notFound + "a.lua:1" + never, ""},
		{`chi.use(m) chi.group(function() chi.use(m) chi.method_not_allowed(f) end)`, "", ""},
		{`chi.use(m) chi.group("/v", function() chi.group(function() chi.use(m) chi.not_found(f) end) end)`, "", ""},
		{`chi.use(m) chi.group(function() chi.use(m, n) end)`, "a.lua:1" + never + "a.lua:2" + never, "a.lua:1" + never + "a.lua:2" + never},
		{`chi.with(m)  chi.get("/", f)`, "a.lua:1" + never, "a.lua:1" + never},
	} {
		scripts := load(t, "local function m(_, _, next) next() end local function f(_, response) response:status(204) end\nlocal function n(_, _, next) next() end\n"+c.script)
		for pool, want := range map[bool]string{true: c.with, false: c.without} {
			got := ""
			for _, line := range scripts.Warnings(pool) {
				got += line + "\n"
			}
			if got != want {
				t.Errorf("%s, with a pool %v:\n%swant\n%s", c.script, pool, got, want)
			}
		}
	}
}

// TestWarningsOfRoutes that others take the place of.
func TestWarningsOfRoutes(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]string{
		"chi.get('/{a}', f) chi.get('/{b:[^/]+}', f)":                               `a.lua:1: the route "/{a}" is never reached: "/{b:[^/]+}" is tried before it and matches the same paths`,
		"chi.get('/{a:[^/]+}', f) chi.get('/{b}',\nfunction(_, r) r:write('') end)": `a.lua:2: the route "/{b}" is never reached: "/{a:[^/]+}" is tried before it and matches the same paths`,
		"chi.get('/{a}', f) chi.post('/{b:[^/]+}', f)":                              "",
		"chi.get('/a', f) chi.post('/a', f) chi.get('/{a}', f)":                     "",
	} {
		scripts := load(t, "local function f(_, response) response:status(204) end "+script)
		if got := strings.Join(scripts.Warnings(true), "\n"); got != want {
			t.Errorf("%s: %q, want %q", script, got, want)
		}
	}
}

// TestWarningsInOrder are sorted by file, line and words, each once, and name what is
// near.
func TestWarningsInOrder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "b.lua", "local function f(_, response) response:write(zeta, alpha, zeta) end\nchi.get('/:a', f)\nchi.get('/b', f)")
	put(t, dir, "a.lua", "local lib = require 'lib'\nchi.get('/c', function(_, response) response:write(chi_rute, lib) end)\nif NOBODY then get_env('A') end")
	put(t, dir, "shop/lib.lua", "return function() return stirng end")
	o := options(dir, "b.lua", "a.lua")
	scripts, err := lua.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(scripts.Close)
	want := []string{
		`a.lua:2: the global "chi_rute" is not defined anywhere (did you mean 'chi_route'?)`,
		`a.lua:3: get_env("A") is always "": neither lua.env nor lua.secrets names it`,
		`a.lua:3: the global "NOBODY" is not defined anywhere`,
		`b.lua:1: the global "alpha" is not defined anywhere`,
		`b.lua:1: the global "zeta" is not defined anywhere`,
		`b.lua:2: the pattern "/:a" matches just that text: did you mean "/{a}"?`,
		`shop/lib.lua:1: the global "stirng" is not defined anywhere (did you mean 'string'?)`,
	}
	if got := scripts.Warnings(true); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestWarningsOfGlobals: names that scripts, modules and the gateway define are none, also
// where the globals are frozen; names of other Luas are none where they are asked for
// first.
func TestWarningsOfGlobals(t *testing.T) {
	t.Parallel()
	for _, strict := range []bool{false, true} {
		for source, want := range map[string]string{
			"OWN = 1 local x = OWN, arg, json, log, shared, http, limit, string, chi, print, require, _G": "",
			"local x = jit": "jit", "local x = ffi": "ffi", "local x = bit32": "", "local x = utf8": "utf8", "local x = ngx": "ngx", "local x = _ENV": "_ENV",
			"local x = jit and jit.version": "", "local x = ffi and ffi.new": "", "local x = utf8 and utf8.char": "", "local x = ngx and ngx.say": "", "local x = _ENV and _ENV.x": "",
			"local x = OTHER and OTHER.x": "OTHER",
		} {
			dir := t.TempDir()
			put(t, dir, "a.lua", "chi.get('/', function(_, response) response:status(204) end) pcall(function() "+source+" end)")
			o := options(dir, "a.lua")
			o.Config.StrictGlobals = strict
			scripts, err := lua.Load(o)
			if err != nil {
				t.Fatalf("%s: %v", source, err)
			}
			t.Cleanup(scripts.Close)
			got := strings.Join(scripts.Warnings(true), "\n")
			if want == "" && got != "" || want != "" && !strings.HasPrefix(got, fmt.Sprintf("a.lua:1: the global %q is not defined anywhere", want)) {
				t.Errorf("%s, strict %v: %q, want one about %q", source, strict, got, want)
			}
		}
	}
}

// TestWarningsToTheLast: of each kind there are 100 at most.
func TestWarningsToTheLast(t *testing.T) {
	t.Parallel()
	const end = "chi.get('/', function(_, response) response:status(204) end) "
	for name, c := range map[string]struct{ source, each, words string }{
		"patterns": {"", "chi.get('/:a%d', function(_, response) response:status(204) end)\n", "matches just that text"},
		"globals":  {"", "if g%d then end\n", "is not defined anywhere"},
		"secrets":  {"", "get_env('x%d')\n", "is always"},
		"fields":   {"", "chi.get('/%d', function(request, response) response:write(request.nobody) end)\n", "request has no field"},
	} {
		for n, want := range map[int]int{99: 99, 100: 100, 101: 100, 150: 100} {
			var script strings.Builder
			script.WriteString(end + c.source)
			for i := range n {
				fmt.Fprintf(&script, c.each, i)
			}
			list := load(t, script.String()).Warnings(true)
			if got := strings.Count(strings.Join(list, "\n"), c.words); got != want {
				t.Errorf("of %d %s, %d are warned of, want %d", n, name, got, want)
			}
		}
	}
	// Of one function it is said three times at most that it ends without an answer.
	got := warningsOf(t, "chi.get('/', function(request, response)\n"+"if request.path == 'a' then return end\nif request.host == 'b' then return end\nif request.query == 'c' then return end\nif request.id == 'd' then return end\n"+"response:write('x')\nend)")
	if n := strings.Count(got, "can end here without an answer"); n != 3 || !strings.HasPrefix(got, "a.lua:2: the handler of line 1 can end here") {
		t.Errorf("%d are warned of: %s", n, got)
	}
}
