package syntax_test

import (
	"errors"
	"fmt"
	"math"
	"os"
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
			message, _, _ := strings.Cut(wrong.Message, " (did you mean")
			got = fmt.Sprintf("in:%d: %s", wrong.Line, message)
		}
		if got != want {
			t.Errorf("%s gives %s\nlua5.1 %s", quoted, got, want)
		}
	}
}

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
