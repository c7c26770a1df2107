package proxy_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/lua/modules"
	"github.com/keystone-gateway/keystone-gateway/proxy"
)

// workshop is a directory with a configuration and scripts.
type workshop struct {
	t      *testing.T
	dir    string
	strict bool
	clock  modules.Clock
	log    io.Writer
	server *proxy.Server
}

// newWorkshop writes files: pairs of a name and a text. "c.yaml" is put behind
// what every configuration here has in common, four lines.
func newWorkshop(t *testing.T, files ...string) *workshop {
	t.Helper()
	w := &workshop{t: t, dir: t.TempDir()}
	w.write(files...)
	return w
}

func (w *workshop) write(files ...string) {
	w.t.Helper()
	for i := 0; i < len(files); i += 2 {
		path, text := filepath.Join(w.dir, files[i]), files[i+1]
		if files[i] == "c.yaml" {
			text = "server: {address: '127.0.0.1:0'}\nadmin: {enabled: false}\naccess_log: {enabled: false}\nlua_routing: {enabled: true, global_scripts: []}\n" + text
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			w.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
}

// replace changes a file's text.
func (w *workshop) replace(name, old, text string) {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	before, err := os.ReadFile(path) // #nosec G304 -- of this test
	if err != nil || !strings.Contains(string(before), old) {
		w.t.Fatal("there is nothing to replace in ", name, err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(before), old, text, 1)), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// start makes a server that doesn't serve.
func (w *workshop) start() error {
	w.t.Helper()
	file := filepath.Join(w.dir, "c.yaml")
	config, err := proxy.Load(file)
	if err != nil {
		return err
	}
	server, err := proxy.New(proxy.Options{File: file, Config: config, Log: zerolog.New(w.log), Strict: w.strict, Clock: w.clock})
	if err != nil {
		return err
	}
	w.server = server
	w.t.Cleanup(server.Close)
	return nil
}

// scripts returns what a tenant has loaded.
func (w *workshop) scripts(tenant string) *lua.Scripts {
	for t := range w.server.Tenants() {
		if t.Name == tenant {
			return t.Lua
		}
	}
	return nil
}

// lines are an error's, without the directory.
func (w *workshop) lines(text string) []string {
	return strings.Split(strings.TrimSpace(strings.ReplaceAll(text, w.dir+"/", "")), "\n")
}

func tenant(name string, scripts ...string) string {
	return fmt.Sprintf("  - {name: %s, domains: [%s.example.com], lua_routes: [%s]}\n", name, name, strings.Join(scripts, ", "))
}

const hello = "chi_route('GET', '/hello', function(request, response) response:write('hello') end)\n"

// TestBrokenScripts: every broken script of every tenant is reported at once,
// with both places.
func TestBrokenScripts(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t, "c.yaml", "tenants:\n"+
		tenant("good", "good.lua")+
		tenant("a", "syntax.lua", "good.lua", "absent", "../c.lua")+
		tenant("b", "raises.lua")+
		tenant("c", "good", "twice.lua")+
		tenant("d", "needs.lua")+
		tenant("e", "good.lua", "raises.lua")+
		tenant("f", "many.lua"),
		"scripts/good.lua", hello,
		"scripts/syntax.lua", "local x = 1\nlocal = 2\n",
		"scripts/raises.lua", "\n\nerror('no key')\n",
		"scripts/twice.lua", "\n"+hello,
		"scripts/needs.lua", "require 'lib.broken'\n",
		"scripts/many.lua", "chi.get('/{id', print)\nchi_middleware('x', print)\nchi_group('/{', function() error() end)\n"+
			"chi_route('GET', '/a', print)\nchi_route('GET', '/a', print)\n",
		"scripts/d/lib/broken.lua", "return nil .. 'x'\n",
	)
	want := []string{
		"c.yaml:7:54: syntax.lua:2:7: ",
		"c.yaml:7:76: cannot open script \"absent.lua\": ",
		"c.yaml:7:84: script \"../c.lua\" is not a path below the scripts directory, expected one like auth.lua (tenant \"a\")",
		"c.yaml:8:54: raises.lua:3: no key (tenant \"b\")",
		"c.yaml:9:60: twice.lua:2: pattern \"/hello\" is declared for GET already",
		"c.yaml:10:54: d/lib/broken.lua:1: attempt to concatenate a nil value",
		"c.yaml:11:64: raises.lua:3: no key (tenant \"e\")",
		"c.yaml:12:54: many.lua:1: ",
		"c.yaml:12:54: many.lua:2: ",
		"c.yaml:12:54: many.lua:3: ",
		"c.yaml:12:54: many.lua:5: pattern \"/a\" is declared for GET already",
	}
	compare := func(what string, err error) {
		t.Helper()
		if err == nil {
			t.Fatalf("%s: no error", what)
		}
		got := w.lines(err.Error())
		for i := range max(len(got), len(want)) {
			if i >= len(got) || i >= len(want) || !strings.HasPrefix(got[i], want[i]) {
				t.Errorf("%s:\n%s\nexpected\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
				return
			}
		}
	}
	w.strict = true
	compare("a strict start", w.start())
	w.strict = false
	config, err := proxy.Load(filepath.Join(w.dir, "c.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = proxy.CheckScripts(filepath.Join(w.dir, "c.yaml"), config)
	compare("check", err)

	good := "tenants:\n" + tenant("good", "good.lua")
	broken, err := os.ReadFile(filepath.Join(w.dir, "c.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	w.write("c.yaml", good)
	if err := w.start(); err != nil {
		t.Fatal(err)
	}
	w.write("c.yaml", strings.Join(strings.SplitAfter(string(broken), "\n")[4:], ""))
	result := w.server.Reload()
	compare("reload", fmt.Errorf("%s", strings.Join(result.Errors, "\n")))
	if result.OK || !result.Applied || result.Generation != 2 || len(result.Failed) != 6 {
		t.Errorf("got %+v", result)
	}
}

// TestSharedBrokenScript: a script that many tenants share is one error.
func TestSharedBrokenScript(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t, "c.yaml", "", "scripts/good.lua", hello, "scripts/all.lua", "local = 1\n")
	text := "lua_routing:\n  enabled: true\n  global_scripts:\n    - all\ntenants:\n"
	for i := range 5 {
		text += tenant(fmt.Sprintf("t%d", i), "good.lua")
	}
	if err := os.WriteFile(filepath.Join(w.dir, "c.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	err := w.start()
	if err == nil {
		t.Fatal("no error")
	}
	got := w.lines(err.Error())
	if len(got) != 1 || !strings.HasPrefix(got[0], "c.yaml:4:7: all.lua:1:7: ") || !strings.HasSuffix(got[0], `(tenants "t0", "t1" and 3 more)`) {
		t.Errorf("got %q", got)
	}
}

// TestScriptWarnings: what scripts do in vain is said, and nothing else.
func TestScriptWarnings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, script string
		services     bool
		want         []string
	}{
		{"nothing", hello, true, nil},
		{"globals", "function helper() return json.encode{} end\ntotal = 0\n" + hello + "chi_middleware(function(request, response, next) total = total + 1 helper() next() end)", true, []string{
			`a.lua:4: the global "total" is assigned to while requests are served: each VM has its own, and requests that run at once share it; use local, request:set(key, value), or the module shared`,
		}},
		{"undefined", hello + "chi_middleware(function(request, response, next)\n  jsn.encode(respons)\n  next()\nend)", true, []string{
			`a.lua:3: the global "jsn" is not defined anywhere (did you mean 'json'?)`,
			`a.lua:3: the global "respons" is not defined anywhere (did you mean 'response'?)`,
		}},
		{"hidden", "local function f() end\nchi_route('GET', '/a/{x}', function() end)\nchi_route('GET', '/a/{y:.*}', f)", true, []string{
			`a.lua:2: the route "/a/{x}" is never reached: "/a/{y:.*}" is tried before it and matches the same paths`,
		}},
		{"not found with services", hello + "chi_not_found(function() end)", true, []string{
			"a.lua:2: chi_not_found is never called here: what no route matches goes to the tenant's services",
		}},
		{"not found without", hello + "chi_not_found(function() end)", false, nil},
		{"empty group", hello + "chi_group(function()\n  chi_middleware(function() end)\n  chi_not_found(function() end)\nend)", true, []string{
			"a.lua:3: the middleware is never called: its group has neither a prefix nor routes",
			"a.lua:4: chi_not_found is never called here: what no route matches goes to the tenant's services",
		}},
		{"group with a handler only", hello + "chi_group(function()\n  chi_middleware(function() end)\n  chi_not_found(function() end)\nend)", false, nil},
		{"group in a group", "chi_group(function()\n  chi_middleware(function() end)\n  chi_group('/v1', function() chi_middleware(function() end) end)\nend)", true, nil},
		{"declares nothing", "local x = 1\n", true, []string{"a.lua: the tenant's scripts declare no routes and no middleware"}},
		{"module", "local lib = require 'lib'\n" + hello, true, []string{`x/lib.lua:2: the global "nowhere" is not defined anywhere`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, strict := range []bool{false, true} {
				text := fmt.Sprintf("tenants: [{name: x, path_prefix: /, lua_routes: [a.lua], lua: {strict_globals: %v}", strict)
				if c.services {
					text += ", services: [{url: 'http://127.0.0.1:1'}]"
				}
				w := newWorkshop(t, "c.yaml", text+"}]\n", "scripts/a.lua", c.script)
				if c.name == "module" {
					w.write("scripts/x/lib.lua", "local function f()\n  return nowhere\nend\nreturn f")
				}
				config, err := proxy.Load(filepath.Join(w.dir, "c.yaml"))
				if err != nil {
					t.Fatal(err)
				}
				got, err := proxy.CheckScripts(filepath.Join(w.dir, "c.yaml"), config)
				if err != nil {
					t.Fatal(err)
				}
				want := slices.Clone(c.want)
				for i := range want {
					want[i] += ` (tenant "x")`
				}
				if !slices.Equal(got, want) {
					t.Errorf("strict %v: got %q, expected %q", strict, got, want)
				}
			}
		})
	}
}

// TestCheckBuildsPolicies: checking builds the policies of tenants as serving does.
func TestCheckBuildsPolicies(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t, "scripts/used.lua", hello, "c.yaml", "tenants:\n"+
		"  - {name: x, domains: [x.example.com], lua_routes: used, policies: [{ip: {deny: 10.0.0.0/8}}, {headers: {request: {remove: X}}}]}\n")
	config, err := proxy.Load(filepath.Join(w.dir, "c.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := proxy.CheckScripts(filepath.Join(w.dir, "c.yaml"), config); err != nil || len(got) > 0 {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestUnusedFiles: check hints at scripts that nobody uses, but not at tests,
// definitions and hidden files.
func TestUnusedFiles(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t, "c.yaml", "tenants:\n"+tenant("x", "used.lua"), "scripts/used.lua", "require 'lib'\n"+hello,
		"scripts/x/lib.lua", "return 1", "scripts/used_test.lua", "", "scripts/types/k.lua", "---@meta\n", "scripts/.hidden.lua", "",
		"scripts/.git/a.lua", "", "scripts/notes.txt", "", "scripts/old.lua", "-", "scripts/y/lib.lua", "")
	config, err := proxy.Load(filepath.Join(w.dir, "c.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := proxy.CheckScripts(filepath.Join(w.dir, "c.yaml"), config)
	want := []string{"scripts/old.lua: no tenant uses this script", "scripts/y/lib.lua: no tenant uses this script"}
	if err != nil || !slices.Equal(w.lines(strings.Join(got, "\n")), want) {
		t.Errorf("got %q, %v; expected %q", got, err, want)
	}
}

// TestReloadScripts: a reload loads anew what has changed, and nothing else.
func TestReloadScripts(t *testing.T) {
	t.Parallel()
	optional := hello + "pcall(require, 'extra')\n"
	w := newWorkshop(t, "c.yaml", "tenants:\n"+tenant("a", "a.lua")+tenant("b", "b.lua"), "scripts/a.lua", hello, "scripts/b.lua", optional)
	if err := w.start(); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		what  string
		files []string
		want  string // result.Changes
	}{
		{"nothing", nil, "[]"},
		{"the same text again", []string{"scripts/a.lua", hello}, "[]"},
		{"another text of the same length", []string{"scripts/a.lua", strings.ReplaceAll(hello, "hello", "jello")}, `[scripts of tenant "a" changed]`},
		{"a module that was missing", []string{"scripts/b/extra.lua", "return 1"}, `[scripts of tenant "b" changed]`},
		{"the module", []string{"scripts/b/extra.lua", "return 2"}, `[scripts of tenant "b" changed]`},
		{"the configuration, but no tenant", []string{"c.yaml", "log: {level: info}\ntenants:\n" + tenant("a", "a.lua") + tenant("b", "b.lua")}, "[]"},
		{"a tenant's settings", []string{"c.yaml", "tenants:\n" + tenant("a", "a.lua") + strings.Replace(tenant("b", "b.lua"), "name: b", "name: b, lua: {timeout: 1s}", 1)}, `[tenant "b" changed]`},
	} {
		w.write(step.files...)
		a, b := w.scripts("a"), w.scripts("b")
		result := w.server.Reload()
		if !result.OK || fmt.Sprint(result.Changes) != step.want {
			t.Errorf("%s: got %+v, expected changes %s", step.what, result, step.want)
		}
		for name, before := range map[string]*lua.Scripts{"a": a, "b": b} {
			if anew := strings.Contains(step.want, `"`+name+`"`); (w.scripts(name) != before) != anew {
				t.Errorf("%s: scripts of %s loaded anew: %v, expected %v", step.what, name, !anew, anew)
			}
		}
	}
	w.write("scripts/a.lua", hello+"chi_not_found(undefined_handler or print)")
	if result := w.server.Reload(); !result.OK || len(result.Warnings) != 1 || !strings.HasPrefix(result.Warnings[0], "a.lua:2: the global \"undefined_handler\"") {
		t.Errorf("got %+v, expected a warning about the script that has changed", result)
	}
	if result := w.server.Reload(); len(result.Warnings) != 0 {
		t.Errorf("got %+v, expected no warning about what has not changed", result)
	}
	if got := w.server.Warnings(); len(got) != 1 {
		t.Errorf("warnings %q, expected one", got)
	}
}
