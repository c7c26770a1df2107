package syntax_test

import (
	"errors"
	"fmt"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/lua/syntax"
)

// testdata/errors.txt has sources, each with what lua5.1's loadstring(source,
// "=in") says of it.
func TestErrorsAreThoseOfLua(t *testing.T) {
	text, err := os.ReadFile("testdata/errors.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		quoted, want, _ := strings.Cut(strings.TrimSpace(line), "\t")
		source, err := strconv.Unquote(quoted)
		if err != nil {
			t.Fatalf("%s: %v", quoted, err)
		}
		got := "ok"
		_, err = syntax.Parse([]byte(source))
		if wrong, ok := errors.AsType[*syntax.Error](err); ok {
			message := hints.ReplaceAllString(wrong.Message, "")
			got = fmt.Sprintf("in:%d: %s", wrong.Line, message)
		}
		if got != want {
			t.Errorf("%s gives %s\nlua5.1 %s", quoted, got, want)
		}
	}
}

// hints are what lua5.1 doesn't say.
var hints = regexp.MustCompile(` \((did you mean|one 'end' too many|Lua |blocks |lists |a local function|parameters ).*`)

func TestErrorsHelp(t *testing.T) {
	for _, c := range []struct{ source, want string }{
		{"if a != b then end", "1:6: unexpected symbol near '!=' (did you mean '~='?)"},
		{"if a && b then end", "1:6: unexpected symbol near '&&' (did you mean 'and'?)"},
		{"x = a || b", "1:7: unexpected symbol near '||' (did you mean 'or'?)"},
		{"x += 1", "1:3: unexpected symbol near '+=' (did you mean 'x = x + …'?)"},
		{"x++", "1:2: unexpected symbol near '++' (did you mean 'x = x + 1'?)"},
		{"// x", "1:1: unexpected symbol near '//' (did you mean a comment '--', or math.floor(a / b)?)"},
		{"if a then\nx = 1\n\nelif b then end", "4:6: '=' expected near 'b' (did you mean 'elseif'?)"},
		{"if a {", "1:7: unexpected symbol near '<eof>'"},
		{"let x = 1", "1:5: '=' expected near 'x' (did you mean 'local'?)"},
		{"while true do continue end", "1:24: '=' expected near 'end' (Lua has no continue: 'goto' and a label at the loop's end do it)"},
		{"if a then x() else if b then y() end", "1:37: 'end' expected near '<eof>' (did you mean 'elseif' at line 1?)"},
		{"if a then\nelse if b then\nend\nlocal x", "4:8: 'end' expected (to close 'if' at line 1) near '<eof>' (did you mean 'elseif' at line 2?)"},
		{"if a = 1 then end", "1:6: 'then' expected near '=' (did you mean '=='?)"},
		{"if x is nil then end", "1:6: 'then' expected near 'is' (did you mean '=='?)"},
		{"x == 1", "1:3: '=' expected near '==' (did you mean '='?)"},
		{"x = a === b", "1:7: unexpected symbol near '===' (did you mean '=='?)"},
		{"x = a !== b", "1:7: unexpected symbol near '!==' (did you mean '~='?)"},
		{"x = a <> b", "1:7: unexpected symbol near '<>' (did you mean '~='?)"},
		{"x ..= 'a'", "1:3: unexpected symbol near '..=' (did you mean 'x = x .. …'?)"},
		{"x /= 2", "1:3: unexpected symbol near '/=' (did you mean 'x = x / …', or '~='?)"},
		{"x := 1", "1:3: unexpected symbol near ':=' (did you mean '='?)"},
		{"x = a & b", "1:7: unexpected symbol near '&' (did you mean 'and'?)"},
		{"x = “abc”", "1:5: unexpected symbol near '“' (did you mean '\"'?)"},
		{"x = `a`", "1:5: unexpected symbol near '`' (did you mean '\"', or [[ … ]]?)"},
		{"x = !a", "1:5: unexpected symbol near '!' (did you mean 'not'?)"},
		{"x = {\"a\": 1}", "1:9: '}' expected near ':' (did you mean '[…] = …'?)"},
		{"x = [1, 2]", "1:5: unexpected symbol near '[' (lists are written { … })"},
		{"function f() { return 1 }", "1:14: unexpected symbol near '{' (blocks have no braces: they end with 'end')"},
		{"function f(a, b = 1) end", "1:17: ')' expected near '=' (parameters have no default values: 'if a == nil then a = … end' in the function)"},
		{"local function a.b() end", "1:17: '(' expected near '.' (a local function has a plain name: did you mean 'function'?)"},
		{"x = function() return end end", "1:27: '<eof>' expected near 'end' (one 'end' too many)"},
		{"local x <const> = 1", "1:9: unexpected symbol near '<' (Lua 5.1 has no attributes of variables)"},
		{"try x() catch", "1:5: '=' expected near 'x' (did you mean 'pcall(function() … end)'?)"},
		{"import x", "1:8: '=' expected near 'x' (did you mean 'local name = require \"name\"'?)"},
		{"/* x */", "1:1: unexpected symbol near '/*' (did you mean a comment '--[[ … ]]'?)"},
		{"x = 'abc", "1:5: unfinished string near '<eof>'"},
		{"--[[ abc", "1:3: unfinished long comment near '<eof>'"},
		{"x = '\\400'", `1:6: escape sequence too large near '\400'`},
		{"goto nowhere", "1:1: no visible label 'nowhere' for <goto>"},
		{"goto a local b ::a:: b = 1", "1:1: <goto a> jumps into the scope of local 'b'"},
		{"::a:: ::a::", "1:9: label 'a' already defined on line 1"},
		{"do ::a:: end goto a", "1:14: no visible label 'a' for <goto>"},
		{"x = ü", "1:5: unexpected symbol near 'ü'"},
	} {
		_, err := syntax.Parse([]byte(c.source))
		if err == nil || err.Error() != c.want {
			t.Errorf("%s\ngives    %v\nexpected %s", c.source, err, c.want)
		}
	}
}

