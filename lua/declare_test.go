package lua_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/lua"
)

// loading returns why a script can't be loaded, or nothing, and with how many errors.
func loading(t *testing.T, source string) (text string, errors int) {
	t.Helper()
	dir := t.TempDir()
	put(t, dir, "a.lua", source)
	scripts, err := lua.Load(options(dir, "a.lua"))
	if err == nil {
		scripts.Close()
		return "", 0
	}
	return err.Error(), len(err.(lua.BrokenScripts)) //nolint:errorlint // Load says so
}

// TestDeclarationsReturnNothing, but for chi.with, which returns a table.
func TestDeclarationsReturnNothing(t *testing.T) {
	t.Parallel()
	var script strings.Builder
	for _, call := range []string{
		`chi_middleware(f)`, `chi_middleware("/a", f)`, `chi_route("GET", "/a", f)`, `chi_group(g)`, `chi_group("/b", g)`, `chi_route_group("/c", g)`, `chi_mount("/d", f)`, `chi_not_found(f)`, `chi_method_not_allowed(f)`, `chi_tls_ask(f)`,
		`chi.use(f)`, `chi.method("PUT", "/e", f)`, `chi.get("/f", f)`, `chi.handle("/g", f)`, `chi.route("/h", g)`, `chi.group(g)`, `chi.mount("/i", f)`, `chi.not_found(f)`, `chi.method_not_allowed(f)`, `chi.tls_ask(f)`, `chi:get("/j", f)`,
	} {
		fmt.Fprintf(&script, "assert(select('#', %s) == 0, [[%s]])\n", call, call)
	}
	if text, _ := loading(t, "local function f() end local function g(...) assert(select('#', ...) == 0) end\n"+script.String()+`
		assert(select('#', chi.with(f)) == 1 and type(chi.with(f).get) == "function")`); text != "" {
		t.Error(text)
	}
}

