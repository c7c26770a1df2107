package lua_test

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/lua"
)

// warningsOf loads a script and returns what is said of it.
func warningsOf(t *testing.T, source string) string {
	t.Helper()
	return strings.Join(load(t, source).Warnings(true), "\n")
}

func TestWarnings(t *testing.T) {
	for _, c := range []struct{ source, want string }{
		// A path without an answer.
		{`chi_middleware(function(request, response, next) log.info("x") end)`, "a.lua:1: the middleware neither calls next() nor answers: clients get an empty 200"},
		{`chi_middleware(function(request, response, next) response:header("A", "b") end)`, "a.lua:1: the middleware neither calls next() nor answers"},
		{`chi_middleware(function(request, response) log.info(request.path) end)`, "a.lua:1: the middleware neither calls next() nor answers"},
		{"chi_middleware(function(request, response, next)\nif request:header('A') then\nnext()\nend\nend)", "a.lua:5: the middleware of line 1 can end here without next() and without an answer"},
		{"chi_middleware(function(request, response, next)\nif request.method == 'POST' then\nreturn\nend\nnext()\nend)", "a.lua:3: the middleware of line 1 can end here"},
		{"chi_middleware(function(request, response, next)\nfor i = 1, 3 do\nif request.headers[tostring(i)] then next() return end\nend\nend)", "a.lua:5: the middleware of line 1 can end here"},
		{"local function deny(why) log.info(why) end\nchi_middleware(function(request, response, next)\nif not request:cookie('a') then\nreturn deny('no')\nend\nnext()\nend)", "a.lua:4: the middleware of line 2 can end here"},
		{"chi_route('GET', '/a', function(request, response)\nlocal id = request:query_param('id')\nif not id then return end\nresponse:write(id)\nend)", "a.lua:3: the handler of line 1 can end here without an answer: clients get an empty 200 (response:status(204) says that this is meant)"},
		// Results that nobody reads.
		{"chi_route('GET', '/a', function(request, response)\nreturn { status = 200, body = 'x' }\nend)", "a.lua:2: the handler returns a table, which nobody reads: write it with response:json(…)"},
		{"chi_route('GET', '/a', function(request, response)\nlocal t = {}\nt.status = 404\nreturn t\nend)", "a.lua:4: the handler returns a table"},
		{"chi_route('GET', '/a', function() return 'hello' end)", "a.lua:1: the handler returns a string, which nobody reads: write with response:write(…)"},
		{"chi_middleware(function(next)\nreturn function(request, response)\nnext(request, response)\nend\nend)", "a.lua:2: the middleware returns a function, which is never called: it is itself called for each request, as function(request, response, next), and calls next()"},
		{"chi_middleware('/a', function(request, response, next)\nreturn function(req, res) next() end\nend)", "a.lua:2: the middleware returns a function"},
		{"chi_middleware(function(request, response, next)\nif not request:header('A') then\nreturn { status = 401 }\nend\nnext()\nend)", "a.lua:3: the middleware returns a table"},
		// Patterns of other routers.
		{"local function h(_, r) r:write('') end\nchi_route('GET', '/users/:id', h)", `a.lua:2: the pattern "/users/:id" matches just that text: did you mean "/users/{id}"?`},
		{"chi.get('/u/{id:int}', function(_, r) r:write('') end)", `the pattern "/u/{id:int}" matches just that text: did you mean "/u/{id:[0-9]+}"?`},
		{"chi_middleware('/u/:id/*', function(_, _, next) next() end)", `did you mean "/u/{id}"?`},
		{"chi_group('/v/:v', function() chi_route('GET', '/x', function(_, r) r:write('') end) end)", `the pattern "/v/:v" matches just that text: did you mean "/v/{v}"?`},
		// Globals.
		{"chi_middleware(function(request, response, next)\ncounter = (counter or 0) + 1\nnext()\nend)", `a.lua:2: the global "counter" is assigned to while requests are served`},
		{"local function count()\ncounter = 1\nend\nchi_middleware(function(request, response, next) count() next() end)", `a.lua:2: the global "counter"`},
		{"M = {}\nfunction M.count()\nlocal function inner() counter = 1 end\ninner()\nend\nchi_middleware(function(request, response, next) M.count() next() end)", `a.lua:3: the global "counter"`},
		// Names.
		{"chi_middleware(function(request, response, next)\nif request.metod == 'GET' then response:status(405) end\nnext()\nend)", "a.lua:2: request has no field or method 'metod' (did you mean 'method'?)"},
		{"chi_middleware(function(request, response, next)\nrequest:heder('A')\nnext()\nend)", "a.lua:2: request has no field or method 'heder' (did you mean 'header'?)"},
		{"chi_middleware(function(req, res, next)\nnext()\nres.status = 404\nend)", "a.lua:3: response.status can't be assigned to: use response.status_code = value or response:status(value)"},
		{"chi_middleware(function(request, response, next)\nrespnse:write('x')\nnext()\nend)", `a.lua:2: the global "respnse" is not defined anywhere (did you mean 'response'?)`},
		{"chi_middleware(function(request, response, next)\nresponse:header('A', string.formt('x'))\nnext()\nend)", "a.lua:2: attempt to call field 'formt' (a nil value) (did you mean 'format'?)"},
		{"local re = require 'keystone.re'\nchi_middleware(function(request, response, next)\nif re.tst(request.path, 'x') then next() end\nnext()\nend)", "a.lua:3: attempt to call field 'tst' (a nil value) (did you mean 'test'?)"},
		{"chi_middleware(function(request, response, next)\nif request:header('A') == null then next() end\nnext()\nend)", `a.lua:2: the global "null" is not defined anywhere (did you mean 'nil'?)`},
		{"local m = require 'keystone.metrics'\nchi_route('GET', '/', function(_, r) m.inc('x') r:write('') end)", "a.lua:2: attempt to call field 'inc' (a nil value) (did you mean 'add'?)"},
		{"chi_route('GET', '/', function(_, r) r:write(crypto.uuid()) end)", `the global "crypto" is not defined anywhere (did you mean 'require "keystone.crypto"'?)`},
		{"chi_route('GET', '/', function(_, r)\nr:write(jit.version)\nend)", `a.lua:2: the global "jit" is not defined anywhere`},
		// Secrets.
		{"local key = get_env('KEY')\nchi_middleware(function(request, response, next) next() end)", `a.lua:1: get_env("KEY") is always "": neither lua.env nor lua.secrets names it`},
		{"chi_middleware(function(request, response, next)\nif request:header('A') ~= get_env('KEY') then response:status(401) return end\nnext()\nend)", `a.lua:2: get_env("KEY") is always ""`},
	} {
		if got := warningsOf(t, c.source); !strings.Contains(got, c.want) {
			t.Errorf("%s\ngives    %s\nexpected %s", c.source, got, c.want)
		}
	}
}

