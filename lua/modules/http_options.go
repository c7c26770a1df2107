package modules

import (
	"fmt"
	"math"
	"slices"
	"strings"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// maxText bounds the strings in a list, in bytes.
const maxText = 4096

// options reads a table of options that a script passed: past its metatable,
// so that nothing of the script's runs meanwhile.
type options struct {
	L     *glua.LState
	arg   int          // of the function that was called
	where string       // precedes the names in messages: "" or "request 2: "
	table *glua.LTable // nil has no options
}

// checkOptions raises an error for an option that isn't known: a mistyped one
// would silently not be applied.
func checkOptions(o options, known []string) options {
	if o.table == nil {
		return o
	}
	o.table = plain(o.table)
	for key, _ := vm.Next(o.L, o.table, glua.LNil); key != glua.LNil; key, _ = vm.Next(o.L, o.table, key) {
		name, ok := key.(glua.LString)
		if !ok {
			o.fail("options have names, not %s keys", key.Type().String())
		}
		if !slices.Contains(known, string(name)) {
			o.fail("there is no option %.40q, only %s", string(name), strings.Join(known, ", "))
		}
	}
	return o
}

// plain returns the table to read from: a frozen one's content.
func plain(t *glua.LTable) *glua.LTable {
	if content := vm.Frozen(t); content != nil {
		return content
	}
	return t
}

// fail raises an error about the argument.
func (o options) fail(format string, args ...any) {
	vm.ArgError(o.L, o.arg, o.where+fmt.Sprintf(format, args...))
}

func (o options) get(name string) glua.LValue {
	if o.table == nil {
		return glua.LNil
	}
	return o.table.RawGetString(name)
}

// text returns a string, and whether there is one. Numbers are taken as Lua does.
func (o options) text(name string) (string, bool) {
	switch v := o.get(name).(type) {
	case glua.LString:
		return string(v), true
	case glua.LNumber:
		return vm.Text(v), true
	case *glua.LNilType:
		return "", false
	default:
		o.fail("%s must be a string, not a %s", name, v.Type().String())
		return "", false
	}
}

// number returns a number between low and high, or otherwise where there is none.
func (o options) number(name string, low, high, otherwise float64) float64 {
	switch v := o.get(name).(type) {
	case glua.LNumber:
		if n := float64(v); n >= low && n <= high { // false for NaN
			return n
		}
		o.fail("%s must be from %g to %g", name, low, high)
	case *glua.LNilType:
	default:
		o.fail("%s must be a number, not a %s", name, v.Type().String())
	}
	return otherwise
}

// whole is number for whole ones.
func (o options) whole(name string, low, high, otherwise int64) int64 {
	n := o.number(name, float64(low), float64(high), float64(otherwise))
	if n != math.Trunc(n) {
		o.fail("%s must be a whole number", name)
	}
	return int64(n)
}

func (o options) boolean(name string) bool {
	switch v := o.get(name).(type) {
	case glua.LBool:
		return bool(v)
	case *glua.LNilType:
	default:
		o.fail("%s must be a boolean, not a %s", name, v.Type().String())
	}
	return false
}

// list returns the strings of a list of up to limit, or one string as a list.
// given says whether there is one at all; one that is given isn't empty,
// unless empty says that it may be.
func (o options) list(name string, limit int, empty bool) (list []string, given bool) {
	switch v := o.get(name).(type) {
	case glua.LString:
		list = []string{string(v)}
	case *glua.LNilType:
		return nil, false
	case *glua.LTable:
		list = o.strings(name, v, limit)
		if len(list) == 0 && !empty {
			o.fail("%s is empty", name)
		}
	default:
		o.fail("%s must be a string or a list of strings, not a %s", name, v.Type().String())
	}
	for _, text := range list {
		if len(text) > maxText {
			o.fail("%s has an entry longer than %d bytes", name, maxText)
		}
	}
	return list, true
}

// strings returns the strings and numbers of a list, up to the first nil.
func (o options) strings(name string, t *glua.LTable, limit int) []string {
	var list []string
	t = plain(t)
	for i := 1; ; i++ {
		switch v := t.RawGetInt(i).(type) {
		case glua.LString:
			list = append(list, string(v))
		case glua.LNumber:
			list = append(list, vm.Text(v))
		case *glua.LNilType:
			if len(list) == 0 {
				o.mustBeEmpty(name, t)
			}
			return list
		default:
			o.fail("%s must hold strings, not a %s", name, v.Type().String())
		}
		if len(list) > limit {
			o.fail("%s has more than %d entries", name, limit)
		}
	}
}

// mustBeEmpty tells an empty list from a table with names.
func (o options) mustBeEmpty(name string, t *glua.LTable) {
	if key, _ := vm.Next(o.L, t, glua.LNil); key != glua.LNil {
		o.fail("%s must be a list of strings", name)
	}
}

// pairs calls each for every key of a table of strings, up to limit, with the
// value or the values.
func (o options) pairs(name string, limit int, each func(key string, values []string)) {
	value := o.get(name)
	if value == glua.LNil {
		return
	}
	t, ok := value.(*glua.LTable)
	if !ok {
		o.fail("%s must be a table, not a %s", name, value.Type().String())
		return
	}
	t = plain(t)
	n := 0
	for key, v := vm.Next(o.L, t, glua.LNil); key != glua.LNil; key, v = vm.Next(o.L, t, key) {
		word, ok := key.(glua.LString)
		if !ok {
			o.fail("%s must have strings as keys, not a %s", name, key.Type().String())
		}
		values := []string{vm.Text(v)}
		switch v := v.(type) {
		case glua.LString, glua.LNumber, glua.LBool:
		case *glua.LTable:
			values = o.strings(name, v, limit)
		default:
			o.fail("%s %.60q must be a string, not a %s", name, string(word), v.Type().String())
		}
		if n += max(len(values), 1); n > limit {
			o.fail("%s has more than %d entries", name, limit)
		}
		each(string(word), values)
	}
}
