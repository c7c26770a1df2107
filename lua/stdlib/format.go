package stdlib

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// spec is a conversion of string.format: %[flags][width][.precision]verb.
type spec struct {
	minus, plus, blank, sharp, zero bool

	width     int
	precision int // -1 is none
	verb      byte
}

// parseSpec reads the conversion after a %, and returns what follows it.
func parseSpec(L *glua.LState, s string) (conversion spec, rest string) {
	conversion.precision = -1
	i := 0
	for ; i < len(s) && strings.IndexByte("-+ #0", s[i]) >= 0; i++ {
		switch s[i] {
		case '-':
			conversion.minus = true
		case '+':
			conversion.plus = true
		case ' ':
			conversion.blank = true
		case '#':
			conversion.sharp = true
		case '0':
			conversion.zero = true
		}
	}
	if i > 5 {
		L.RaiseError("invalid format (repeated flags)")
	}
	conversion.width, i = twoDigits(s, i)
	if i < len(s) && s[i] == '.' {
		conversion.precision, i = twoDigits(s, i+1)
	}
	if i < len(s) && isDigit(s[i]) {
		L.RaiseError("invalid format (width or precision too long)")
	}
	if i >= len(s) {
		L.RaiseError("%s", "invalid option '%' to 'format'")
	}
	conversion.verb = s[i]
	return conversion, s[i+1:]
}

func twoDigits(s string, i int) (n, end int) {
	for end = i; end < len(s) && end < i+2 && isDigit(s[end]); end++ {
		n = n*10 + int(s[end]-'0')
	}
	return n, end
}

// format is string.format.
func (l *lib) format(L *glua.LState) int {
	rest := checkString(L, 1)
	run := vm.RunOf(L)
	run.Spend(L, len(rest)/16)
	b := newBuilder(L)
	b.grow(len(rest) + 16)
	for arg := 2; ; {
		i := strings.IndexByte(rest, '%')
		if i < 0 {
			b.add(rest)
			break
		}
		b.add(rest[:i])
		rest = rest[i+1:]
		if strings.HasPrefix(rest, "%") {
			b.addByte('%')
			rest = rest[1:]
			continue
		}
		if arg > L.GetTop() {
			vm.ArgError(L, arg, "no value")
		}
		var conversion spec
		conversion, rest = parseSpec(L, rest)
		run.Spend(L, 5)
		l.convert(L, &b, &conversion, arg)
		arg++
	}
	L.Push(vm.Built(L, b.text))
	return 1
}

// convert adds an argument.
func (l *lib) convert(L *glua.LState, b *builder, c *spec, arg int) {
	var digits [512]byte // as much as the largest number takes
	switch c.verb {
	case 'c':
		c.pad(b, string([]byte{byte(checkInt(L, arg))})) //nolint:gosec // C's cast to unsigned char
	case 'd', 'i':
		n := toInt64(checkNumber(L, arg))
		magnitude := uint64(n) //nolint:gosec // the sign is taken off
		if n < 0 {
			magnitude = -magnitude
		}
		c.integer(b, strconv.AppendUint(digits[:0], magnitude, 10), n < 0, "")
	case 'u':
		c.unsigned(b, strconv.AppendUint(digits[:0], toUint64(checkNumber(L, arg)), 10), "")
	case 'o':
		c.unsigned(b, strconv.AppendUint(digits[:0], toUint64(checkNumber(L, arg)), 8), "0")
	case 'x', 'X':
		text := strconv.AppendUint(digits[:0], toUint64(checkNumber(L, arg)), 16)
		prefix := "0x"
		if c.verb == 'X' {
			prefix = "0X"
			text = []byte(strings.ToUpper(string(text)))
		}
		c.unsigned(b, text, prefix)
	case 'e', 'E', 'f', 'g', 'G':
		c.float(b, checkNumber(L, arg), digits[:0])
	case 'q':
		quote(b, checkString(L, arg))
	case 's':
		s := l.toString(L, L.Get(arg))
		if c.precision >= 0 && c.precision < len(s) {
			s = s[:c.precision]
		}
		c.pad(b, s)
	default:
		L.RaiseError("invalid option '%%%s' to 'format'", string([]byte{c.verb}))
	}
}

// pad adds s, and blanks up to the width.
func (c *spec) pad(b *builder, s string) {
	blanks := max(0, c.width-len(s))
	b.grow(blanks + len(s))
	if c.minus {
		vm.Append(b.text, s)
	}
	for range blanks {
		b.text.WriteByte(' ')
	}
	if !c.minus {
		vm.Append(b.text, s)
	}
}

func (c *spec) sign(negative bool) string {
	switch {
	case negative:
		return "-"
	case c.plus:
		return "+"
	case c.blank:
		return " "
	}
	return ""
}

// unsigned adds digits; prefix is what the # flag asks for.
func (c *spec) unsigned(b *builder, digits []byte, prefix string) {
	c.plus, c.blank = false, false
	if !c.sharp || string(digits) == "0" {
		prefix = ""
	}
	if prefix == "0" { // octal: one zero more, if the precision gives none
		c.precision = max(c.precision, len(digits)+1)
		prefix = ""
	}
	c.integer(b, digits, false, prefix)
}

func (c *spec) integer(b *builder, digits []byte, negative bool, prefix string) {
	if c.precision == 0 && string(digits) == "0" && (c.verb != 'o' || !c.sharp) {
		digits = nil
	}
	prefix = c.sign(negative) + prefix
	zeros := c.precision - len(digits)
	if c.zero && !c.minus && c.precision < 0 {
		zeros = c.width - len(prefix) - len(digits)
	}
	c.pad(b, prefix+strings.Repeat("0", max(0, zeros))+string(digits))
}

// float adds a number as C's printf does. Go's differs in the default of %g
// and in what isn't finite.
func (c *spec) float(b *builder, n float64, digits []byte) {
	upper := c.verb == 'E' || c.verb == 'G'
	prefix := c.sign(math.Signbit(n))
	n = math.Abs(n)
	var text string
	switch {
	case math.IsInf(n, 0):
		text = "inf"
	case n != n:
		text = "nan"
	default:
		precision := c.precision
		if precision < 0 {
			precision = 6
		}
		if c.sharp {
			text = fmt.Sprintf("%#.*"+string(rune(c.verb|0x20)), precision, n)
		} else {
			text = string(strconv.AppendFloat(digits, n, c.verb|0x20, precision, 64))
		}
		if c.zero && !c.minus {
			text = strings.Repeat("0", max(0, c.width-len(prefix)-len(text))) + text
		}
	}
	if upper {
		text = strings.ToUpper(text)
	}
	c.pad(b, prefix+text)
}

// toInt64 is C's cast on the usual machines.
func toInt64(n float64) int64 {
	if n >= -0x1p63 && n < 0x1p63 {
		return int64(n)
	}
	return math.MinInt64
}

func toUint64(n float64) uint64 {
	if n >= 0x1p63 && n < 0x1p64 {
		return uint64(n)
	}
	return uint64(toInt64(n)) //nolint:gosec // negative numbers wrap around
}

// quote adds s as a literal that Lua reads back.
func quote(b *builder, s string) {
	charge(b.L, len(s))
	b.grow(len(s) + 2)
	b.text.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; c {
		case '"', '\\', '\n':
			b.addByte('\\')
			b.addByte(c)
		case '\r':
			b.add("\\r")
		case 0:
			b.add("\\000")
		default:
			b.addByte(c)
		}
	}
	b.addByte('"')
}
