package vm_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/stdlib"
	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/lua/vm/vmtest"
)

// keepsNot can't keep q, r or n.
var keepsNot = []string{
	``,
	`q:header("x")`,
	`local key = q:header("X-Api-Key") if key == nil then q:set_header("X-Anon", "1") end n() r:header("X-Gateway", "keystone")`,
	`r:write("a", q:header("b"), q.path .. "c") return`,
	`r:write(q:header("b"))`,
	`return n()`,
	`if q.path == "/x" then return r:redirect("/") end n()`,
	`local t = {} for k, v in pairs({1, 2}) do t[k] = v r:write(k, v) end r:json(t)`,
	`for i = 1, 10 do r:write(q.id) if i == 3 then break end end`,
	`while q.path == "/" do n() end repeat n() until q.method`,
	`r.status_code = 404 r.body = "x" r.headers["X"] = q.headers["X"]`,
	`local v = q.headers["X"] KEEP = v`,
	`local function f(a) return a end f(q.path) f(q:header("x"), 1)`,
	`local x = q.headers.foo T[x] = x`,
	`if q == nil or not r then error("none") end`,
	`local q = 1 KEEP = q`,
	`q = nil KEEP = q`,
	`T.x = {q.path, q:header("a")}`,
	`local path, method = q.path, q.method KEEP = path`,
	`(function(a) KEEP = a end)(q.path)`,
	`local q2 = q q2:header("x") q2.headers["y"] = "z"`,
	`local m = q.header KEEP = m`,
	`r:json({id = q:param("id"), list = {q:header("a"), q:header("b")}})`,
	`local function deny(s) return s end if not q:cookie("a") then deny("x") return end n()`,
	`goto done do r:write("x") end ::done:: r:write("y")`,
}

// keeps can, or might.
var keeps = []string{
	`KEEP = q`, `KEEP = n`, `KEEP = r`,
	`T.x = q`, `T[q] = 1`, `T[1], T[2] = 1, q`, `T = {q}`, `T = {1, 2, x = r}`, `rawset(T, 1, q)`,
	`local x = q KEEP = x`,
	`local x if T then x = q end KEEP = x`,
	`local x = T or q KEEP = x`, `local x = T and q KEEP = x`, `KEEP = T and q or r`,
	`for i = 1, 2 do KEEP = x x = q end`, `local x for i = 1, 2 do KEEP = x x = q end`,
	`while T do KEEP = x local x = n KEEP = x end`,
	`KEEP = q.headers`, `local h = q.headers KEEP = h`, `KEEP = q["head" .. "ers"]`, `local k = T KEEP = q[k]`,
	`KEEP = q:headers()`, `KEEP = q.headers()`, `T(q:headers())`, `T(q.headers)`, `r:write(#q.headers)`,
	`T(q)`, `T(1, r)`, `return T(q)`, `T.x(q)`, `T:x(q)`, `T(T(q))`, `T(1, (function() end)(), n)`, `pcall(n)`, `pairs(q.headers)`,
	`q:set("k", q)`, `q.set("k", q)`, `q:set("k", n)`, `T.header(q, "x")`,
	`KEEP = function() return q end`, `local function f() q:header("x") end f()`, `local x KEEP = function() return x end x = q`,
	`UP = q`, `local f = function() n() end f()`,
	`coroutine.wrap(function() KEEP = q end)()`,
	`error(q)`, `T = q + 1`, `T = -q`, `T = q .. "x"`, `T = "x" .. q`, `T = q < T`, `T = T <= r`, `x = T[q]`,
	`local t = T and q or {header = T} t.header(q, "x")`,
	`for k, v in q do end`, `for k, v in T, q do end`, `for k, v in n, T do end`,
	`for k, v in pairs(T) do T[k] = q end`,
	`local a, b = T(), q KEEP = b`, `local a, b = q, 1 local c = a a = b b = c KEEP = b`,
	`do local x = q do local y = x KEEP = y end end`,
	`goto set ::keep:: KEEP = x do return end ::set:: x = q goto keep`,
	`local x = 1 ::again:: KEEP = x x = q if T then goto again end`,
}

