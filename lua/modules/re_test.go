package modules_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/lua/vm/vmtest"
)

func TestRE(t *testing.T) {
	t.Parallel()
	runTextCases(t, []textCase{
		{`return re.match("user-42", "([a-z]+)-(\\d+)")`, "user 42"},
		{`return re.match("user-42", "\\d+"), re.match("x", "\\d")`, "42 nil"},
		{`return re.match("b", "(a)|(b)")`, "nil b"},
		{`return re.find("xxabcabc", "a(b)c")`, "3 5 b"},
		{`return re.find("xxabcabc", "abc", 4)`, "6 8"},
		{`return re.find("abc", "^b", 2)`, "nil"},
		{`return re.find("a\nb", "(?m)^b", 3)`, "3 3"},
		{`return re.find("ab ab", "\\bab", 2)`, "4 5"},
		{`return re.find("abc", "", 4), re.find("abc", "", 5), re.find("abc", "c", -1), re.find("abc", "a", -100)`, "4 nil 3 1 1"},
		{`return re.find("abc", "a", 2^60), re.find("abc", "a", 0/0)`, "nil 1 1"},
		{`return re.test("abc", "B"), re.test("abc", "(?i)B")`, "false true"},
		{`return re.gsub("hello world", "o", "0")`, "hell0 w0rld 2"},
		{`return re.gsub("hello world", "o", "0", 1)`, "hell0 world 1"},
		{`return re.gsub("john smith", "(?P<first>\\w+) (\\w+)", "$2, ${first} $$ ${0}$0")`, "smith, john $ john smithjohn smith 1"},
		{`return re.gsub("abc", "", "-")`, "-a-b-c- 4"},
		{`return re.gsub("é", "", "-")`, "-é- 2"},
		{`return re.gsub("aaa", "^a", "b")`, "baa 1"},
		{`return re.gsub("ab ab", "\\ba", "X")`, "Xb Xb 2"},
		{`return re.gsub("a.b", "\\b\\Q.", "X")`, "aXb 1"},
		{`return re.gsub("abc", "\\w", string.upper)`, "ABC 3"},
		{`return re.gsub("abc", "\\w", function(c) if c == "b" then return 7 end end)`, "a7c 3"},
		{`return re.gsub("a b", "(\\w)", {a="1", b=false})`, "1 b 2"},
		{`return re.gsub("a", "a", function() return {} end)`, "error: invalid replacement value (a table)"},
		{`return re.gsub("a", "a", "$1")`, "error: a $ without a capture"},
		{`return re.gsub("a", "a", "${x")`, "error: without }"},
		{`return re.gsub("a", "a", nil)`, "error: string, function or table expected"},
		{`return re.gsub("a", "a", error)`, "error: a"},
		{`return table.concat(re.split("a, b,c", ",\\s*"), "|"), #re.split("", ","), table.concat(re.split("abc", ""), "|")`, "a|b|c 1 a|b|c"},
		{`return table.concat(re.split("a,b,c", ",", 2), "|"), table.concat(re.split(",a,", ","), "|")`, "a|b,c |a|"},
		{`local out = {} for k, v in re.gmatch("a=1, b=2", "(\\w)=(\\d)") do out[#out+1] = k .. v end return table.concat(out, " ")`, "a1 b2"},
		{`local p = re.compile("(\\d)") return p:match("a1"), p:test("x"), (p:gsub("1", "<$1>")), tostring(p), getmetatable(p), re.match("2", p)`,
			"1 false <1> (\\d) false 2"},
		{`re.compile("a").match = 1`, "error:"},
		{`return re.compile("a").match("a", "b")`, "error: compiled pattern expected"},
		{`return re.match("a", json.null)`, "error: compiled pattern expected"},
		{`return re.match("a.b*c", re.escape(".b*"))`, ".b*"},
		{`return re.match("a", "(")`, "error: missing closing )"},
		{`return re.match("a", ("x"):rep(5000))`, "error: longer than 4096"},
		{`return re.match("a", ("a{1000}"):rep(50))`, "error: too large"},
		{`return re.match("a", ("\\pL"):rep(500))`, "error: too many classes"},
		{`return re.match("a", "(?i)" .. ("[B-𞤿]"):rep(300))`, "error: too many classes"},
		{`return re.match("a", ("()"):rep(100))`, "error: more than 64 captures"},
		{`return re.match(("a"):rep(1000000), "(x?){300}y")`, "error: too long for so large a pattern"},
		{`return re.find(("a"):rep(17000000) .. "b", "b")`, "17000001 17000001"},
	})
}

