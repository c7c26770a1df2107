package vm_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/stdlib"
	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// useNames are the uses in words.
var useNames = []string{"called", "read", "method", "assigned", "changed", "escapes"}

// followed compiles a source that returns a function, and follows its paths. n and r
// are its objects of which something is done: n by a call, r by methods, of which
// those that begin with "set" only prepare.
func followed(t *testing.T, source string, steps int) (vm.Paths, string, int) {
	t.Helper()
	m := newMeter(t, generous(), vm.NewLedger(0, 0), nil)
	m.L.Push(compiled(t, source).Instantiate(m.lock, &vm.Functions{SetIndex: stdlib.SetIndex}))
	if err := vm.Call(m.L, 0, 1); err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	var uses []string
	paths := vm.Follow(m.L, m.L.Get(-1).(*glua.LFunction), 3, &steps, func(object int, u vm.Use, name string, line int) vm.Effect {
		if name != "" {
			name = "." + name
		}
		uses = append(uses, fmt.Sprintf("%d %c%s %s", line, "qrn"[object], name, useNames[u]))
		switch {
		case object == 0 || u == vm.Read:
			return vm.NoEffect
		case strings.HasPrefix(name, ".set"):
			return vm.Prepares
		}
		return vm.Answers
	})
	slices.Sort(uses)
	return paths, strings.Join(slices.Compact(uses), ", "), steps
}

// inWords is what was found, as "silent 1 3", "answered", "returns a table at 2".
func inWords(p vm.Paths) string {
	var words []string
	if !p.Known {
		words = append(words, "unknown")
	}
	if p.Answered {
		words = append(words, "answered")
	}
	lines := slices.Clone(p.Silent)
	slices.Sort(lines)
	for _, line := range slices.Compact(lines) {
		words = append(words, fmt.Sprint("silent ", line))
	}
	lines = lines[:0]
	for line := range p.Returned {
		lines = append(lines, line)
	}
	slices.Sort(lines)
	for _, line := range lines {
		words = append(words, fmt.Sprintf("returns a %s at %d", p.Returned[line], line))
	}
	return strings.Join(words, ", ")
}

