package modules

import (
	"errors"
	"slices"
	"strings"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// Where a character may stand as it is (RFC 3986).
const (
	urlUnreserved = 1 << iota
	urlInPath     // what a path may have, also %
	urlInQuery    // what a query or a fragment may have, also %
	urlPlainPath  // what a path may have, but %
)

var urlClass = func() (class [256]byte) {
	for c := range class {
		b := byte(c)
		switch {
		case 'a' <= b|0x20 && b|0x20 <= 'z', '0' <= b && b <= '9', strings.IndexByte("-._~", b) >= 0:
			class[c] = urlUnreserved | urlPlainPath | urlInPath | urlInQuery
		case strings.IndexByte("/!$&'()*+,;=:@", b) >= 0:
			class[c] = urlPlainPath | urlInPath | urlInQuery
		case b == '%':
			class[c] = urlInPath | urlInQuery
		case b == '?':
			class[c] = urlInQuery
		}
	}
	return class
}()

// urlStep is how many bytes are looked at between two looks at the budget.
const urlStep = 8 << 10

// urlKeep escapes all bytes that aren't of a class.
func urlKeep(L *glua.LState, s string, class byte) string {
	run := vm.RunOf(L)
	n := 0
	for i := range len(s) {
		if urlClass[s[i]]&class == 0 {
			n++
		}
		if i%urlStep == urlStep-1 {
			run.Spend(L, urlStep/16)
		}
	}
	run.CheckString(L, len(s)+2*n)
	if n == 0 {
		return s
	}
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	b.Grow(len(s) + 2*n)
	for i := range len(s) {
		if c := s[i]; urlClass[c]&class != 0 {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(digits[c>>4])
			b.WriteByte(digits[c&15])
		}
		if i%urlStep == urlStep-1 {
			run.Spend(L, urlStep/8)
		}
	}
	return b.String()
}

// url.escape(s) -> string: s as one component of a URL: all bytes but letters,
// digits, "-", ".", "_" and "~" become %XX.
func urlEscape(L *glua.LState) int { return urlEscapeAs(L, urlUnreserved) }

// url.escape_path(s) -> string: s as a path: slashes and what else may stand
// in a path stay.
func urlEscapePath(L *glua.LState) int { return urlEscapeAs(L, urlPlainPath) }

func urlEscapeAs(L *glua.LState, class byte) int {
	s := vm.CheckString(L, 1)
	urlSpend(L, len(s), 6)
	escaped := urlKeep(L, s, class)
	L.Push(glua.LString(escaped))
	return 1
}

// url.unescape(s) -> string | nil, message: %XX become bytes; + stays.
func urlUnescape(L *glua.LState) int {
	s := vm.CheckString(L, 1)
	urlSpend(L, len(s), 2)
	plain, err := urlPlain(L, s, false)
	if err != nil {
		return urlFail(L, err)
	}
	L.Push(glua.LString(plain))
	return 1
}

// urlPlain is s without escapes; plus says that + is a space.
func urlPlain(L *glua.LState, s string, plus bool) (string, error) {
	if !strings.Contains(s, "%") && (!plus || !strings.Contains(s, "+")) {
		return s, nil
	}
	run := vm.RunOf(L)
	var b strings.Builder
	b.Grow(len(s))
	looked := 0
	for i := 0; i < len(s); i++ {
		if i-looked >= urlStep {
			run.Spend(L, urlStep/8)
			looked = i
		}
		switch {
		case s[i] == '%':
			if i+2 >= len(s) {
				return "", errors.New("an incomplete escape")
			}
			high, low := urlDigit(s[i+1]), urlDigit(s[i+2])
			if high > 15 || low > 15 {
				return "", errors.New("an escape without hexadecimal digits")
			}
			b.WriteByte(high<<4 | low)
			i += 2
		case s[i] == '+' && plus:
			b.WriteByte(' ')
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), nil
}

// urlDigit is the value of a hexadecimal digit, more than 15 for none.
func urlDigit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 255
}

// url.query(s) -> table | nil, message: the parameters of a query, with or
// without its ?. A name that is repeated has an array of its values; one
// without = has "". + is a space.
func urlQuery(L *glua.LState) int {
	whole := vm.CheckString(L, 1)
	s := strings.TrimPrefix(whole, "?")
	urlSpend(L, len(s), 3)
	run := vm.RunOf(L)
	run.Charge(L, jsonObjectBytes)
	t := L.CreateTable(0, 4)
	for s != "" {
		var pair string
		if pair, s, _ = strings.Cut(s, "&"); pair == "" {
			continue
		}
		run.Charge(L, 150)
		run.Spend(L, 15)
		name, value, _ := strings.Cut(pair, "=")
		name, err1 := urlPlain(L, name, true)
		value, err2 := urlPlain(L, value, true)
		if err := errors.Join(err1, err2); err != nil {
			return urlFail(L, err)
		}
		part := vm.Part(L, whole, value)
		switch before := t.RawGetString(name).(type) {
		case *glua.LNilType:
			t.RawSetString(vm.Clone(name), part)
		case *glua.LTable:
			vm.Add(L, before, part)
		default:
			run.Charge(L, jsonTableBytes)
			t.RawSetString(name, vm.NewList(L, []glua.LValue{before, part}))
		}
	}
	L.Push(t)
	return 1
}

// url.encode_query(parameters) -> string: a query without ?, sorted by name.
// Values are strings, numbers, booleans, or arrays of them for a name that is
// repeated. Spaces become %20.
func urlEncodeQuery(L *glua.LState) int {
	L.Push(glua.LString(urlQueryOf(L, vm.CheckTable(L, 1))))
	return 1
}

func urlQueryOf(L *glua.LState, t *glua.LTable) string {
	run := vm.RunOf(L)
	t = jsonContent(t)
	var pairs []string
	size := 0
	add := func(name string, v glua.LValue) {
		switch v.Type() {
		case glua.LTString, glua.LTNumber, glua.LTBool:
		default:
			L.RaiseError("the value of a query parameter is a %s", v.Type().String())
		}
		value := v.String()
		if number, ok := v.(glua.LNumber); ok {
			// Without an exponent, where that is short.
			value = string(appendJSONNumber(nil, float64(number)))
		}
		run.Charge(L, 6*(len(name)+len(value))+100)
		run.Spend(L, 20+(len(name)+len(value))/4)
		pairs = append(pairs, name+"="+urlKeep(L, value, urlUnreserved))
		size += len(pairs[len(pairs)-1]) + 1
		run.CheckString(L, size)
	}
	for k, v := vm.Next(L, t, glua.LNil); k != glua.LNil; k, v = vm.Next(L, t, k) {
		if k.Type() != glua.LTString && k.Type() != glua.LTNumber {
			L.RaiseError("the name of a query parameter is a %s", k.Type().String())
		}
		run.Charge(L, 4*len(vm.Text(k)))
		name := urlKeep(L, vm.Text(k), urlUnreserved)
		values, ok := v.(*glua.LTable)
		if !ok {
			add(name, v)
			continue
		}
		values = jsonContent(values)
		for i := 1; i <= vm.Length(L, values); i++ {
			add(name, values.RawGet(glua.LNumber(i)))
		}
	}
	run.Spend(L, len(pairs)*8)
	// Repeated names keep the order of their values.
	slices.SortStableFunc(pairs, func(a, b string) int {
		nameA, _, _ := strings.Cut(a, "=")
		nameB, _, _ := strings.Cut(b, "=")
		return strings.Compare(nameA, nameB)
	})
	return strings.Join(pairs, "&")
}