func TestLiterals(t *testing.T) {
	for _, c := range []struct {
		source string
		want   any
	}{
		{"010", 10.0}, {"3.", 3.0}, {".5", 0.5}, {"1e3", 1000.0}, {"1E+2", 100.0}, {"0x10", 16.0}, {"0XfF", 255.0},
		{"1e400", math.Inf(1)}, {"0x1p4", 16.0}, {"- 2", -2.0}, {"-0", math.Copysign(0, -1)}, {"2^3 - 1", 7.0},
		{`"a\tb\\\"\'\065\0102\q"`, "a\tb\\\"'A\n2q"}, {"'a\\\r\nb'", "a\nb"}, {"[[\nab\r\nc\rd]]", "ab\nc\nd"},
		{"[==[a]]b]=]c]==]", "a]]b]=]c"}, {"[=[\r\n\r\n]=]", "\n"}, {"''", ""}, {`"\z\x41"`, "zx41"},
	} {
		main, err := syntax.Parse([]byte("#! first line\nreturn " + c.source))
		if err != nil {
			t.Errorf("%s: %v", c.source, err)
			continue
		}
		var got any
		switch e := main.Body.Statements[0].(*syntax.Return).Values[0].(type) {
		case *syntax.Number:
			got = e.Value
			if want, ok := c.want.(float64); ok && math.Float64bits(want) == math.Float64bits(e.Value) {
				continue
			}
		case *syntax.String:
			got = e.Value
		}
		if got != c.want || got == 0.0 {
			t.Errorf("%s gives %#v, expected %#v", c.source, got, c.want)
		}
	}
}

// goto is a name too, as in Lua 5.1, where no name follows it.
func TestGotoIsAName(t *testing.T) {
	for _, source := range []string{"local goto = 1 return goto", "goto = 1", "goto.x = 1", "x = goto", "goto()", "goto a ::a::", "do ::a:: do goto a ::a:: end end", "do goto a local b b = 1 ::a:: ;;; end", ";;x = 1;;"} {
		if _, err := syntax.Parse([]byte(source)); err != nil {
			t.Errorf("%s: %v", source, err)
		}
	}
}