// TestPaths follows functions whose arguments are q, which has no effect, r and n.
func TestPaths(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ body, want string }{
		// What is done, and where that is known to be.
		{"", "silent 1"},
		{"n()", "answered"},
		{"return n()", "answered"},
		{"r:write('x')", "answered"},
		{"return r:write('x')", "answered"},
		{"r:set('x')", ""},
		{"r.set('x')", ""},
		{"q:write('x')", "silent 1"},
		{"local x = r.body", "silent 1"},
		{"r.body = 'x'", "answered"},
		{"r.set = 'x'", ""},
		{"r.headers.x = 'x'", "answered"},
		{"r['body'] = 'x'", "answered"},
		{"r['bo' .. q.x] = 'x'", "answered"},
		{"r.headers['x' .. q.x] = 'x'", "answered"},
		{"local x = r x.body = 1", "answered"},
		{"local x = r:write() x()", "answered"},
		// What gets where it can't be followed.
		{"T = r", "answered"}, {"UP = r", "answered"}, {"T.x = r", "answered"}, {"T[r] = 1", "answered"},
		{"T[1 .. ''] = r", "answered"}, {"T[r .. ''] = 1", "answered"},
		{"local t = {r}", "answered"}, {"local t = {1, r}", "answered"}, {"local t = {x = r}", "answered"}, {"local t = {1, 2}", "silent 1"},
		{"T(r)", "answered"}, {"T(1, r)", "answered"}, {"T(r.body)", "answered"}, {"T(1, T(r))", "answered"}, {"T(1)", "silent 1"},
		{"q:x(r)", "answered"}, {"q:x(q)", "silent 1"}, {"T:x(r)", "answered"}, {"return r", "answered"}, {"return 1, r", "answered"}, {"return q", "silent 1"},
		{"local f = function() return r end", "answered"}, {"local f = function() return q end", "silent 1"}, {"local f = function() return 1 end", "silent 1"},
		{"local x = 1 local f = function() return x end", "silent 1"},
		{"local x, y = r.a, 1 local f = function() return x end", "answered"},
		// Conditions.
		{"if q.a then n() end", "answered, silent 1"},
		{"if q.a then n() else r:write() end", "answered"},
		{"if q.a then\nreturn\nend\nn()", "answered, silent 2"},
		{"if not q.a then\nreturn\nend\nn()", "answered, silent 2"},
		{"if q.a then n() end if not q.a then r:write() end", "answered"},
		{"local a = q:a() if a then n() end if not a then r:write() end", "answered"},
		{"if q:a() then n() end if not q:a() then r:write() end", "answered"},
		{"if q:a('x') then n() end if not q:a('y') then r:write() end", "answered, silent 1"},
		{"if q.a then n() end if not q.b then r:write() end", "answered, silent 1"},
		{"if q.a == 'x' then n() end if q.a ~= 'x' then r:write() end", "answered"},
		{"if q.a == 'x' then n() end if 'x' ~= q.a then r:write() end", "answered"},
		{"if q.a == 'x' then n() end if q.a ~= 'y' then r:write() end", "answered, silent 1"},
		{"if q.a == true then n() end if q.a ~= true then r:write() end", "answered"},
		{"if q.a == true then n() end if q.b ~= true then r:write() end", "answered, silent 1"},
		{"if q.a == true then n() end if q.a ~= false then r:write() end", "answered, silent 1"},
		{"if q.a < 1 then n() end if not (q.a < 1) then r:write() end", "answered"},
		{"if q.a < 1 then n() end if not (1 < q.a) then r:write() end", "answered, silent 1"},
		{"if q.a <= 1 then n() end if not (q.a < 1) then r:write() end", "answered, silent 1"},
		{"if q.a > 1 then n() else r:write() end", "answered"},
		{"if q.a + 1 == 2 then n() end if q.a + 1 ~= 2 then r:write() end", "answered"},
		{"if q.a + 1 == 2 then n() end if q.a - 1 ~= 2 then r:write() end", "answered, silent 1"},
		{"if #q.a == 2 then n() end if #q.a ~= 2 then r:write() end", "answered"},
		{"if q.a and q.b then n() end", "answered, silent 1"},
		{"if q.a or q.b then n() end if not q.a and not q.b then r:write() end", "answered"},
		{"local x = q.a and 'yes' or 'no' if x then n() end", "answered"},
		{"local x = q.a and 'yes' if x then n() end if not q.a then r:write() end", "answered"},
		{"local x = q.a and 'yes' if x then n() end if q.a then r:write() end", "answered, silent 1"},
		{"local x = q.a or 'no' if x then n() end", "answered"},
		{"local x = q.a or nil if x then n() end", "answered, silent 1"},
		{"local x = q.a == 1 if x then n() end if q.a ~= 1 then r:write() end", "answered"},
		{"local x = not q.a if x then n() end if q.a then r:write() end", "answered"},
		{"local x = not q.a if x then n() end if not q.a then r:write() end", "answered, silent 1"},
		// Values that are known.
		{"local x if x then n() end", "silent 1"},
		{"local x if not x then n() end", "answered"},
		{"local x, y, z if z then n() end", "silent 1"},
		{"local x, y, z = 1 if z then n() end", "silent 1"},
		{"local x = 1 if x then n() end", "answered"},
		{"local x = {} if x then n() end", "answered"},
		{"local x = function() end if x then n() end", "answered"},
		{"local x = true if x then n() end", "answered"},
		{"local x = false if x then n() end", "silent 1"},
		{"local x = q if x then n() end", "answered"},
		{"local x if x == nil then n() end", "answered"},
		{"local x if nil ~= x then n() end", "silent 1"},
		{"local x = {} if x == nil then n() end", "silent 1"},
		{"local x = {} if nil == x then n() end", "silent 1"},
		{"if q.a == nil then n() end if q.a ~= nil then r:write() end", "answered"},
		{"if q == nil then n() end", "silent 1"},
		{"local x = 'a' .. q.b if x then n() end", "answered"},
		{"local x = false if q.a then x = true end if x then n() end if not q.a then r:write() end", "answered"},
		// What may have changed meanwhile.
		{"if T then n() end if not T then r:write() end", "answered"},
		{"if T then n() end T = q.a if not T then r:write() end", "answered, silent 1"},
		{"if UP then n() end if not UP then r:write() end", "answered"},
		{"if UP then n() end UP = q.a if not UP then r:write() end", "answered, silent 1"},
		{"if T.a then n() end if not T.a then r:write() end", "answered"},
		{"if T.a then n() end T.a = q.a if not T.a then r:write() end", "answered, silent 1"},
		{"if T.a then n() end if not T.b then r:write() end", "answered, silent 1"},
		{"local x = q.a if x then n() end x = q.b if not x then r:write() end", "answered, silent 1"},
		{"local x = T.a local f = function() x = 1 end if x then n() end T() if not x then r:write() end", "answered, silent 1"},
		{"local x = T.a local f = function() end if x then n() end T() if not x then r:write() end", "answered"},
		// Functions that don't return.
		{"if q.a then n() else error('x') end", "answered"},
		{"if q.a then n() else error() end", "answered"},
		{"assert(q.a) if q.a then n() end", "answered"},
		{"assert(q.a) if not q.a then n() end", "silent 1"},
		{"assert(false)", ""}, {"assert(nil)", ""}, {"assert(true)", "silent 1"}, {"assert()", "silent 1"},
		{"if q.a then n() else refuse() end", "answered"},
		{"if q.a then n() else perhaps() end", "answered, silent 1"},
		{"if q.a then n() else return refuse() end", "answered"},
		{"if q.a then n() else once() end", "answered"},
		{"if q.a then n() else twice() end", "answered"},
		{"if q.a then n() else thrice() end", "answered, silent 1"},
		{"if q.a then n() else never() end", "answered"},
		{"if q.a then n() else tostring() end", "answered, silent 1"},
		// Loops.
		{"for i = 1, 3 do n() end", "answered"},
		{"for i = 1, 3 do local x = i end", "silent 1"},
		{"for i = 1, 3 do if q.a then n() return end end", "answered, silent 1"},
		{"for k, v in pairs(T) do n() end", "answered"},
		{"for k, v in pairs(T) do r:write(v) end", "answered"},
		{"for k, v in pairs(T) do if v then n() return end end", "answered, silent 1"},
		{"for k in T do if k then n() return end end", "answered, silent 1"},
		{"while q.a do n() end", ""},
		{"while true do n() end", ""},
		{"repeat n() until q.a", ""},
		{"repeat local x = q.a if x then n() end until not x", "silent 1"},
		{"while q.a do if q.b then break end n() end", "silent 1"},
		{"local i = 1 while i < 5 do n() i = i + 1 end", "answered"},
		{"goto done do n() end ::done::", "silent 1"},
		{"do return end n()", "silent 1"},
		// Results.
		{"return {}", "silent 1, returns a table at 1"},
		{"return {1, 2}", "silent 1, returns a table at 1"},
		{"local t = {} t.x = 1\nreturn t", "silent 2, returns a table at 2"},
		{"return 'x'", "silent 1, returns a string at 1"},
		{"return 'x' .. q.a", "silent 1, returns a string at 1"},
		{"return 5", "silent 1, returns a number at 1"},
		{"return function() end", "silent 1, returns a function at 1"},
		{"n() return {}", "answered, returns a table at 1"},
		{"return {}, 1", "silent 1"}, {"return nil", "silent 1"}, {"return true", "silent 1"}, {"return q.a", "silent 1"}, {"return T", "silent 1"},
		{"if q.a then\nreturn 'x'\nend\nreturn {}", "silent 2, silent 4, returns a string at 2, returns a table at 4"},
		// A list of more than one instruction can name.
		{"local t = {" + strings.Repeat("1,", 100) + "} n()", "answered"},
	} {
		source := pathPrelude + "return function(q, r, n) " + c.body + " end"
		paths, _, _ := followed(t, source, 30_000)
		if got := inWords(paths); got != c.want {
			t.Errorf("%s\ngives    %q\nexpected %q", c.body, got, c.want)
		}
	}
	for _, source := range []string{"return tostring", "return function(...) local n = ... n() end", "return function(q, ...) q() end"} {
		if paths, uses, _ := followed(t, source, 1000); inWords(paths) != "unknown" || uses != "" {
			t.Errorf("%s: got %q, %q", source, inWords(paths), uses)
		}
	}
}