// Ordinary code isn't warned of.
func TestNoFalseWarnings(t *testing.T) {
	for _, source := range []string{
		"local staff = {judge = function() return true end}\nchi_middleware(function(request, response, next)\nif staff:judge() then next() end\nend)",
		"chi_middleware(function(request, response, next)\nlocal ok = request:header('A')\nif not ok then response:status(401) end\nif ok then next() end\nend)",
		"chi_middleware(function(request, response, next)\nlocal done = false\nif request.method == 'OPTIONS' then response:status(204) done = true end\nif not done then next() end\nend)",
		"chi_middleware(function(request, response, next)\nif request:header('A') == 'x' then response:status(401) end\nif request:header('A') ~= 'x' then next() end\nend)",
		"chi_middleware(function(request, response, next)\nif request.method == 'GET' and request.path == '/' then return next() end\nresponse:status(405)\nend)",
		"chi_middleware(function(request, response, next)\nif not request:cookie('a') then error('no') end\nnext()\nend)",
		"local function refuse(why) log.warn(why) error(why) end\nchi_middleware(function(request, response, next)\nif not request:cookie('a') then refuse('no') else next() end\nend)",
		"local function deny(response) response:status(403) end\nchi_middleware(function(request, response, next)\nif not request:cookie('a') then deny(response) return end\nnext()\nend)",
		"chi_middleware(function(request, response, next)\nlocal ok, why = pcall(next)\nif not ok then response:status(500) end\nend)",
		"chi_middleware(function(request, response, next)\nlocal ok = pcall(function() next() end)\nend)",
		"chi_middleware(function(_, response, next) next() response.headers['Server'] = nil end)",
		"chi_middleware(function(_, response, next) if assert(response:header('A')) then next() else assert(false) end end)",
		"chi_middleware(function(request, response, next)\nlocal handled\nfor _, m in ipairs({'GET'}) do if request.method == m then handled = true end end\nif handled then next() else response:status(405) end\nend)",
		"chi_middleware(function(request, response, next)\nlocal tries = 0\nwhile tries < 3 do\nif request:header(tostring(tries)) then return next() end\ntries = tries + 1\nend\nresponse:redirect('/login')\nend)",
		"chi_middleware(function(request, response, next)\nlocal state = request:header('A') and 'in' or 'out'\nif state == 'in' then next() end\nif state ~= 'in' then response:json({}, 401) end\nend)",
		"chi_middleware(function(request, response, next)\nrepeat\nlocal ok = request:header('A')\nif ok then next() return end\nuntil true\nresponse:status(401)\nend)",
		"chi_middleware(function(request, response, next) return next() end)",
		"chi_middleware(function(...) local request, response, next = ... next() end)",
		"chi_middleware(function(request, response, next) request:set('response', response) end)",
		"chi_middleware(function(request, response, next)\nlocal answers = {GET = next, POST = function() response:status(405) end}\nanswers[request.method]()\nend)",
		"local handlers = {}\nfunction handlers.get(request, response) response_write(response, 'x') end\nchi_route('GET', '/a', handlers.get)",
		"chi_route('GET', '/a', function(request, response) response.status_code = 204 end)",
		"chi_route('OPTIONS', '/a', function(_, response) response:header('Allow', 'GET') end)",
		"chi_route('GET', '/health', function() end)",
		"chi_route('GET', '/a', function(_, response) return response:write('x') end)",
		"chi_route('GET', '/a', function(_, response) while true do response:write('x') response:flush() end end)",
		"chi_route('GET', '/a', function(request, response) request.headers['A'] = 'b' response.headers['A'] = 'b' response.body = 'x' end)",
		"chi_route('GET', '/a', function(request, response) response.write('x', request.path(), request.header('A')) end)",
		"chi_route('GET', '/.well-known/x', function(_, r) r:write('') end) chi_route('GET', '/{a:[a-z]+}/*', function(_, r) r:write('') end) chi_route('GET', '/p/$metadata', function(_, r) r:write('') end)",
		"local fast = jit and jit.version or 'plain'\nif ngx then ngx.say('x') end\nif bit32 ~= nil then fast = bit32.band(1, 2) end\nchi_route('GET', '/', function(_, r) r:write(fast) end)",
		"local unpack = table.unpack or unpack\nchi_route('GET', '/a', function(_, r) r:write(unpack({'a'})) end)",
		"cache = {}\nfunction setup() settings = { a = 1 } end\nsetup()\nchi_route('GET', '/a', function(_, r) cache.x = 1 r:write(settings.a) end)",
		"chi_route('GET', '/a', function(_, response) for i = 1, 3 do response:write(i) end end)",
		"chi_route('GET', '/a', function(_, response) for _, v in ipairs({1}) do response:write(v) end end)",
		"chi_route('GET', '/a', function(_, response) local i = 1 while i < 5 do response:write(i) i = i + 1 end end)",
		"chi_route('GET', '/a', function(_, response) local i = 1 repeat response:write(i) i = i + 1 until i > 4 end)",
		"chi_middleware(function(request, response, next)\nlocal user = request:get('user')\nif user == nil then response:status(401)\nelseif user.admin then next()\nelse response:status(403) end\nend)",
		"chi_middleware(function(request, response, next)\nif limit.allow('k', 5) then next() return end\nresponse:status(429)\nend)",
	} {
		if got := warningsOf(t, source); got != "" {
			t.Errorf("%s\ngives %s", source, got)
		}
	}
}