func TestKeeps(t *testing.T) {
	for want, bodies := range map[bool][]string{false: keepsNot, true: keeps} {
		for _, body := range bodies {
			for name, source := range map[string]string{
				"function":       "local UP return function(q, r, n) " + body + "\nend",
				"with variables": "local UP return function(q, r, n) local a, b, c = 1, 2, 3 do local x = b end " + body + "\nend",
			} {
				if _, fn := function(t, source); vm.Keeps(fn, 3, "headers") != want {
					t.Errorf("%s: Keeps(%s) is not %v", name, body, want)
				}
			}
		}
	}
	for _, source := range []string{
		"return function(...) KEEP = ... end", "return function(q, ...) KEEP = ... end", "return tostring",
		"return coroutine.wrap(function(q) KEEP = q end)", "return function() end, 1",
	} {
		want := source != "return function() end, 1"
		if _, fn := function(t, source); vm.Keeps(fn, 3, "headers") != want {
			t.Errorf("Keeps(%s) is not %v", source, want)
		}
	}
}

// function compiles as scripts are, and returns the function that the source
// returns, with a thread to call it on.
func function(t *testing.T, source string) (*glua.LState, *glua.LFunction) {
	t.Helper()
	program, err := vm.Compile([]byte(source), "a.lua", vm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	L, run := vmtest.Begin(t, &vm.Limits{Instructions: 2000, Coroutines: 10})
	stdlib.Open(L.G.MainThread, time.Now)
	L.Push(program.Instantiate(run.VM(), &vm.Functions{SetIndex: stdlib.SetIndex}))
	L.Call(0, 1)
	fn, ok := L.Get(-1).(*glua.LFunction)
	if !ok {
		t.Fatalf("%s returns no function", source)
	}
	return L, fn
}

// FuzzKeeps runs programs that are made at random, and looks whether what they
// were given can be found when they have ended.
func FuzzKeeps(f *testing.F) {
	for seed := range uint64(500) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		g := sampler{rand.New(rand.NewPCG(seed, 1))}
		source := "local UP, UP2 return function(q, r, n) local a, b, c = 1, 2, T " + g.block(4) + " end"
		L, fn := function(t, source)
		if !vm.Keeps(fn, 3, "headers") && leaks(L, fn) {
			t.Errorf("it keeps what it gets:\n%s", source)
		}
	})
}

// leaks calls a function and reports whether an argument can be reached
// afterwards.
func leaks(L *glua.LState, fn *glua.LFunction) bool {
	kept := map[glua.LValue]bool{}
	meta := L.NewTable()
	object := func() *glua.LUserData {
		u := L.NewUserData()
		u.Metatable = meta
		kept[u] = true
		return u
	}
	inner := object()
	text := L.NewFunction(func(L *glua.LState) int { L.Push(glua.LString("text")); return 1 })
	L.SetField(meta, "__index", L.NewFunction(func(L *glua.LState) int {
		switch L.Get(2).String() {
		case "headers":
			L.Push(inner)
		case "header", "set", "path":
			L.Push(text)
		default:
			L.Push(glua.LString("text"))
		}
		return 1
	}))
	L.SetField(meta, "__newindex", text)
	L.SetField(meta, "__call", L.NewFunction(func(L *glua.LState) int { L.SetTop(1); return 1 }))
	n := L.NewFunction(func(*glua.LState) int { return 0 })
	kept[n] = true
	T := L.NewTable()
	L.SetGlobal("T", T)
	L.SetGlobal("keep", L.NewFunction(func(L *glua.LState) int { T.Append(L.Get(1)); L.SetTop(1); return 1 }))
	for _, v := range []glua.LValue{fn, object(), object(), n} {
		L.Push(v)
	}
	_ = L.PCall(3, 0, nil) // what it did before it failed counts
	return reaches(fn, kept, map[glua.LValue]bool{}) || reaches(L.G.Global, kept, map[glua.LValue]bool{})
}