// TestWrongDeclarations are refused with their line, and the argument that is wrong.
func TestWrongDeclarations(t *testing.T) {
	t.Parallel()
	for call, want := range map[string]string{
		`chi_middleware()`:                      "a.lua:2: bad argument #1 to 'chi_middleware' (function(request, response, next) expected)",
		`chi_middleware("/a")`:                  "a.lua:2: bad argument #2 to 'chi_middleware' (function(request, response, next) expected)",
		`chi_middleware(f, 1)`:                  "a.lua:2: bad argument #2 to 'chi_middleware' (function expected, got number)",
		`chi_middleware("/a", f, 1)`:            "a.lua:2: bad argument #3 to 'chi_middleware' (function expected, got number)",
		`chi.use("/{", f)`:                      "a.lua:2: pattern \"/{\"",
		`chi_route(nil, "/a", f)`:               "a.lua:2: bad argument #1 to 'chi_route' (string expected, got nil)",
		`chi_route("GET", nil, f)`:              "a.lua:2: bad argument #2 to 'chi_route' (string expected, got nil)",
		`chi_route("GET", "/a")`:                "a.lua:2: bad argument #3 to 'chi_route' (function expected, got no value)",
		`chi_route("A B", "/a", f)`:             "a.lua:2: bad argument #1 to 'chi_route' (expected a method such as GET, or ANY)",
		`chi_route("", "/a", f)`:                "a.lua:2: bad argument #1 to 'chi_route' (expected a method such as GET, or ANY)",
		`chi_route("GET", "/{", f)`:             "a.lua:2: pattern \"/{\"",
		`chi.get(1)`:                            "a.lua:2: bad argument #2 to 'get' (function expected, got no value)",
		`chi.get(nil, f)`:                       "a.lua:2: bad argument #1 to 'get' (string expected, got nil)",
		`chi:get(nil, f)`:                       "a.lua:2: bad argument #1 to 'get' (string expected, got nil)",
		`chi_group("/a")`:                       "a.lua:2: bad argument #2 to 'chi_group' (function expected, got no value)",
		`chi_group(1)`:                          "a.lua:2: bad argument #1 to 'chi_group' (function expected, got number)",
		`chi_group("/{", g)`:                    "a.lua:2: pattern \"/{\"",
		`chi.route(nil, g)`:                     "a.lua:2: bad argument #1 to 'route' (string expected, got nil)",
		`chi.route("/a")`:                       "a.lua:2: bad argument #2 to 'route' (function expected, got no value)",
		`chi.mount(nil, f)`:                     "a.lua:2: bad argument #1 to 'mount' (string expected, got nil)",
		`chi.mount("/a")`:                       "a.lua:2: bad argument #2 to 'mount' (function expected, got no value)",
		`chi.mount("/{", f)`:                    "a.lua:2: pattern \"/{\"",
		`chi.with(f, 1)`:                        "a.lua:2: bad argument #2 to 'with' (function expected, got number)",
		`chi_not_found()`:                       "a.lua:2: bad argument #1 to 'chi_not_found' (function expected, got no value)",
		`chi_method_not_allowed(1)`:             "a.lua:2: bad argument #1 to 'chi_method_not_allowed' (function expected, got number)",
		`chi.tls_ask("x")`:                      "a.lua:2: bad argument #1 to 'tls_ask' (function expected, got string)",
		`chi.get_head()`:                        "a.lua:2: chi.get_head is for chi.use",
		`pcall(chi.get, "/{", f)`:               "a.lua: pattern \"/{\"",
		`chi.get("/a", f) chi.get("/a", f)`:     "a.lua:2: ",
		`chi.get("/{a}", f) chi.get("/{b}", f)`: "a.lua:2: ",
	} {
		if got, n := loading(t, "local function f() end local function g() error('a group that was refused is run') end\n"+call); !strings.HasPrefix(got, want) || n != 1+strings.Count(call, "mount(\"/{") {
			t.Errorf("%s: %d errors: %q, want %q", call, n, got, want)
		}
	}
	scripts := load(t, `chi_middleware(function() chi_middleware(print) end) chi.not_found(function() chi.get("/a", print) end)`)
	if err := scripts.Serve(newRequest(), 0); err == nil || !strings.HasSuffix(err.Error(), "chi_middleware can only be called while the script is loaded, not while a request runs") {
		t.Errorf("declared by a request: %v", err)
	}
}

// TestDeclarationsToTheLast: as many as may be, and one more.
func TestDeclarationsToTheLast(t *testing.T) {
	t.Parallel()
	const f = "local function f() end local list = {} for i = 1, 100 do list[i] = f end "
	for _, c := range []struct{ fine, more, want string }{
		{`for i = 1, 20 do chi.use(unpack(list)) end`, ` chi.use(f)`, "a.lua:1: too many middlewares, expected at most 2000"},
		{`for i = 1, 20 do chi.use(unpack(list)) end chi.not_found(f) chi.get("/", f)`, ` chi.tls_ask(f)`, "a.lua:1: too many middlewares, expected at most 2000"},
		{`for i = 1, 1000 do chi.group(function() end) end`, ` chi.group(f)`, "a.lua:1: too many groups, expected at most 1000"},
		{`for i = 1, 999 do chi.route("/" .. i, function() end) end chi.with(f)`, ` chi.with(f)`, "a.lua:1: too many groups, expected at most 1000"},
		{`for i = 1, 10000 do chi.get("/" .. i, f) end`, ` chi.get("/", f)`, "a.lua:1: too many routes, expected at most 10000"},
		{`chi.group(function() for i = 1, 5 do chi.use(unpack(list)) end for i = 1, 99 - 5 do chi.group(function() chi.use(f) end) end for i = 1, 4 do chi.group(function() chi.use(f) end) end end)`, "", ""},
		// 500, and 501 for each of 98, and the rest: 50,000 of all chains.
		{`chi.group(function() for i = 1, 5 do chi.use(unpack(list)) end for i = 1, 98 do chi.group(function() chi.use(f) end) end chi.group(function() chi.group(function() end) end) end) chi.group(function() for i = 1, 4 do chi.use(unpack(list)) end chi.use(f, f) end)`,
			` chi.group(function() chi.use(f) end)`, "a.lua: too many middlewares in groups within groups, expected at most 50000 in all their chains together"},
	} {
		if got, _ := loading(t, f+c.fine); got != "" {
			t.Errorf("%s: %s", c.fine, got)
		}
		if got, n := loading(t, f+c.fine+c.more); c.more != "" && (got != c.want || n != 1) {
			t.Errorf("%s%s: %q, want %q", c.fine, c.more, got, c.want)
		}
	}
	// All that is wrong is found, up to 20 of it; then the script ends.
	for wrong, errors := range map[int]int{1: 1, 19: 19, 20: 20, 21: 21, 30: 21} {
		if _, n := loading(t, fmt.Sprintf(`for i = 1, %d do chi.get("/{", print) end`, wrong)); n != errors {
			t.Errorf("of %d wrong patterns, %d are reported, want %d", wrong, n, errors)
		}
		if _, n := loading(t, fmt.Sprintf(`for i = 1, %d do chi.get("/a", print) end`, wrong+1)); n != min(errors, 20) {
			t.Errorf("of %d conflicts, %d are reported, want %d", wrong, n, min(errors, 20))
		}
	}
}