// What lua.env or lua.secrets names isn't warned of, and both are guessed at.
func TestWarningsOfSecrets(t *testing.T) {
	dir := t.TempDir()
	source := `chi_route("GET", "/", function(_, r) r:write(get_env("TOKEN"), get_env("API_KEY"), get_env("API_KEI")) end)`
	if err := os.WriteFile(filepath.Join(dir, "a.lua"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	o := options(dir, "a.lua")
	o.Config.Env, o.Config.Secrets = []string{"TOKEN"}, map[string]string{"API_KEY": "x"}
	scripts, err := lua.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	defer scripts.Close()
	want := `a.lua:1: get_env("API_KEI") is always "": neither lua.env nor lua.secrets names it (did you mean 'API_KEY'?)`
	if got := strings.Join(scripts.Warnings(true), "\n"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Neither are the project's own scripts.
func TestNoWarningsOfOurScripts(t *testing.T) {
	for _, pattern := range []string{"../scripts/*.lua", "../docs/cookbook/*.lua"} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			t.Fatalf("no scripts: %v", err)
		}
		for _, path := range paths {
			if strings.HasSuffix(path, "_test.lua") {
				continue
			}
			source, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			o := options(filepath.Dir(path), filepath.Base(path))
			o.Config.Env = envNames(string(source))
			o.Env = func(string) (string, bool) { return strings.Repeat("x", 40), true }
			o.Random = rand.Reader
			scripts, err := lua.Load(o)
			if err != nil {
				t.Errorf("%s: %v", path, err)
				continue
			}
			for _, warning := range scripts.Warnings(true) {
				t.Errorf("%s: %s", path, warning)
			}
			scripts.Close()
		}
	}
}

// envNames are the variables that a script asks for.
func envNames(source string) (names []string) {
	for _, part := range strings.Split(source, `get_env("`)[1:] {
		name, _, _ := strings.Cut(part, `"`)
		names = append(names, name)
	}
	return names
}

// TestWarningsAreBounded: guessing what so many names were meant to be would
// take minutes, after the script has run, and so beyond its load's limits.
func TestWarningsAreBounded(t *testing.T) {
	const route = "\nchi_route('GET', '/', function(_, response) fs[1]() response:write('') end)"
	for _, c := range []struct{ name, source, want string }{
		{"globals", `for i = 1, 50000 do _G[("x"):rep(35) .. i] = 1 end fs = {function()
			` + strings.Repeat("xxxxxxxxxxxxxxxxxxxxxxxxxzxxxxxxxxx1()\n", 1000) + " end}", "is not defined anywhere"},
		{"fields", `for i = 1, 400 do string[("x"):rep(35) .. i] = 1 end fs = {function()
			` + strings.Repeat("string.xxxxxxxxxxxxxxxxxxxxxxxxxzxxxxxxxxx1()\n", 20000) + " end}", "attempt to call field"},
		{"secrets", "fs = {function()\n" + strings.Repeat("get_env('x')\n", 20000) + " end}", "neither lua.env nor lua.secrets names it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := warningsOf(t, c.source+route)
			if n := strings.Count(got, c.want); n == 0 || n > 100 {
				t.Errorf("%d warnings, expected 1 to 100", n)
			}
		})
	}
}