// reaches reports whether one of the values can be reached from v.
func reaches(v glua.LValue, values, seen map[glua.LValue]bool) (found bool) {
	if v == nil || seen[v] {
		return false
	}
	seen[v] = true
	if values[v] {
		return true
	}
	switch v := v.(type) {
	case *glua.LTable:
		v.ForEach(func(k, value glua.LValue) { found = found || reaches(k, values, seen) || reaches(value, values, seen) })
		return found || reaches(v.Metatable, values, seen)
	case *glua.LFunction:
		for _, upvalue := range v.Upvalues {
			if upvalue != nil && reaches(upvalue.Value(), values, seen) {
				return true
			}
		}
	}
	return false
}

// sampler makes programs.
type sampler struct{ *rand.Rand }

func (g sampler) one(choices ...string) string { return choices[g.IntN(len(choices))] }

func (g sampler) block(depth int) string {
	var b strings.Builder
	for range 1 + g.IntN(4) {
		b.WriteString(g.statement(depth) + " ")
	}
	return b.String()
}

func (g sampler) variable() string { return g.one("q", "r", "n", "a", "b", "c", "a", "b") }

func (g sampler) target() string {
	return g.one("a", "b", "c", "q", "r", "UP", "UP2", "G", "T.x", "T[1]", "r.body", "q.headers.x", "c.x")
}

func (g sampler) expr(depth int) string {
	if depth <= 0 {
		return g.variable()
	}
	e := func() string { return g.expr(depth - 1) }
	switch g.IntN(14) {
	case 0:
		return g.one("1", "nil", "true", "'x'", "T", "{}", "UP")
	case 1, 2:
		return g.variable()
	case 3:
		return g.variable() + g.one(".path", ".headers", "[a]", ".headers.x", "['path']")
	case 4:
		return g.variable() + ":" + g.one("header", "set", "headers") + "(" + g.one("", "'x'", "a", e()) + ")"
	case 5:
		return g.variable() + "(" + g.one("", e(), "a, "+e()) + ")"
	case 6:
		return "(" + e() + " " + g.one("and", "or", "==", "~=") + " " + e() + ")"
	case 7:
		return "{" + e() + ", x = " + e() + "}"
	case 8:
		return "keep(" + e() + ")"
	case 9:
		return "(function(...) local d = ... " + g.one("UP = d", "return "+g.variable(), "return ...", "") + " end)"
	case 10:
		return "(function() " + g.one("UP = "+g.variable(), "return "+g.variable()) + " end)()"
	case 11:
		return g.one("not ", "#") + e()
	case 12:
		return e() + " .. " + e()
	}
	return "tostring(" + e() + ")"
}

func (g sampler) statement(depth int) string {
	if depth <= 0 {
		return g.target() + " = " + g.expr(1)
	}
	switch g.IntN(12) {
	case 0, 1:
		return "local " + g.one("a", "b", "c", "d") + " = " + g.expr(2)
	case 2:
		return fmt.Sprintf("local a, b = %s, %s", g.expr(2), g.expr(1))
	case 3, 4:
		return g.target() + " = " + g.expr(2)
	case 5:
		return fmt.Sprintf("%s, %s = %s, %s", g.target(), g.target(), g.expr(1), g.expr(1))
	case 6:
		return "if " + g.expr(1) + " then " + g.block(depth-1) + " else " + g.block(depth-1) + " end"
	case 7:
		return "for i = 1, 2 do " + g.block(depth-1) + g.one("", "if i == 1 then break end ") + "end"
	case 8:
		return "do " + g.block(depth-1) + "end"
	case 9:
		return "repeat " + g.block(depth-1) + "until " + g.one("true", g.variable())
	case 10:
		return "local d = " + g.variable() + ":header(" + g.expr(1) + ")"
	}
	return "n()"
}
