package stdlib_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/stdlib"
	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/lua/vm/vmtest"
)

// TestLibraryIsLuas compares every function of the library with lua5.1's, for
// arguments of right and of wrong types, missing ones, too many, and edge
// values: results, what became of the arguments, and the words of errors.
func TestLibraryIsLuas(t *testing.T) {
	prelude, err := os.ReadFile("testdata/differential.lua")
	if err != nil {
		t.Fatal(err)
	}
	k := vmtest.Keep(t, "testdata/lua51-library.txt")
	r := rand.New(rand.NewPCG(1, 2))
	for number, list := range libraryCalls(r) {
		list = slices.DeleteFunc(list, func(call string) bool {
			return slices.ContainsFunc(intended, func(r *regexp.Regexp) bool { return r.MatchString(call) })
		})
		var source strings.Builder
		source.Write(prelude)
		for i, call := range list {
			fmt.Fprintf(&source, "P(%d, function() log(%s) end)\n", i, call)
		}
		k.Compare(t, number, source.String(), list, strings.Split(printed(t, source.String()), "\n"), unsigned)
	}
}

// intended are calls that differ on purpose: docs/lua.md has a row for each.
var intended = []*regexp.Regexp{
	// Integers that C has no room for.
	regexp.MustCompile(`^(string|table|select|unpack|error|tonumber|math.ldexp)\b.*(1e15|1e100|1/0|0/0|2\^|99999999999)`),
	regexp.MustCompile(`^assert\((nil|false), (true|[A-Z]|f|co\(\))`),         // messages of any type
	regexp.MustCompile(`^getmetatable\("`),                                    // of strings
	regexp.MustCompile(`^next\((M, 2|W, 2|L, 4|{}, 1|W, 2.*)\)`),              // positions that aren't there; the order of keys
	regexp.MustCompile(`^tonumber\("?-[^,]*, ?["\d.]`),                        // negative ones in a base
	regexp.MustCompile(`infinity|1\\0"|"x%"`),                                 // texts of numbers, and replacements that end with %
	regexp.MustCompile(`^table.sort\(.*, (f|co\(\))`),                         // order that contradicts itself
	regexp.MustCompile(`^pcall\(add, "[^"]*", 1\)|bad\(\)$|^coroutine.yield`), // the engine's words
	regexp.MustCompile(`^pcall\(error, "x", 2\)`),                             // levels beyond a pcall
	regexp.MustCompile(`^string.format\("%[^"]*s`),                            // any value
}

var sign = regexp.MustCompile(`-nan`)

func unsigned(line string) string { return sign.ReplaceAllString(strings.TrimSpace(line), "nan") }

