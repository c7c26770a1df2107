package modules

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// jsonStep is how many bytes are written or allocated before they are charged.
const jsonStep = 4096

// jsonEncoder writes one value. It is used once.
type jsonEncoder struct {
	L              *glua.LState
	run            *vm.Run
	state          *jsonVM
	pretty, sorted bool

	buf     []byte
	charged int // bytes of buf
	work    int // instructions to Spend
	depth   int
}

func newJSONEncoder(L *glua.LState) *jsonEncoder {
	return &jsonEncoder{L: L, run: vm.RunOf(L), state: jsonOf(L)}
}

func (e *jsonEncoder) encode(v glua.LValue) error {
	if err := e.value(v); err != nil {
		return err
	}
	e.pay()
	return nil
}

// step pays when enough has come together.
func (e *jsonEncoder) step() {
	if len(e.buf)-e.charged >= jsonStep || e.work >= jsonStep/16 {
		e.pay()
	}
}

func (e *jsonEncoder) pay() {
	n, work := len(e.buf)-e.charged, e.work
	e.charged, e.work = len(e.buf), 0
	e.run.CheckString(e.L, len(e.buf))
	e.run.Charge(e.L, n)
	e.run.Spend(e.L, n/16+work)
}

func (e *jsonEncoder) value(v glua.LValue) error {
	e.work++
	e.step()
	switch v := v.(type) {
	case glua.LString:
		e.string(string(v))
	case glua.LNumber:
		return e.number(float64(v))
	case glua.LBool:
		e.buf = strconv.AppendBool(e.buf, bool(v))
	case *glua.LNilType:
		e.buf = append(e.buf, "null"...)
	case *glua.LTable:
		return e.table(v)
	case *glua.LUserData:
		return e.userdata(v)
	default:
		return jsonUnencodable(v)
	}
	return nil
}

func jsonUnencodable(v glua.LValue) error {
	return &jsonPathError{what: "cannot encode a " + v.Type().String()}
}

func (e *jsonEncoder) userdata(v *glua.LUserData) error {
	if v == e.state.null {
		e.buf = append(e.buf, "null"...)
		return nil
	}
	if digits, ok := v.Value.(jsonBig); ok {
		e.run.Charge(e.L, len(digits))
		e.charged += len(digits)
		e.buf = append(e.buf, digits...)
		return nil
	}
	return jsonUnencodable(v)
}

func (e *jsonEncoder) number(f float64) error {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return &jsonPathError{what: "cannot encode " + strconv.FormatFloat(f, 'g', -1, 64)}
	}
	e.buf = appendJSONNumber(e.buf, f)
	return nil
}

// appendJSONNumber writes numbers as ECMAScript does: the fewest digits that
// read as the same float64, without an exponent from 1e-6 up to 1e21.
func appendJSONNumber(b []byte, f float64) []byte {
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		return strconv.AppendFloat(b, f, 'e', -1, 64)
	}
	if i := int64(f); float64(i) == f && i > -1<<53 && i < 1<<53 && i != 0 {
		return strconv.AppendInt(b, i, 10)
	}
	return strconv.AppendFloat(b, f, 'f', -1, 64)
}

// jsonPlain says which bytes stand for themselves in a string.
var jsonPlain = func() (plain [256]bool) {
	for c := 0x20; c < utf8.RuneSelf; c++ {
		plain[c] = c != '"' && c != '\\'
	}
	return plain
}()

func (e *jsonEncoder) string(s string) {
	e.buf = append(e.buf, '"')
	for len(s) > 0 {
		// A part at a time, so that the clock is looked at in long strings.
		i := 0
		for limit := min(len(s), jsonStep); i < limit && jsonPlain[s[i]]; i++ {
		}
		e.buf = append(e.buf, s[:i]...)
		if s = s[i:]; len(s) > 0 {
			s = s[e.char(s):]
		}
		e.step()
	}
	e.buf = append(e.buf, '"')
}

// char writes the first character of s, and returns its length.
func (e *jsonEncoder) char(s string) int {
	switch c := s[0]; {
	case c == '"' || c == '\\':
		e.buf = append(e.buf, '\\', c)
	case c == '\n':
		e.buf = append(e.buf, `\n`...)
	case c == '\r':
		e.buf = append(e.buf, `\r`...)
	case c == '\t':
		e.buf = append(e.buf, `\t`...)
	case c < 0x20:
		const digits = "0123456789abcdef"
		e.buf = append(e.buf, `\u00`...)
		e.buf = append(e.buf, digits[c>>4], digits[c&15])
	default:
		r, size := utf8.DecodeRuneInString(s)
		e.buf = utf8.AppendRune(e.buf, r)
		return size
	}
	return 1
}

// table writes a table as what it is marked as, or else looks like. Runs that
// are paused while they encode may see a shared table change; then they write
// some of the old and some of the new.
func (e *jsonEncoder) table(t *glua.LTable) error {
	if e.depth++; e.depth > jsonDepth {
		return &jsonPathError{what: fmt.Sprintf("nested deeper than %d, or a table contains itself", jsonDepth)}
	}
	defer func() { e.depth-- }()
	t = jsonContent(t)
	n := vm.Length(e.L, t)
	others := vm.Others(t, n) > 0
	switch {
	case t.Metatable == e.state.object:
		return e.object(t, true)
	case n > 0 && others:
		return &jsonPathError{what: "mixed array and object"}
	case t.Metatable == e.state.array && others:
		return &jsonPathError{what: "an array has keys that are not indices"}
	case n > 0 || t.Metatable == e.state.array:
		return e.array(t, n)
	}
	return e.object(t, false)
}

