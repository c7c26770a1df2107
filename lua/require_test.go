package lua_test

import (
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/lua"
)

// TestRequire loads modules in the ways that there are. The script's own error is
// what it gives.
func TestRequire(t *testing.T) {
	files := map[string]string{
		"shop/plain.lua":         `return {name = ..., n = select("#", ...), arg = arg}`,
		"shop/pack/init.lua":     `return {name = ..., inner = require "pack.inner"}`,
		"shop/pack/inner.lua":    `return "inner"`,
		"shop/both.lua":          `return "file"`,
		"shop/both/init.lua":     `return "directory"`,
		"shop/bad.lua":           `n = (n or 0) + 1 error("broken " .. n)`,
		"shop/table.lua":         `return "not the library"`,
		"shop/own.lua":           `package.loaded[...] = "own"`,
		"shop/nothing.lua":       `local x = 1`,
		"shop/loop.lua":          `return require "loop"`,
		"shop/wrong.lua":         `x =`,
		"shop/wrong/init.lua":    `return "never"`,
		"shop/hash.lua":          "#!/usr/bin/lua\nreturn 'hash'",
		"shop/a/b/c/init.lua":    `return (...)`,
		"shop/badinit/init.lua":  `x =`,
		"shop/nilled.lua":        `n = (n or 0) + 1 return n`,
		"other/secret.lua":       `return "secret"`,
		"shop/objectfailure.lua": `error({code = 7})`,
	}
	for chunk, want := range map[string]string{
		`local m = require "plain" return m.name, m.n, m.arg`:                  "plain 1 nil",
		`local m = require "pack" return m.name, m.inner, require "pack" == m`: "pack inner true",
		`return require "both"`:  "file",
		`return require "a.b.c"`: "a.b.c",
		`return require "hash"`:  "hash",
		`local a, b = pcall(require, "bad") local c, d = pcall(require, "bad") return b, b == d, n`:                       "shop/bad.lua:1: broken 1 true 1",
		`local a, b = pcall(require, "objectfailure") local c, d = pcall(require, "objectfailure") return b.code, b == d`: "7 true",
		`return require "string" == string, require "table" == table, require "math" == math, require "os" == os,
		require "coroutine" == coroutine, require "_G" == _G, require "bit" == bit, require "bit32" == bit32, require "package" == package`: strings.TrimSuffix(strings.Repeat("true ", 9), " "),
		`return require "own", require "nothing", package.loaded.nothing`:                                                   "own true true",
		`return require "nilled", require "nilled", (function() package.loaded.nilled = nil return require "nilled" end)()`: "1 1 2",
		`package.preload.made = function(...) return {...} end return require("made")[1], #require "made"`:                  "made 1",
		`return select(2, pcall(require, "loop"))`:                                                                          `shop/loop.lua:1: module "loop" requires itself`,
		`return select(2, pcall(require, "wrong"))`:                                                                         "shop/wrong.lua:1:4: unexpected symbol near '<eof>'",
		`return select(2, pcall(require, "badinit"))`:                                                                       "shop/badinit/init.lua:1:4: unexpected symbol near '<eof>'",
		`return select(2, pcall(require, "cjson"))`:                                                                         `(did you mean 'keystone.json'?)`,
		`return select(2, pcall(require, "json"))`:                                                                          `nor is there "shop/json/init.lua" (did you mean 'keystone.json'?)`,
		`return select(2, pcall(require, "keystone"))`:                                                                      `(expected one of keystone.cookie, keystone.crypto, keystone.http, `,
		`return select(2, pcall(require, "absent"))`:                                                                        `cannot open script "shop/absent.lua"`,
		`return (select(2, pcall(require, "absent"))):match("nor is there.*")`:                                              `nor is there "shop/absent/init.lua"`,
		`return select(2, pcall(require, "../other/secret"))`:                                                               "expected names joined by dots",
		`return package.path, pcall(function() package.path = "/etc/?" end)`:                                                "?.lua;?/init.lua false",
		`return require "keystone.json" == json, package.loaded["keystone.json"]`:                                           "true nil",
	} {
		dir := t.TempDir()
		for name, text := range files {
			put(t, dir, name, text)
		}
		put(t, dir, "a.lua", `local function run() `+chunk+` end
		local list = {run()} local n = select("#", run()) for i = 1, n do list[i] = tostring(list[i]) end
		error(table.concat(list, " ", 1, n), 0)`)
		// Each runs twice, which must make no difference but where it counts.
		if strings.Contains(chunk, "nilled") {
			put(t, dir, "a.lua", `local function run() `+chunk+` end
			local list = {run()} for i = 1, #list do list[i] = tostring(list[i]) end error(table.concat(list, " "), 0)`)
		}
		_, err := lua.Load(options(dir, "a.lua"))
		if err == nil {
			t.Fatalf("%s: no error", chunk)
		}
		if got := strings.TrimPrefix(err.Error(), "a.lua: "); !strings.Contains(got, want) {
			t.Errorf("%s\n got %s\nwant %s", chunk, got, want)
		}
	}
}

// TestRequireInFurtherVMs makes further VMs of scripts whose modules are
// directories.
func TestRequireInFurtherVMs(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "shop/pack/init.lua", `return {n = 7}`)
	put(t, dir, "a.lua", `local pack = require "pack" chi_middleware(function(request, response, next) response:header("X-N", pack.n) next() end)`)
	o := options(dir, "a.lua")
	o.Lazy = true
	scripts, err := lua.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(scripts.Close)
	o.Cache.Begin(nil)
	put(t, dir, "shop/pack.lua", `error("it was not there when the scripts were accepted")`)
	r := newRequest()
	r.begin()
	if err := scripts.Serve(r, 0); err != nil {
		t.Error(err)
	}
	if scripts.Current(&o) {
		t.Error("a file that goes before a module's directory has appeared, and the scripts are said to be current")
	}
}

// TestLoadedHandlersAreJudged declares functions that were made of text: one that
// keeps its request gets another one each time, as any function does.
func TestLoadedHandlersAreJudged(t *testing.T) {
	scripts := load(t, `chi_middleware(assert(loadstring([[return function(request, response, next)
		if kept then kept:header("X-A") end
		kept = request
		next()
	end]]))())`)
	var errs []string
	for range 2 {
		r := newRequest()
		r.begin()
		if err := scripts.Serve(r, 0); err != nil {
			errs = append(errs, err.Error())
		}
	}
	if len(errs) != 1 || !strings.Contains(errs[0], "belongs to another request") {
		t.Errorf("what was kept is used in the next request: %q", errs)
	}
}

// TestLoadedCodeSeesTheScriptsGlobals: a text that names a module which is there
// without require has it only where the scripts have no global of that name.
func TestLoadedCodeSeesTheScriptsGlobals(t *testing.T) {
	for _, strict := range []bool{false, true} {
		dir := t.TempDir()
		put(t, dir, "a.lua", `json = {own = true}
		chi_middleware(function(request, response, next)
			local inner, limits = loadstring("return json, limit")()
			assert(inner == json and json.own, "the script's json is the gateway's")
			assert(limits == require "keystone.limit")
			next()
		end)`)
		o := options(dir, "a.lua")
		o.Config.StrictGlobals = strict
		scripts, err := lua.Load(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(scripts.Close)
		r := newRequest()
		r.begin()
		if err := scripts.Serve(r, 0); err != nil {
			t.Errorf("strict %v: %v", strict, err)
		}
	}
}
