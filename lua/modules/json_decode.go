package modules

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// What values in Lua take, about, in bytes; small objects are the dearest,
// because each has two maps.
const (
	jsonTableBytes  = 200
	jsonObjectBytes = 700
	jsonMemberBytes = 100
)

type jsonBigMode int

const (
	jsonBigExact jsonBigMode = iota
	jsonBigAsString
	jsonBigAsNumber
)

// jsonDecoder reads one text. It is used once.
type jsonDecoder struct {
	L        *glua.LState
	run      *vm.Run
	state    *jsonVM
	maxDepth int
	big      jsonBigMode

	text  string
	pos   int
	depth int
	owed  int // bytes to Charge
	work  int // instructions to Spend

	// The elements and members of the arrays and objects that are open, so
	// that tables are made in their right size.
	values []glua.LValue
	keys   []string

	err error // the first
}

func newJSONDecoder(L *glua.LState, text string) *jsonDecoder {
	return &jsonDecoder{L: L, run: vm.RunOf(L), state: jsonOf(L), maxDepth: jsonDepth, text: text}
}

// decode reads the whole text.
func (d *jsonDecoder) decode() (glua.LValue, error) {
	value, ok := d.value()
	if ok {
		if d.space(); d.pos < len(d.text) {
			d.fail("unexpected text after the value")
		}
	}
	d.pay()
	if d.err != nil {
		return nil, d.err
	}
	return value, nil
}

// owe notes bytes that are about to be allocated and the work that goes with
// them.
func (d *jsonDecoder) owe(bytes, work int) {
	d.owed += bytes
	d.work += work
	if d.owed >= jsonStep {
		d.pay()
	}
}

func (d *jsonDecoder) pay() {
	owed, work := d.owed, d.work
	d.owed, d.work = 0, 0
	d.run.Charge(d.L, owed)
	d.run.Spend(d.L, work)
}

func (d *jsonDecoder) fail(what string) (glua.LValue, bool) {
	if d.err == nil {
		d.err = fmt.Errorf("invalid JSON at offset %d: %s", d.pos, what)
	}
	return nil, false
}

func (d *jsonDecoder) space() {
	start := d.pos
	for d.pos < len(d.text) {
		switch d.text[d.pos] {
		case ' ', '\t', '\n', '\r':
			d.pos++
			continue
		}
		break
	}
	d.work += (d.pos - start) / 16
}

// next skips space and returns the byte that follows, or 0 at the end.
func (d *jsonDecoder) next() byte {
	if d.pos < len(d.text) && d.text[d.pos] > ' ' {
		return d.text[d.pos]
	}
	if d.space(); d.pos < len(d.text) {
		return d.text[d.pos]
	}
	return 0
}

func (d *jsonDecoder) value() (glua.LValue, bool) {
	switch c := d.next(); {
	case c == '"':
		s, ok := d.string()
		return glua.LString(s), ok
	case c == '-' || '0' <= c && c <= '9':
		return d.number()
	case c == '{':
		return d.nested((*jsonDecoder).object)
	case c == '[':
		return d.nested((*jsonDecoder).array)
	case c == 't':
		return d.word("true", glua.LTrue)
	case c == 'f':
		return d.word("false", glua.LFalse)
	case c == 'n':
		return d.word("null", d.state.null)
	case d.pos == len(d.text):
		return d.fail("unexpected end")
	}
	return d.fail("a value expected")
}

func (d *jsonDecoder) word(word string, value glua.LValue) (glua.LValue, bool) {
	if !strings.HasPrefix(d.text[d.pos:], word) {
		return d.fail("a value expected")
	}
	d.pos += len(word)
	return value, true
}

func (d *jsonDecoder) nested(f func(*jsonDecoder) (glua.LValue, bool)) (glua.LValue, bool) {
	if d.depth++; d.depth > d.maxDepth {
		return d.fail("nested deeper than " + strconv.Itoa(d.maxDepth))
	}
	d.pos++
	value, ok := f(d)
	d.depth--
	return value, ok
}

