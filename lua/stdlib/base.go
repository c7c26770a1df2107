package stdlib

import (
	"fmt"
	"hash/maphash"
	"strings"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

func (l *lib) openBase(L *glua.LState) {
	_G := globals(L)
	_G.RawSetString("_G", _G)
	_G.RawSetString("_VERSION", glua.LString(glua.LuaVersion))
	nextFunction := L.NewFunction(baseNext)
	step := L.NewFunction(ipairsStep)
	l.errorFunction = L.NewFunction(baseError)
	for name, function := range map[string]glua.LGFunction{
		"assert":       baseAssert,
		"getmetatable": l.getMetatable,
		"ipairs": func(L *glua.LState) int {
			t := checkTable(L, 1)
			L.Push(step)
			L.Push(t)
			L.Push(glua.LNumber(0))
			return 3
		},
		"pairs": func(L *glua.LState) int {
			return basePairs(L, nextFunction)
		},
		"getfenv":      getEnvironment,
		"setfenv":      setEnvironment,
		"load":         l.load,
		"loadstring":   l.loadString,
		"pcall":        l.pcall,
		"xpcall":       l.xpcall,
		"rawequal":     rawEqual,
		"rawget":       rawGet,
		"rawset":       rawSet,
		"select":       baseSelect,
		"setmetatable": setMetatable,
		"tonumber":     baseToNumber,
		"tostring": func(L *glua.LState) int {
			v := checkPresent(L, 1)
			if result, ok := callToString(L, v); ok { // whatever it is
				L.Push(result)
			} else {
				L.Push(glua.LString(l.toString(L, v)))
			}
			return 1
		},
		"type":   baseType,
		"unpack": unpack,
	} {
		_G.RawSetString(name, L.NewFunction(function))
	}
	_G.RawSetString("next", nextFunction)
	_G.RawSetString("error", l.errorFunction)
}

func baseAssert(L *glua.LState) int {
	if glua.LVIsFalse(checkPresent(L, 1)) {
		message := L.Get(2)
		if message == glua.LNil {
			message = glua.LString("assertion failed!")
		}
		if glua.LVCanConvToString(message) {
			message = positioned(L, 1, vm.Text(message))
		}
		L.Error(message, 0)
	}
	return L.GetTop()
}

func baseError(L *glua.LState) int {
	value := L.Get(1)
	level := optInt(L, 2, 1)
	if glua.LVCanConvToString(value) && level > 0 {
		value = positioned(L, level, vm.Text(value))
	}
	L.Error(value, 0)
	return 0
}

// positioned is a message with the position of the function at a level before
// it. It is charged.
func positioned(L *glua.LState, level int, message string) glua.LString {
	position := where(L, level)
	charge(L, len(position)+len(message))
	return glua.LString(position + message)
}

// where is the position of the function at a level, with a space behind it;
// "" is a Go function's.
func where(L *glua.LState, level int) string {
	if level > 256 {
		return ""
	}
	position := L.Where(level)
	if position == "" || strings.HasPrefix(position, "[G]") || strings.HasPrefix(position, trampolineSource+":") {
		return ""
	}
	return position + " "
}

// getMetatable shows those of tables, and of strings what scripts may know of it.
func (l *lib) getMetatable(L *glua.LState) int {
	switch v := checkPresent(L, 1).(type) {
	case *glua.LTable:
		L.Push(L.GetMetatable(v))
	case glua.LString:
		L.Push(l.ofStrings)
	default:
		L.Push(glua.LNil)
	}
	return 1
}

func setMetatable(L *glua.LState) int {
	t := checkTable(L, 1)
	meta := L.Get(2)
	if _, ok := meta.(*glua.LTable); !ok && (meta != glua.LNil || L.GetTop() < 2) {
		vm.ArgError(L, 2, "nil or table expected")
	}
	if old, ok := t.Metatable.(*glua.LTable); ok && old.RawGetString("__metatable") != glua.LNil {
		L.RaiseError("cannot change a protected metatable")
	}
	t.Metatable = meta
	L.SetTop(1)
	return 1
}

func ipairsStep(L *glua.LState) int {
	t := checkReadable(L, 1)
	i := glua.LNumber(checkInt(L, 2) + 1)
	v := t.RawGet(i)
	if v == glua.LNil {
		L.Push(glua.LNil)
		return 1
	}
	L.Push(i)
	L.Push(v)
	return 2
}

func baseNext(L *glua.LState) int {
	key, value := vm.Next(L, checkReadable(L, 1), L.Get(2))
	L.Push(key)
	if key == glua.LNil {
		return 1
	}
	L.Push(value)
	return 2
}

// basePairs returns the table itself, frozen or not: next looks behind it.
func basePairs(L *glua.LState, nextFunction *glua.LFunction) int {
	value := L.Get(1)
	if handler, ok := L.GetMetaField(value, "__pairs").(*glua.LFunction); ok {
		L.Push(handler)
		L.Push(value)
		L.Call(1, 3)
		return 3
	}
	t := checkTable(L, 1)
	L.Push(nextFunction)
	L.Push(t)
	L.Push(glua.LNil)
	return 3
}

func rawEqual(L *glua.LState) int {
	a, b := checkPresent(L, 1), checkPresent(L, 2)
	vm.RunOf(L).SpendKey(L, a)
	L.Push(glua.LBool(L.RawEqual(a, b)))
	return 1
}

func rawGet(L *glua.LState) int {
	t, k := checkReadable(L, 1), checkPresent(L, 2)
	vm.RunOf(L).SpendKey(L, k)
	L.Push(t.RawGet(k))
	return 1
}

func rawSet(L *glua.LState) int {
	if t := checkTable(L, 1); vm.IsExtendable(t) {
		SetIndex(L, t, checkPresent(L, 2), checkPresent(L, 3))
		L.SetTop(1)
		return 1
	}
	t := checkWritable(L, 1)
	RawSetIndex(L, t, checkPresent(L, 2), checkPresent(L, 3))
	L.SetTop(1)
	return 1
}

func baseSelect(L *glua.LState) int {
	count := L.GetTop() - 1
	vm.RunOf(L).Spend(L, count/16)
	if s, ok := L.Get(1).(glua.LString); ok && strings.HasPrefix(string(s), "#") {
		L.Push(glua.LNumber(count))
		return 1
	}
	n := checkInt(L, 1)
	if n < 0 {
		n = count + n + 1
	}
	if n < 1 {
		vm.ArgError(L, 1, "index out of range")
	}
	return max(0, count-n+1)
}

func baseToNumber(L *glua.LState) int {
	base := optInt(L, 2, 10)
	if base == 10 {
		if n, ok := toNumber(L, checkPresent(L, 1)); ok {
			L.Push(n)
		} else {
			L.Push(glua.LNil)
		}
		return 1
	}
	s, short := vm.Numeral(L, checkString(L, 1))
	if base < 2 || base > 36 {
		vm.ArgError(L, 2, "base out of range")
	}
	if !short {
		L.Push(glua.LNil)
		return 1
	}
	vm.RunOf(L).Spend(L, len(s)/8)
	s = strings.TrimPrefix(strings.Trim(s, vm.Space), "+")
	digits := strings.TrimPrefix(s, "-")
	if len(s)-len(digits) > 1 || strings.HasPrefix(digits, "+") {
		digits = ""
	}
	if base == 16 && len(digits) > 2 && digits[0] == '0' && digits[1]|0x20 == 'x' {
		digits = digits[2:]
	}
	n, ok := parseDigits(digits, base)
	switch {
	case !ok:
		L.Push(glua.LNil)
	case strings.HasPrefix(s, "-"):
		L.Push(-n)
	default:
		L.Push(n)
	}
	return 1
}

func baseType(L *glua.LState) int {
	L.Push(glua.LString(checkPresent(L, 1).Type().String()))
	return 1
}

// toString is what tostring returns.
func (l *lib) toString(L *glua.LState, v glua.LValue) string {
	switch v := v.(type) {
	case glua.LString:
		return string(v)
	case glua.LNumber:
		vm.RunOf(L).Charge(L, 32)
		return vm.NumberText(v)
	case glua.LBool, *glua.LNilType:
		return v.String()
	}
	if s, ok := callToString(L, v); ok {
		if !glua.LVCanConvToString(s) {
			L.RaiseError("'tostring' must return a string to 'print'")
		}
		return vm.Text(s)
	}
	vm.RunOf(L).Charge(L, 32)
	return l.identity(v)
}

// callToString calls a value's __tostring, if it has one.
func callToString(L *glua.LState, v glua.LValue) (result glua.LValue, ok bool) {
	switch v.(type) {
	case *glua.LTable, *glua.LUserData:
	default:
		return nil, false
	}
	handler := L.GetMetaField(v, "__tostring")
	if handler == glua.LNil {
		return nil, false
	}
	if !callable(L, handler) {
		L.RaiseError("attempt to call a %s value", handler.Type())
	}
	L.Push(handler)
	L.Push(v)
	L.Call(1, 1)
	result = L.Get(-1)
	L.Pop(1)
	return result, true
}

// identity tells values of a type from each other, as an address would, but
// says nothing of where they are: it is hashed with a seed of the VM's.
func (l *lib) identity(v glua.LValue) string {
	var hash uint64
	switch v := v.(type) {
	case *glua.LTable:
		hash = maphash.Comparable(l.seed, v)
	case *glua.LFunction:
		hash = maphash.Comparable(l.seed, v)
	case *glua.LUserData:
		hash = maphash.Comparable(l.seed, v)
	case *glua.LState:
		hash = maphash.Comparable(l.seed, v)
	}
	return fmt.Sprintf("%s: 0x%012x", v.Type().String(), hash&(1<<48-1))
}

// maxUnpack bounds what unpack returns: the stack is of 64 Ki values.
const maxUnpack = 8000

func unpack(L *glua.LState) int {
	t := checkReadable(L, 1)
	from := optInt(L, 2, 1)
	var to int
	if L.Get(3) == glua.LNil {
		to = vm.Length(L, t)
	} else {
		to = checkInt(L, 3)
	}
	n := to - from + 1
	if n <= 0 {
		return 0
	}
	if n > maxUnpack {
		L.RaiseError("too many results to unpack")
	}
	run := vm.RunOf(L)
	run.Charge(L, n*16)
	run.Spend(L, n/8)
	for i := from; i <= to; i++ {
		L.Push(t.RawGet(glua.LNumber(i)))
	}
	return n
}
