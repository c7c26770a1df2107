package vm_test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/test/measure"
)

// hostile sources are of about a size, in bytes: each has as much of one
// construct as fits.
var hostile = map[string]func(size int) string{
	"nothing":            func(n int) string { return strings.Repeat(" ", n) },
	"lines":              func(n int) string { return strings.Repeat("\n", n) },
	"statements":         repeat("x=1\n"),
	"semicolons":         repeat("x=1;"),
	"comments":           repeat("--\n"),
	"long comments":      repeat("--[[]]"),
	"one comment":        around("--[==[", "]", "]==]"),
	"almost brackets":    around("x=[====[", "]===", "]====]"),
	"levels":             around("x=[", "=", "[x]"),
	"open brackets":      repeat("[=[="),
	"one string":         around(`x="`, "a", `"`),
	"escapes":            around(`x="`, `\0`, `"`),
	"line ends":          around("x=[[", "\r\n", "]]"),
	"quotes":             repeat(`"`),
	"strings":            each(func(i int) string { return fmt.Sprintf(`x="%x"`, i) + "\n" }),
	"numbers":            each(func(i int) string { return fmt.Sprintf("x=%d\n", i) }),
	"one number":         around("x=", "1", ""),
	"one name":           around("", "a", "=1"),
	"one hex number":     around("x=0x", "f", ""),
	"names":              each(func(i int) string { return fmt.Sprintf("x%x=1\n", i) }),
	"fields":             around("x=a", ".b", ""),
	"fields, assigned":   around("a", ".b", "=1"),
	"indices":            around("x=a", "[1]", ""),
	"indices in indices": nest("x=", "a[", "1", "]"),
	"calls":              around("f", "()", ""),
	"calls in calls":     nest("", "f(", "1", ")"),
	"string calls":       around("f", `""`, ""),
	"table calls":        around("f", "{}", ""),
	"methods":            around("x=a", ":b()", ""),
	"arguments":          around("f(1", ",1", ")"),
	"additions":          around("x=a", "+a", ""),
	"folded":             around("x=1", "+1", ""),
	"powers":             around("x=1", "^1", ""),
	"powers of names":    around("x=a", "^a", ""),
	"comparisons":        around("x=a", "<a", ""),
	"equals":             around("x=a", "==a", ""),
	"ands":               around("x=a", " and a", ""),
	"ors":                around("x=a", " or a", ""),
	"ands and ors":       around("x=a", " and a or a", ""),
	"conditions":         around("if a", " and b or c", " then end"),
	"concats":            around("x=a", "..a", ""),
	"nots":               around("x=", "not ", "a"),
	"minuses":            around("x=", "- ", "a"),
	"lengths":            around("x=", "#", "a"),
	"parentheses":        nest("x=", "(", "a", ")"),
	"open parentheses":   around("x=", "(", ""),
	"tables":             nest("x=", "{", "", "}"),
	"items":              around("x={1", ",1", "}"),
	"named fields":       each2("x={", func(i int) string { return fmt.Sprintf("a%x=1,", i) }, "}"),
	"computed fields":    around("x={", "[a]=1,", "}"),
	"lists of calls":     around("x={", "f(),", "}"),
	"functions":          repeat("function f()end "),
	"closures":           around("x={", "function()end,", "}"),
	"nested functions":   nest("x=", "function() return ", "1", " end"),
	"parameters":         each2("function f(a", func(i int) string { return fmt.Sprintf(",a%x", i) }, ") end"),
	"same parameters":    around("function f(a", ",a", ") end"),
	"locals":             each(func(i int) string { return fmt.Sprintf("local a%x\n", i) }),
	"same local":         repeat("local a "),
	"locals in blocks":   repeat("do local a end "),
	"a list of locals":   around("local a", ",a", ""),
	"values":             around("local a=1", ",1", ""),
	"targets":            around("a", ",a", "=1"),
	"field targets":      around("a.b", ",a.b", "=1"),
	"upvalues":           each2(locals(190)+"function f() ", func(i int) string { return fmt.Sprintf("x=l%d ", i%190) }, " end"),
	"blocks":             nest("", "do ", "", " end"),
	"ifs":                nest("", "if a then ", "", " end"),
	"whiles":             nest("", "while a do ", "", " end"),
	"repeats":            nest("", "repeat ", "", " until a"),
	"fors":               nest("", "for i=1,2 do ", "", " end"),
	"for ins":            nest("", "for i in a do ", "", " end"),
	"else ifs":           around("if a then ", "elseif a then ", "end"),
	"long if":            around("if a then ", "x=1 ", "end"),
	"long while":         around("while a do ", "x=1 ", "end"),
	"long for":           around("for i=1,2 do ", "x=1 ", "end"),
	"many ifs":           repeat("if a then end "),
	"breaks":             around("while a do ", "if a then break end ", "end"),
	"gotos":              each2("", func(i int) string { return fmt.Sprintf("goto l%x ", i) }, ""),
	"labels":             each(func(i int) string { return fmt.Sprintf("::l%x::", i) }),
	"gotos and labels":   each(func(i int) string { return fmt.Sprintf("do goto l%x end ::l%x:: ", i, i) }),
	"awaited labels":     each2(strings.Repeat("do ", 150), func(i int) string { return fmt.Sprintf("goto l%x ", i) }, strings.Repeat("end ", 150)),
	"forward gotos":      around("do ", "goto a ", "end ::a::"),
	"backward gotos":     around("::a:: ", "goto a ", ""),
	"nested gotos":       nest("", "do goto a ", "", " end ::a::"),
	"returns":            repeat("do return end "),
	"bytes":              around("x=", "\xff", ""),
	"zeros":              around("x=", "\x00", ""),
	"unclosed":           repeat("if a then "),
	"deep in functions":  deepNames,
}