func (e *jsonEncoder) array(t *glua.LTable, n int) error {
	holes := 0
	for i := 1; i <= n; i++ {
		if t.RawGet(glua.LNumber(i)) == glua.LNil {
			holes++
		}
		if i&255 == 0 {
			e.run.Spend(e.L, 256/8)
		}
	}
	if holes > max(8, n-holes) {
		return &jsonPathError{what: "a sparse array: json.object makes it an object"}
	}
	e.buf = append(e.buf, '[')
	for i := 1; i <= n; i++ {
		e.item(i == 1)
		if err := e.value(t.RawGet(glua.LNumber(i))); err != nil {
			return jsonAt(err, "["+strconv.Itoa(i)+"]")
		}
	}
	e.closing(n == 0, ']')
	return nil
}

func (e *jsonEncoder) object(t *glua.LTable, marked bool) error {
	if e.sorted {
		return e.sortedObject(t, marked)
	}
	e.buf = append(e.buf, '{')
	empty := true
	for k, v := vm.Next(e.L, t, glua.LNil); k != glua.LNil; k, v = vm.Next(e.L, t, k) {
		key, err := jsonKey(t, k, marked)
		if err != nil {
			return err
		}
		if err := e.member(empty, key, v); err != nil {
			return err
		}
		empty = false
	}
	e.closing(empty, '}')
	return nil
}

func (e *jsonEncoder) sortedObject(t *glua.LTable, marked bool) error {
	type member struct {
		key   string
		value glua.LValue
	}
	var members []member
	for k, v := vm.Next(e.L, t, glua.LNil); k != glua.LNil; k, v = vm.Next(e.L, t, k) {
		key, err := jsonKey(t, k, marked)
		if err != nil {
			return err
		}
		if len(members) == cap(members) {
			e.run.ChargeItems(e.L, max(4, len(members)), 64)
			e.run.Spend(e.L, 32+20*len(members))
			members = slices.Grow(members, max(4, len(members)))
		}
		members = append(members, member{key, v})
	}
	slices.SortFunc(members, func(a, b member) int { return strings.Compare(a.key, b.key) })
	e.buf = append(e.buf, '{')
	for i, m := range members {
		if err := e.member(i == 0, m.key, m.value); err != nil {
			return err
		}
	}
	e.closing(len(members) == 0, '}')
	return nil
}

func (e *jsonEncoder) member(first bool, key string, v glua.LValue) error {
	e.work += 4
	e.item(first)
	e.string(key)
	e.buf = append(e.buf, ':')
	if e.pretty {
		e.buf = append(e.buf, ' ')
	}
	if err := e.value(v); err != nil {
		return jsonAt(err, "."+key[:min(len(key), 64)])
	}
	return nil
}

// jsonKey is the text of a key of an object.
func jsonKey(t *glua.LTable, k glua.LValue, marked bool) (string, error) {
	switch k := k.(type) {
	case glua.LString:
		return string(k), nil
	case glua.LNumber:
		f := float64(k)
		if math.IsNaN(f) || math.IsInf(f, 0) {
			break
		}
		if !marked && f > 0 && f == math.Trunc(f) {
			return "", &jsonPathError{what: "a sparse array: json.object makes it an object"}
		}
		key := string(appendJSONNumber(nil, f))
		if t.RawGetString(key) != glua.LNil {
			return "", &jsonPathError{what: "two keys read " + key}
		}
		return key, nil
	}
	return "", &jsonPathError{what: "cannot encode a " + k.Type().String() + " as a key"}
}

// item begins an element or a member.
func (e *jsonEncoder) item(first bool) {
	if !first {
		e.buf = append(e.buf, ',')
	}
	if e.pretty {
		e.newline(e.depth)
	}
}

func (e *jsonEncoder) closing(empty bool, bracket byte) {
	if e.pretty && !empty {
		e.newline(e.depth - 1)
	}
	e.buf = append(e.buf, bracket)
}

func (e *jsonEncoder) newline(depth int) {
	e.buf = append(e.buf, '\n')
	for range depth {
		e.buf = append(e.buf, "  "...)
	}
}

// jsonPathError is why a value can't be encoded, and where it stands.
type jsonPathError struct {
	what string
	path []string // innermost first
}

func (e *jsonPathError) Error() string {
	if len(e.path) == 0 {
		return e.what
	}
	path := slices.Clone(e.path)
	slices.Reverse(path)
	return e.what + " at " + strings.Join(path, "")
}

// jsonAt adds a step to the path of an error; long paths keep their inner end.
func jsonAt(err error, step string) error {
	var e *jsonPathError
	if errors.As(err, &e) && len(e.path) < 10 {
		e.path = append(e.path, step)
	}
	return err
}