// Matches that continue behind others are those that Go finds in one go.
func FuzzREIterate(f *testing.F) {
	for _, p := range []string{`a*`, `\b`, `^a|b`, `(?m)^.|$`, `\B`, `(a)|(b)?`, `\Aa`, `a.*?b|a`, `\bé`, `x*`} {
		f.Add(p, "aab abé\nb\xff a")
	}
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if len(pattern) > 100 || len(text) > 200 {
			return
		}
		v := newTextVM(t, &vm.Limits{Instructions: 100_000_000, Memory: 1 << 30})
		v.L.SetGlobal("p", glua.LString(pattern))
		v.L.SetGlobal("s", glua.LString(text))
		got := v.eval(`return re.gsub(s, p, "<$0>")`)
		re, err := regexp.Compile(pattern)
		if err != nil || strings.HasPrefix(got, "error: ") {
			if err == nil && !strings.Contains(got, "large") && !strings.Contains(got, "classes") && !strings.Contains(got, "captures") {
				t.Fatalf("%q: %s", pattern, got)
			}
			return
		}
		want := fmt.Sprint(re.ReplaceAllString(text, "<${0}>"), " ", len(re.FindAllStringIndex(text, -1)))
		if got != want {
			t.Fatalf("%q in %q: got %q, want %q", pattern, text, got, want)
		}
		parts := v.eval(`local t = re.split(s, p) return #t .. ":" .. table.concat(t, "|")`)
		split := re.Split(text, -1)
		if text == "" {
			split = []string{""} // Go has none for the empty pattern
		}
		if want := fmt.Sprintf("%d:%s", len(split), strings.Join(split, "|")); parts != want {
			t.Fatalf("%q splits %q to %q, want %q", pattern, text, parts, want)
		}
	})
}

// What takes long is ended, soon after its time is up.
func TestRELimits(t *testing.T) {
	t.Parallel()
	for name, code := range map[string]string{
		"quadratic":   `return re.gsub(("a"):rep(500000), "a.*b|a", "x")`,
		"steps":       `local s = ("a"):rep(50000) while true do re.test(s, "(x?){20}(a?a?){20}y$") end`,
		"many":        `while true do re.test("a", "b") end`,
		"compilation": `local i = 0 while true do i = i + 1 re.compile("(?i)" .. ("[B-𞤿]"):rep(8) .. i) end`,
		"cache":       `local i = 0 while true do i = i + 1 re.compile("a{900}" .. i) end`,
		"iterator":    `for _ in re.gmatch(("a"):rep(500000), "a.*b|a") do end`,
	} {
		t.Run(name, func(t *testing.T) {
			limits := vmtest.Limits()
			limits.Timeout = 100 * time.Millisecond
			v := newTextVM(t, limits)
			if err := v.L.DoString(code); err == nil || v.run.Exhausted() == nil {
				t.Fatalf("error %v, exhausted %v", err, v.run.Exhausted())
			}
		})
	}
}

func BenchmarkRE(b *testing.B) {
	for name, code := range map[string]string{
		"match": `return re.match("/users/42/orders", "^/users/(\\d+)")`,
		"gsub":  `return re.gsub("the quick brown fox jumps over the lazy dog", "\\w+", "<$0>")`,
	} {
		b.Run(name, func(b *testing.B) {
			v := newTextVM(b, &vm.Limits{Instructions: 1 << 60})
			// Not the chunk itself: as a vararg function it makes a table.
			if err := v.L.DoString("function f() " + code + " end"); err != nil {
				b.Fatal(err)
			}
			f := v.L.GetGlobal("f")
			b.ReportAllocs()
			for b.Loop() {
				v.L.Push(f)
				v.L.Call(0, 0)
			}
		})
	}
}

// Long texts are searched in other ways than short ones: they find the same.
func TestRELongTexts(t *testing.T) {
	t.Parallel()
	v := newTextVM(t, &vm.Limits{Instructions: 1 << 40, Memory: 1 << 40})
	for code, want := range map[string]string{
		`return re.find(("x"):rep(1e6) .. "needle" .. ("y"):rep(9), "needle")`:                   "1000001 1000006",
		`return re.find(("x"):rep(16384 * 3 - 2) .. "needle", "needle")`:                         "49151 49156",
		`return re.find(("needle"):rep(20000), "needle", 8)`:                                     "13 18",
		`return re.find(("1"):rep(1e5) .. "2", "12")`:                                            "100000 100001",
		`return re.test(("x"):rep(1e6), "needle")`:                                               "false",
		`return re.find(("x"):rep(1e6) .. "é12", "(é)([0-9]+)$")`:                                "1000001 1000004 é 12",
		`return re.find(("ab "):rep(3e5), "\\bb|\\bab $")`:                                       "899998 900000",
		`return re.find(("ab "):rep(3e5), "^ab", 4)`:                                             "nil",
		`return (select(2, re.gsub(("a1"):rep(2e5), "[0-9]+a?", "")))`:                           "200000",
		`local t = re.split(("x"):rep(5e5) .. "1y2" .. ("z"):rep(5e5), "[0-9][a-z]?") return #t`: "3",
	} {
		if got := v.eval(code); strings.ReplaceAll(got, `"`, "") != want {
			t.Errorf("%s\n got %.200s\nwant %s", code, got, want)
		}
	}
}
