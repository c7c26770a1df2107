package vm_test

import (
	"fmt"
	"strings"
	"testing"
)

// namedPrograms are errors whose values have been computed in several ways, with what
// lua5.1 says of them: a name only where it is certain.
var namedPrograms = [][2]string{
	{"gf(gt.x) ; (nil)()", "call a nil value"}, {"local q = gt.a ; (nil)()", "call a nil value"}, {"local q q = gt.b.c", "index field 'b' (a nil value)"},
	{"local function f(...) local t = {gt.x, ...} t.y.z() end f()", "index field 'y' (a nil value)"},
	{"local function f(...) gf(gt.x) ; (...)() end f()", "call a nil value"}, {"local function f(...) gf(1, gt.x) ; gf(...) x() end f()", "call global 'x' (a nil value)"},
	{"local function f(...) local a, b, c = ... c() end f()", "call local 'c' (a nil value)"}, {"local function f(...) local a = gt.x ; gf(..., gt.x)() end f()", "call a nil value"},
	{"local v = (gt.a or gt.b)()", "call a nil value"}, {"local a = gt.x or gt.y a()", "call local 'a' (a nil value)"},
	{"(gt.x or gt.y)()", "call a nil value"}, {"(x and y)()", "call a nil value"},
	{"if gt.x then gf(gt.y) end ; (gt.z)()", "call field 'z' (a nil value)"}, {"while gt.x do gf(gt.y) end gt.z()", "call field 'z' (a nil value)"}, {"for i = 1, 2 do gf(i) end gt.z()", "call field 'z' (a nil value)"},
	{"for i = 2, 1 do gt.a() end gt.b()", "call field 'b' (a nil value)"}, {"if x then gf(1) else gf(2) end (gt.z)()", "call field 'z' (a nil value)"},
	{"local a if x then a = gt.x else a = gt.y end a()", "call local 'a' (a nil value)"},
	{"gf(function() return x end, gt.q) gt.r()", "call field 'r' (a nil value)"}, {"local u = 1 gf(function() return u end) ; (gt.r)()", "call field 'r' (a nil value)"},
}

// TestNamesOfValues: what a message calls a value that was computed.
func TestNamesOfValues(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("gt, gf = {}, function() end\n")
	for _, p := range namedPrograms {
		fmt.Fprintf(&b, "print((select(2, pcall(function() %s end)):gsub('^[^:]*:%%d+: attempt to ', ''):gsub(' %%(did you mean .-%%?%%)', '')))\n", p[0])
	}
	got := strings.Split(strings.TrimSpace(ours(t, b.String())), "\n")
	if len(got) != len(namedPrograms) {
		t.Fatalf("got %d lines, want %d: %q", len(got), len(namedPrograms), got)
	}
	for i, p := range namedPrograms {
		if got[i] != p[1] {
			t.Errorf("%s\ngives %q, want %q", p[0], got[i], p[1])
		}
	}
}