// pathPrelude is what the functions use.
const pathPrelude = `local UP local function refuse() error("no") end local function perhaps() if UP then error("no") end end ` +
	`local function once() refuse() end local function twice() once() end local function thrice() twice() end local function never() while true do end end `

// TestUses: what a function does with each of its objects, and where.
func TestUses(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		"n()":                                 "1 n called",
		"\nreturn n(q)":                       "2 n called, 2 q escapes",
		"r:write(q.path)":                     "1 q.path escapes, 1 q.path read, 1 r.write method, 1 r.write read",
		"\n\nr.write(q)":                      "3 q escapes, 3 r.write method, 3 r.write read",
		"r.body = q.path":                     "1 q.path escapes, 1 q.path read, 1 r.body assigned",
		"r.headers.x = 1":                     "1 r.headers changed, 1 r.headers read",
		"r.headers['x' .. 1] = 1":             "1 r.headers changed, 1 r.headers escapes, 1 r.headers read",
		"local x = r.headers x.y = q":         "1 q escapes, 1 r.headers changed, 1 r.headers read",
		"local k = 'x' .. 1 r[k] = 1":         "1 r escapes, 1 r.? assigned",
		"local x = q[1]":                      "1 q.? read",
		"local x = q[r]":                      "1 q.? read",
		"T = q.path":                          "1 q.path escapes, 1 q.path read",
		"local a, b = q, r b.x = 1":           "1 r.x assigned",
		"if q.a then\nr:b()\nelse\nn()\nend":  "1 q.a read, 2 r.b method, 2 r.b read, 4 n called",
		"local f = function()\nreturn q\nend": "1 q escapes",
		"return q.path":                       "1 q.path escapes, 1 q.path read",
		"return T(q)":                         "1 q escapes",
		"q:x(q)":                              "1 q escapes, 1 q.x method, 1 q.x read",
		"for k, v in pairs(q.headers) do end": "1 q.headers escapes, 1 q.headers read",
	} {
		_, uses, _ := followed(t, "return function(q, r, n) "+body+" end", 30_000)
		if uses != want {
			t.Errorf("%s\nuses     %q\nexpected %q", body, uses, want)
		}
	}
	// Those behind the objects, and those that are no parameters, aren't objects.
	if _, uses, _ := followed(t, "return function(q) q.x = 1 end", 1000); uses != "1 q.x assigned" {
		t.Errorf("got %q", uses)
	}
	if _, uses, _ := followed(t, "return function(q, r, n, more) more() n() end", 1000); uses != "1 n called" {
		t.Errorf("got %q", uses)
	}
}

// TestPathsAreBounded: whoever has no steps left knows nothing.
func TestPathsAreBounded(t *testing.T) {
	t.Parallel()
	const source = "return function(q, r, n) if q.a then n() end if q.b then n() end end"
	paths, _, left := followed(t, source, 1000)
	if !paths.Known || left <= 0 {
		t.Fatalf("got %+v, %d steps are left", paths, left)
	}
	needed := 1000 - left
	if paths, _, left := followed(t, source, needed); !paths.Known || left != 0 {
		t.Errorf("of %d steps %d are left, known: %v", needed, left, paths.Known)
	}
	if paths, _, left := followed(t, source, needed-1); inWords(paths) != "unknown" || left >= 0 {
		t.Errorf("with a step less: %q, %d are left", inWords(paths), left)
	}
	// So does one whose paths are too many.
	var many strings.Builder
	for i := range 40 {
		fmt.Fprintf(&many, "if q.a%d then r:set() end ", i)
	}
	if paths, _, left := followed(t, "return function(q, r, n) "+many.String()+" end", 30_000); inWords(paths) != "unknown" || left >= 0 {
		t.Errorf("of 2^40 paths: %q, %d steps are left", inWords(paths), left)
	}
}