func (d *jsonDecoder) array() (glua.LValue, bool) {
	d.owe(jsonTableBytes, 10)
	base := len(d.values)
	for d.next() != ']' || len(d.values) > base {
		v, ok := d.value()
		if !ok {
			return nil, false
		}
		d.owe(2*16, 2)
		d.values = append(d.values, v)
		if more, ok := d.more(']'); !ok {
			return nil, false
		} else if !more {
			break
		}
	}
	d.pos++
	t := vm.NewList(d.L, d.values[base:])
	d.values = d.values[:base]
	t.Metatable = d.state.array
	return t, true
}

// more reads what follows an element: whether there is another one. A closing
// bracket is left.
func (d *jsonDecoder) more(bracket byte) (more, ok bool) {
	switch d.next() {
	case ',':
		d.pos++
		return true, true
	case bracket:
		return false, true
	}
	d.fail("',' or '" + string(rune(bracket)) + "' expected")
	return false, false
}

func (d *jsonDecoder) object() (glua.LValue, bool) {
	d.owe(jsonObjectBytes, 30)
	base, first := len(d.values), len(d.keys)
	for d.next() != '}' || len(d.values) > base {
		if !d.member() {
			return nil, false
		}
		if more, ok := d.more('}'); !ok {
			return nil, false
		} else if !more {
			break
		}
	}
	d.pos++
	t := d.L.CreateTable(0, len(d.keys)-first)
	for i, v := range d.values[base:] {
		t.RawSetString(d.keys[first+i], v)
	}
	d.values, d.keys = d.values[:base], d.keys[:first]
	return t, true
}

func (d *jsonDecoder) member() bool {
	if d.next() != '"' {
		d.fail("a key expected")
		return false
	}
	key, ok := d.string()
	if !ok {
		return false
	}
	if d.next() != ':' {
		d.fail("':' expected")
		return false
	}
	d.pos++
	v, ok := d.value()
	if !ok {
		return false
	}
	d.owe(jsonMemberBytes+3*16, 12)
	d.keys, d.values = append(d.keys, key), append(d.values, v)
	return true
}

// cut is vm.Part, whose work is owed.
func (d *jsonDecoder) cut(start, end int) string {
	if len(d.text) <= vm.MaxShared {
		return d.text[start:end]
	}
	return vm.Clone(d.text[start:end])
}

// string reads a string, at whose opening quote it stands.
func (d *jsonDecoder) string() (string, bool) {
	start := d.pos + 1
	i := start
	for i < len(d.text) && jsonPlain[d.text[i]] {
		i++
	}
	if i < len(d.text) && d.text[i] == '"' {
		d.pos = i + 1
		d.owe(16+i-start, 3+(i-start)/16)
		return d.cut(start, i), true
	}
	return d.longString(start, i)
}

// longString reads the string that begins at start, and has none but plain
// characters up to i.
func (d *jsonDecoder) longString(start, i int) (string, bool) {
	end, ok := d.stringEnd(i)
	if !ok {
		return "", false
	}
	// No escape is longer than what it stands for.
	d.owe(2*(end-start)+16, 5+(end-start)/4)
	b := append(make([]byte, 0, end-start), d.text[start:i]...)
	for d.pos = i; d.pos < end; {
		if d.text[d.pos] == '\\' {
			r, ok := d.escape(end)
			if !ok {
				return "", false
			}
			b = utf8.AppendRune(b, r)
			continue
		}
		r, size := utf8.DecodeRuneInString(d.text[d.pos:])
		if r == utf8.RuneError && size == 1 {
			d.fail("not UTF-8")
			return "", false
		}
		b = append(b, d.text[d.pos:d.pos+size]...)
		d.pos += size
	}
	d.pos = end + 1
	return string(b), true
}

