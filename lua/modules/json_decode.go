package modules

import (
	"fmt"
	"strconv"
	"strings"

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

// jsonEscapes are the escapes of one character.
var jsonEscapes = map[byte]rune{
	'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t',
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