// printed runs a source here and returns what it prints.
func printed(tb testing.TB, source string) string {
	tb.Helper()
	p, err := vm.Compile([]byte(source), "in", vm.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	thread, run := vmtest.Begin(tb, &vm.Limits{Instructions: 1 << 40, Memory: 1 << 40, Coroutines: 1 << 20, String: 4 << 20})
	main := thread.G.MainThread
	stdlib.Open(main, func() time.Time { return at.UTC() })
	var out strings.Builder
	main.SetGlobal("print", main.NewFunction(func(L *glua.LState) int {
		out.WriteString(L.CheckString(1) + "\n")
		return 0
	}))
	thread.Push(p.Instantiate(run.VM(), &vm.Functions{SetIndex: stdlib.SetIndex}))
	if err := thread.PCall(0, 0, nil); err != nil {
		tb.Fatalf("%v\nafter %s", err, out.String()[max(0, out.Len()-200):])
	}
	return out.String()
}

// values are arguments; those in capitals are made anew for each call, which
// shows what has become of them.
var values = []string{
	"nil", "true", "false", "0", "1", "-1", "2", "3.7", "-2.5", "1e15", "1/0", "-1/0", "0/0",
	`""`, `"a"`, `"hello"`, `"10"`, `" 7 "`, `"-3"`, `"0x1F"`, `"%d %s"`, `"%a+"`, `"^l"`, `"."`, `"#"`,
	"E", "L", "M", "W", "T", "f", "co()",
}

// few are those that are tried in all pairs.
var few = []string{"nil", "true", "0", "2", "-1", "3.7", `""`, `"hello"`, `"10"`, `"l"`, "L", "M", "f", "co()"}

// functions are those that are compared; print, math.random, os.clock and what
// reads the clock aren't.
var functions = strings.Fields(`
	assert error getmetatable ipairs next pairs pcall rawequal rawget rawset select setmetatable tonumber tostring type
	unpack xpcall
	string.byte string.char string.find string.format string.gmatch string.gsub string.len string.lower string.match
	string.rep string.reverse string.sub string.upper
	table.concat table.getn table.insert table.maxn table.remove table.sort
	math.abs math.acos math.asin math.atan math.atan2 math.ceil math.cos math.cosh math.deg math.exp math.floor math.fmod
	math.frexp math.ldexp math.log math.log10 math.max math.min math.modf math.pow math.rad math.sin math.sinh
	math.sqrt math.tan math.tanh
	coroutine.create coroutine.resume coroutine.running coroutine.status coroutine.wrap
`)

// libraryCalls are the calls, in batches.
func libraryCalls(r *rand.Rand) (batches [][]string) {
	pick := func(from []string) string { return from[r.IntN(len(from))] }
	for _, name := range functions {
		list := []string{name + "()"}
		for _, value := range values {
			list = append(list, name+"("+value+")")
		}
		for _, a := range few {
			for _, b := range few {
				list = append(list, name+"("+a+", "+b+")")
			}
		}
		for range 60 {
			list = append(list, fmt.Sprintf("%s(%s, %s, %s)", name, pick(values), pick(values), pick(values)))
			list = append(list, fmt.Sprintf("%s(%s, %s)", name, pick(values), pick(values)))
		}
		for range 20 {
			list = append(list, fmt.Sprintf("%s(%s, %s, %s, %s)", name, pick(few), pick(values), pick(values), pick(few)))
		}
		batches = append(batches, list)
	}
	return append(batches, formats(r), patterns(r), numerals(), dates(r), methods())
}

// formats are conversions of string.format.
func formats(r *rand.Rand) (list []string) {
	numbers := []string{"0", "1", "-1", "255", "3.7", "-2.5", "1e15", "1e100", "1/0", "2^31", "2^53", "-2^63", `"10"`, `"x"`, "nil", "true", "1e-5", "123456789"}
	for _, verb := range "cdiouxXeEfgGqsaAp%nhl" {
		for range 40 {
			spec := "%"
			for range r.IntN(3) {
				spec += string("-+ #0"[r.IntN(5)])
			}
			if r.IntN(2) == 0 {
				spec += fmt.Sprint(r.IntN(20))
			}
			if r.IntN(2) == 0 {
				spec += "." + []string{"", "0", "3", "10"}[r.IntN(4)]
			}
			n := numbers[r.IntN(len(numbers))]
			if verb == 'c' {
				n = fmt.Sprint(r.IntN(256))
			}
			list = append(list, fmt.Sprintf("string.format(%q, %s)", spec+string(verb)+"|", n))
		}
	}
	return append(list, `string.format("%")`, `string.format("%5")`, `string.format("%123d", 1)`, `string.format("%.123d", 1)`,
		`string.format("%------d", 1)`, `string.format("%d")`, `string.format("%s")`, `string.format("%q")`,
		`string.format("%q", "a\0b\nc\rd\"e\\")`, `string.format("%.3q", "abcdef")`, `string.format("%s", "a\0b")`, `string.format("%.2s", "abc")`)
}

// patterns are Lua's patterns, right and wrong ones.
func patterns(r *rand.Rand) (list []string) {
	items := []string{
		"a", "b", "l", "o", ".", "%a", "%d", "%s", "%w", "%p", "%x", "%z", "%A", "%D", "%%", "%.", "[a-z]", "[^l]", "[%d]", "[]]", "[^]]",
		"[a-]", "(", ")", "()", "(l)", "%1", "%2", "%b()", "%bxy", "%f[%a]", "%f[%z]", "*", "+", "-", "?", "^", "$", "[", "]", "%", "%f", "%b", "%0",
	}
	subjects := []string{`""`, `"hello world"`, `"a.b(c(d)e)f"`, `"THE (quick) fox"`, `"x = 10, y=20"`, `"a\0b"`, `"  trim  "`, `"aaa"`}
	replacements := []string{`"<%0>"`, `"%1"`, `"%2"`, `"%x"`, `"%%"`, "M", "W", "f", "id", "nil", "3", "true", "E"}
	for range 1500 {
		pattern := ""
		for range 1 + r.IntN(5) {
			pattern += items[r.IntN(len(items))]
		}
		subject := subjects[r.IntN(len(subjects))]
		quoted := fmt.Sprintf("%q", pattern)
		switch r.IntN(4) {
		case 0:
			list = append(list, fmt.Sprintf("string.find(%s, %s, %d)", subject, quoted, r.IntN(7)-3))
		case 1:
			list = append(list, fmt.Sprintf("string.match(%s, %s)", subject, quoted))
		case 2:
			list = append(list, fmt.Sprintf("all(%s, %s)", subject, quoted))
		default:
			list = append(list, fmt.Sprintf("string.gsub(%s, %s, %s, %d)", subject, quoted, replacements[r.IntN(len(replacements))], r.IntN(5)))
		}
	}
	return list
}

// numerals are texts that may be numbers.
func numerals() (list []string) {
	for _, text := range []string{
		"", " ", "0", "-0", "10", "+5", "--5", "1e3", "1e", "1e+", ".5", "5.", ".", "0x", "0xg", "0xFF", "-0xFF", "0x1p4", "0x.8", "1_000", "1 2",
		"\\t7\\n", "0b1", "z", "Z", "-z", "+z", "7z", "ff", "-1", "99999999999999999999", "1e400", "1e-400", "infinity", "0x1F ", "1\\0", "08", "1.5.2",
	} {
		list = append(list, fmt.Sprintf("tonumber(\"%s\")", text), fmt.Sprintf("pcall(add, \"%s\", 1)", text))
		for _, base := range []int{2, 8, 10, 16, 36} {
			list = append(list, fmt.Sprintf("tonumber(\"%s\", %d)", text, base))
		}
	}
	for _, base := range []string{"0", "1", "37", "-1", "2.9", `"16"`, "nil", "true", "1/0"} {
		list = append(list, "tonumber(\"11\", "+base+")", "tonumber(11, "+base+")", "tonumber(nil, "+base+")", "tonumber(E, "+base+")")
	}
	return list
}

// dates are times and their formats.
func dates(r *rand.Rand) (list []string) {
	for _, verb := range "aAbBcCdDeFgGhHIjklmMnpPrRsStTuUVwWxXyYzZ%QEO+ " {
		for range 4 {
			list = append(list, fmt.Sprintf("os.date(\"!%%%c|\", %d)", verb, r.Int64N(4e9)))
		}
	}
	for range 100 {
		list = append(list, fmt.Sprintf("os.time({year=%d, month=%d, day=%d, hour=%d, min=%d, sec=%d})",
			1971+r.IntN(100), r.IntN(30)-5, r.IntN(80)-20, r.IntN(60)-10, r.IntN(200)-50, r.IntN(200)-50))
		list = append(list, fmt.Sprintf("os.date(\"*t\", %d)", r.Int64N(4e9)), fmt.Sprintf("os.date(\"!*t\", %d)", r.Int64N(4e9)))
	}
	return append(list, "os.time({})", "os.time({year=2000})", "os.time({year=2000, month=1})", "os.time({year=2000, month=1, day=1})",
		`os.time({year="2000", month="1", day="1"})`, `os.time({year="x", month=1, day=1})`, "os.time(true)", `os.time("x")`, "os.time(5)",
		"os.time({year=2000, month=1, day=1, isdst=true})", "os.time({year=2000.7, month=1.2, day=1.9})",
		"os.date(true)", "os.date(E)", "os.date('!%H', 'x')", "os.date('!%H', true)", "os.date('!%H', '3600')", "os.date('!%H', 3600.9)", "os.date('', 0)",
		"os.difftime(5, 3)", "os.difftime(5)", "os.difftime()", "os.difftime('7', '2')", "os.difftime(E, 1)", "os.difftime(1, E)")
}

// methods are calls with a colon, of which errors count arguments otherwise.
func methods() []string {
	return []string{
		`("x"):rep()`, `("x"):rep("y")`, `("x"):rep({})`, `("x"):sub()`, `("x"):find()`, `("x"):find(nil)`, `("x"):gsub("x")`, `("x"):gsub("x", true)`,
		`("x"):format()`, `("%d"):format()`, `("%d"):format("y")`, `("x"):byte(true)`, `("x"):gmatch()`, `("x"):bad()`,
		`pcall(string.rep)`, `pcall(string.rep, "x", {})`, `pcall(table.insert, 5)`, `pcall(next, {}, "no")`, `pcall(pcall)`, `pcall(error)`,
		`pcall(error, nil)`, `pcall(error, "x", 0)`, `pcall(error, "x", 1)`, `pcall(error, "x", 2)`, `pcall(error, {}, 2)`,
		`select("#")`, `select("#", nil, nil)`, `select(2, "a", "b", "c")`, `select(-1, "a", "b")`, `select(-3, "a", "b")`, `select(0, "a")`,
		`setmetatable(setmetatable({}, {__metatable = 1}), {})`, `getmetatable(setmetatable({}, {__metatable = 1}))`,
		`tostring(setmetatable({}, {__tostring = function() return 1 end}))`, `tostring(setmetatable({}, {__tostring = function() return {} end}))`,
		`tostring(setmetatable({}, {__tostring = function() return "T" end}))`, `tostring(setmetatable({}, {__tostring = 5}))`,
		`next(L, 4)`, `next(L, 3)`, `next(L, 1.5)`, `next(M, "no")`, `next({}, 1)`, `next({}, {})`, `next(L, 0)`, `next(L, -1)`, `next(L, true)`,
		`unpack(L, 2)`, `unpack(L, -1, 1)`, `unpack(L, "2", "3")`, `unpack({}, 1, 3)`, `unpack(L, 3, 2)`,
		`table.insert(L, 0, "x")`, `table.insert(L, -5, "x")`, `table.insert(L, 10, "x")`, `table.insert(L, 2, "x")`, `table.insert(L, 2, "x", "y")`,
		`table.insert(L)`, `table.insert(L, nil)`, `table.insert(L, "2", "x")`, `table.insert(L, 1.9, "x")`, `table.insert(L, 2, nil)`, `table.insert(L, 4, nil)`,
		`table.remove(L, 0)`, `table.remove(L, 4)`, `table.remove(L, 5)`, `table.remove(E)`, `table.remove(E, 0)`, `table.remove(E, 1)`, `table.remove(L, 1.9)`,
		`table.sort(L, function(a, b) return a > b end)`, `table.sort({3, "x"})`, `table.sort({{}, {}})`, `table.sort({true, false})`, `table.sort({1, nil, 3})`,
		`table.sort(L, nil)`, `table.sort(L, 5)`, `table.sort({2, 1}, {})`, `table.concat({1, {}, 3})`, `table.concat({1, 2}, ", ", 1, 3)`, `table.concat({1, 2}, ", ", 2)`,
		`table.concat({1, 2}, 5)`, `table.concat({1, 2}, nil, nil, 1)`, `table.concat({true})`, `table.concat(setmetatable({}, {__index = function() return "x" end}), "", 1, 2)`,
		`math.max()`, `math.min()`, `math.max("10", 9)`, `math.floor("x")`, `math.fmod(5, 0)`, `math.fmod(-6, 4)`, `math.ldexp(1, 2.9)`, `math.modf(-3.7)`, `math.modf(1/0)`,
		`xpcall(function() error("x", 0) end, function(m) return m .. "!" end)`, `xpcall(function() error() end, function(m) return type(m), 2 end)`,
		`xpcall(function(...) return select("#", ...) end, print, 1, 2)`, `xpcall(function() error({}) end, type)`, `xpcall(function() error("x", 0) end, function() error("y", 0) end)`,
		`xpcall(5, type)`, `xpcall(function() return 1, nil, 3 end, type)`, `xpcall(error, type)`, `pcall(5)`, `pcall(E)`, `pcall("x")`,
		`rawset({}, nil, 1)`, `rawset({}, 0/0, 1)`, `rawset({}, 1)`, `rawget({})`, `rawequal(1)`, `rawequal("a", "a")`, `rawequal(E, E)`,
		`ipairs()`, `ipairs(5)`, `pairs(nil)`, `type()`, `type(nil)`, `tostring()`, `assert()`, `assert(false)`, `assert(nil, "m")`, `assert(false, 5)`, `assert(1, 2, 3)`, `assert(false, E)`, `assert(false, nil)`,
		`string.char(256)`, `string.char(-1)`, `string.char(65, 66.7, "67")`, `string.char(65, "x")`, `string.byte("abc", -1)`, `string.byte("abc", 0)`, `string.byte("abc", 2, 10)`,
		`string.sub("abc", 0)`, `string.sub("abc", -100, 100)`, `string.sub("abc", 3, 2)`, `string.sub("abc", 1.9)`, `string.rep("ab", -1)`, `string.rep("ab", 2.9)`,
		`coroutine.wrap(function() error("x") end)()`, `coroutine.wrap(function() error({}) end)()`, `coroutine.resume(co(), 1)`, `dead(1)`,
		`coroutine.resume(coroutine.create(function(...) return ... end), 1, nil)`, `coroutine.status(coroutine.running() or co())`, `coroutine.yield(1)`,
		`coroutine.wrap(function() return coroutine.status(coroutine.running()) end)()`, `coroutine.wrap(function() return coroutine.resume(coroutine.running()) end)()`,
	}
}