// stringEnd finds the closing quote of a string, from i on.
func (d *jsonDecoder) stringEnd(i int) (int, bool) {
	for ; i < len(d.text); i++ {
		switch c := d.text[i]; {
		case c == '"':
			return i, true
		case c == '\\':
			i++
		case c < 0x20:
			d.pos = i
			d.fail("a control character in a string")
			return 0, false
		}
	}
	d.pos = len(d.text)
	d.fail("a string without end")
	return 0, false
}

// jsonEscapes are the escapes of one character.
var jsonEscapes = map[byte]rune{
	'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t',
}

// escape reads an escape of a string that ends at end.
func (d *jsonDecoder) escape(end int) (rune, bool) {
	c := d.text[d.pos+1]
	if c != 'u' {
		r, ok := jsonEscapes[c]
		if !ok {
			d.fail("an unknown escape")
			return 0, false
		}
		d.pos += 2
		return r, true
	}
	r, ok := d.hex(d.pos, end)
	if !ok {
		d.fail("\\u without four hexadecimal digits")
		return 0, false
	}
	d.pos += 6
	if !utf16.IsSurrogate(r) {
		return r, true
	}
	if low, ok := d.hex(d.pos, end); ok {
		if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
			d.pos += 6
			return pair, true
		}
	}
	return utf8.RuneError, true
}

// hex reads \uXXXX at i.
func (d *jsonDecoder) hex(i, end int) (rune, bool) {
	if i+6 > end || d.text[i] != '\\' || d.text[i+1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range []byte(d.text[i+2 : i+6]) {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

func (d *jsonDecoder) number() (glua.LValue, bool) {
	start := d.pos
	integer, ok := d.scanNumber()
	if !ok {
		return d.fail("a digit expected")
	}
	literal := d.text[start:d.pos]
	d.owe(8, 2+len(literal)/16)
	if integer && len(literal) <= 15 {
		// Fewer than 2^53: exact.
		if n, err := strconv.ParseInt(literal, 10, 64); err == nil && n != 0 {
			return glua.LNumber(n), true
		}
	}
	if integer && d.big != jsonBigAsNumber && jsonIsBig(literal) {
		d.owe(64+len(literal), 4)
		digits := d.cut(start, d.pos)
		if d.big == jsonBigAsString {
			return glua.LString(digits), true
		}
		return &glua.LUserData{Value: jsonBig(digits), Metatable: d.state.big}, true
	}
	f, err := strconv.ParseFloat(literal, 64)
	if err != nil {
		d.pos = start
		return d.fail("a number out of range")
	}
	return glua.LNumber(f), true
}

// jsonIsBig says whether an integer is beyond 2^53.
func jsonIsBig(literal string) bool {
	n, err := strconv.ParseInt(literal, 10, 64)
	return err != nil || n > 1<<53 || n < -1<<53
}

// scanNumber moves past a number; integer says that it has neither fraction
// nor exponent.
func (d *jsonDecoder) scanNumber() (integer, ok bool) {
	if d.text[d.pos] == '-' {
		d.pos++
	}
	if d.pos < len(d.text) && d.text[d.pos] == '0' {
		d.pos++
	} else if !d.digits() {
		return false, false
	}
	integer = true
	if d.pos < len(d.text) && d.text[d.pos] == '.' {
		d.pos++
		if integer = false; !d.digits() {
			return false, false
		}
	}
	if d.pos < len(d.text) && d.text[d.pos]|0x20 == 'e' {
		d.pos++
		if d.pos < len(d.text) && (d.text[d.pos] == '+' || d.text[d.pos] == '-') {
			d.pos++
		}
		if integer = false; !d.digits() {
			return false, false
		}
	}
	return integer, true
}

func (d *jsonDecoder) digits() bool {
	start := d.pos
	for d.pos < len(d.text) && '0' <= d.text[d.pos] && d.text[d.pos] <= '9' {
		d.pos++
	}
	return d.pos > start
}