// TestClaims: a pattern that the configuration has a route for, however its parameters are
// called, is declared by no script, for those methods.
func TestClaims(t *testing.T) {
	t.Parallel()
	claims := []lua.Claim{{Pattern: "/{", Place: "nowhere"}, {Pattern: "/users/{id}", Place: "k.yaml:7"}, {Methods: []string{"POST", "PUT"}, Pattern: "/some", Place: "k.yaml:8"}}
	for call, want := range map[string]string{
		`chi.get("/users/me", f) chi.get("/users/{id}/x", f) chi.get("/other", f)`: "",
		`chi.handle("/users/{name}", f)`:                                           `a.lua:1: pattern "/users/{name}" is declared for any method, and k.yaml:7 has a route for "/users/{id}": expected it in one of the two, since scripts' routes are asked first`,
		`chi.get("/users/{name}", f)`:                                              "",
		`chi.get("/some", f)`:                                                      "",
		`chi.put("/some", f)`:                                                      `a.lua:1: pattern "/some" is declared for PUT, and k.yaml:8 has a route for "/some": expected it in one of the two, since scripts' routes are asked first`,
		`chi.handle("/some", f)`:                                                   `a.lua:1: pattern "/some" is declared for any method, and k.yaml:8 has a route for "/some": expected it in one of the two, since scripts' routes are asked first`,
	} {
		dir := t.TempDir()
		put(t, dir, "a.lua", "local function f(_, response) response:status(204) end "+call)
		o := options(dir, "a.lua")
		o.Claims = claims
		scripts, err := lua.Load(o)
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			t.Cleanup(scripts.Close)
			other := o
			for i, change := range []func(c []lua.Claim){
				func(c []lua.Claim) { c[1].Place = "elsewhere" }, func(c []lua.Claim) { c[1].Pattern = "/x" }, func(c []lua.Claim) { c[2].Methods = []string{"GET"} }, func(c []lua.Claim) { c[1].Methods = []string{"GET"} },
			} {
				other.Claims = slices.Clone(claims)
				if change(other.Claims); scripts.Current(&other) != (i == 0) {
					t.Errorf("with %+v the scripts are current: %v", other.Claims, i != 0)
				}
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q", call, got, want)
		}
	}
	dir := t.TempDir()
	put(t, dir, "a.lua", `for i = 1, 30 do chi.handle("/users/{id}", print) end`)
	o := options(dir, "a.lua")
	o.Claims = claims
	if _, err := lua.Load(o); err == nil || strings.Count(err.Error(), "\n") != 19 {
		t.Errorf("of 30 conflicts, 20 are reported: %v", err)
	}
}