func repeat(unit string) func(int) string { return around("", unit, "") }

func around(before, unit, after string) func(int) string {
	return func(n int) string { return before + strings.Repeat(unit, n/len(unit)) + after }
}

func nest(before, left, inner, right string) func(int) string {
	return func(n int) string {
		k := n / (len(left) + len(right))
		return before + strings.Repeat(left, k) + inner + strings.Repeat(right, k)
	}
}

func each(unit func(i int) string) func(int) string { return each2("", unit, "") }

func each2(before string, unit func(i int) string, after string) func(int) string {
	return func(n int) string {
		var b strings.Builder
		b.WriteString(before)
		for i := 0; b.Len() < n; i++ {
			b.WriteString(unit(i))
		}
		return b.String() + after
	}
}

func locals(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "local l%d ", i)
	}
	return b.String()
}

// deepNames has functions within functions with many variables each, and names
// in the innermost that none of them declares.
func deepNames(n int) string {
	return strings.Repeat("local function f() "+locals(150), 40) + strings.Repeat("x=y ", n/4-16000) + strings.Repeat(" end", 40)
}

// Each hostile source compiles or is refused, with memory in proportion to its
// size; and so with as much work, since nothing in the compiler goes over what
// it has more than once.
func TestHostileSources(t *testing.T) {
	if !measure.Alone(t) {
		return
	}
	size, perByte := 1<<17, uint64(250)
	if os.Getenv("KEYSTONE_LONG") != "" {
		size = 1<<20 - 8192
	}
	for name, source := range hostile {
		text := []byte(source(size))
		if len(text) > 1<<20 {
			t.Errorf("%s has %d bytes", name, len(text))
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := vm.Compile(text, "a.lua", vm.Options{})
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > perByte*uint64(len(text))+1<<20 {
			t.Errorf("%s took %d MiB (%v)", name, took>>20, err)
		}
		if err != nil && (!strings.HasPrefix(err.Error(), "a.lua:") || len(err.Error()) > 250) {
			t.Errorf("%s: %v", name, err)
		}
		if testing.Verbose() {
			t.Logf("%s: %d MiB, %v", name, (after.TotalAlloc-before.TotalAlloc)>>20, err)
		}
	}
}
