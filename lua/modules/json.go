package modules

import (
	"math"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// jsonDepth is how deep values may be nested, in both directions, unless a
// script asks for something else; jsonMaxDepth is the most that it may ask for.
const (
	jsonDepth    = 100
	jsonMaxDepth = 1000
)

// jsonVM is what the json module keeps in each VM.
type jsonVM struct {
	null   *glua.LUserData // json.null
	array  *glua.LTable    // the metatable that marks arrays
	object *glua.LTable    // the metatable that marks objects
	big    *glua.LTable    // the metatable of integers that a float64 can't hold

	// scratch is the buffer of the last encoding. Whoever uses it takes it out
	// meanwhile, because another run may encode while this one is paused.
	scratch []byte
}

// jsonBig is an integer beyond 2^53, digit for digit.
type jsonBig string

// Size is vm.Sized's.
func (b jsonBig) Size() int { return len(b) }

// perVM returns what a module keeps in L's VM under key, made when it is first
// asked for.
func perVM[T any](L *glua.LState, key string, create func(L *glua.LState) *T) *T {
	if holder, ok := L.G.Registry.RawGetString(key).(*glua.LUserData); ok {
		if state, ok := holder.Value.(*T); ok {
			return state
		}
	}
	state := create(L)
	L.G.Registry.RawSetString(key, &glua.LUserData{Value: state, Metatable: glua.LNil})
	return state
}

func jsonOf(L *glua.LState) *jsonVM { return perVM(L, "keystone.json", newJSONVM) }

func newJSONVM(L *glua.LState) *jsonVM {
	// The markers are frozen, so that scripts can read, replace and compare
	// them, but can't write into what all values share.
	state := &jsonVM{
		array:  vm.Freeze(L, "the metatable of JSON arrays", L.CreateTable(0, 0)),
		object: vm.Freeze(L, "the metatable of JSON objects", L.CreateTable(0, 0)),
		big:    L.CreateTable(0, 1),
	}
	nullMeta := L.CreateTable(0, 1)
	nullMeta.RawSetString("__metatable", glua.LFalse)
	nullMeta.RawSetString("__tostring", L.NewFunction(func(L *glua.LState) int {
		L.Push(glua.LString("null"))
		return 1
	}))
	state.null = &glua.LUserData{Metatable: nullMeta}
	state.big.RawSetString("__metatable", glua.LFalse)
	state.big.RawSetString("__tostring", L.NewFunction(jsonBigString))
	state.big.RawSetString("__eq", L.NewFunction(jsonBigEqual))
	return state
}

func jsonBigString(L *glua.LState) int {
	digits, ok := vm.CheckUserData(L, 1).Value.(jsonBig)
	if !ok {
		vm.ArgError(L, 1, "big integer expected")
	}
	L.Push(glua.LString(digits))
	return 1
}

func jsonBigEqual(L *glua.LState) int {
	a, ok1 := vm.CheckUserData(L, 1).Value.(jsonBig)
	b, ok2 := vm.CheckUserData(L, 2).Value.(jsonBig)
	L.Push(glua.LBool(ok1 && ok2 && a == b))
	return 1
}

// openJSON makes the json module.
//
// json.null: what null decodes to and what encodes to null. It is true in a
// condition, and tostring gives "null".
//
// json.empty_array: a read-only table that encodes to [].
func openJSON(L *glua.LState, _ *Tenant) *glua.LTable {
	state := jsonOf(L)
	t := L.SetFuncs(L.CreateTable(0, 1), map[string]glua.LGFunction{
		"encode": jsonEncode, "decode": jsonDecode, "array": jsonArray, "object": jsonObject,
	})
	empty := L.CreateTable(0, 0)
	empty.Metatable = state.array
	t.RawSetString("empty_array", vm.Freeze(L, "json.empty_array", empty))
	t.RawSetString("null", state.null)
	return t
}

// json.encode(value, options?) -> string: the value as JSON text. Options:
// pretty=true indents by two spaces; sort_keys=true sorts the keys of objects
// by their bytes, which otherwise keep the order in which they were first set.
//
// Tables with the keys 1..n are arrays; holes become null while there are at
// most as many of them as elements, or 8. Tables without positive integer keys
// are objects, the empty table too; their other numbers as keys become
// strings. json.array and json.object say what a table is. Metatables are not
// looked at, but read-only tables read as what they hold. Bytes that aren't
// UTF-8 become U+FFFD each.
//
// Raised as errors: NaN and infinities, functions, threads and userdata,
// mixed and sparse tables, keys that are neither strings nor numbers, two keys
// with the same text, and nesting beyond 100, which all cycles come to.
func jsonEncode(L *glua.LState) int {
	value := vm.CheckAny(L, 1)
	e := newJSONEncoder(L)
	if options := vm.OptTable(L, 2, nil); options != nil {
		options = jsonContent(options)
		e.pretty = glua.LVAsBool(options.RawGetString("pretty"))
		e.sorted = glua.LVAsBool(options.RawGetString("sort_keys"))
	}
	e.buf, e.state.scratch = e.state.scratch[:0], nil
	if err := e.encode(value); err != nil {
		L.RaiseError("%s", err.Error())
	}
	e.run.ChargeString(L, len(e.buf))
	L.Push(glua.LString(e.buf))
	if cap(e.buf) <= 64<<10 {
		e.state.scratch = e.buf
	}
	return 1
}

// json.decode(text, options?) -> value | nil, message: what the JSON text
// stands for. Options: max_depth=n allows nesting up to n (100; at most 1000);
// big="exact", "string" or "number" says what becomes of integers beyond 2^53:
// a userdata that prints, compares and encodes digit for digit and can't be
// calculated with (the default), a string of the digits, or the nearest number.
//
// The text must be one value of RFC 8259 and nothing else, in UTF-8. The last
// of repeated keys wins. Half a surrogate pair becomes U+FFFD. Arrays are
// marked, so that they encode to arrays again when they are empty. Other
// numbers become the nearest float64; too large ones are an error. The message
// has the offset in bytes, from 0.
func jsonDecode(L *glua.LState) int {
	text := vm.CheckString(L, 1)
	d := newJSONDecoder(L, text)
	if options := vm.OptTable(L, 2, nil); options != nil {
		d.options(L, jsonContent(options))
	}
	value, err := d.decode()
	if err != nil {
		L.Push(glua.LNil)
		L.Push(glua.LString(err.Error()))
		return 2
	}
	L.Push(value)
	return 1
}

// json.array(table?) -> table: marks the table, or a new one, as an array,
// which encodes to [] when it is empty. The mark is its metatable; a table
// that has another one is an error.
func jsonArray(L *glua.LState) int { return jsonMark(L, jsonOf(L).array) }

// json.object(table?) -> table: marks the table, or a new one, as an object:
// its numbers as keys become strings. The mark is its metatable; a table that
// has another one is an error.
func jsonObject(L *glua.LState) int { return jsonMark(L, jsonOf(L).object) }

func jsonMark(L *glua.LState, mark *glua.LTable) int {
	t := vm.OptTable(L, 1, nil)
	if t == nil {
		vm.RunOf(L).Charge(L, jsonTableBytes)
		t = L.CreateTable(0, 0)
	}
	state := jsonOf(L)
	switch t.Metatable {
	case glua.LNil, state.array, state.object:
	default:
		vm.ArgError(L, 1, "the table has a metatable")
	}
	t.Metatable = mark
	L.Push(t)
	return 1
}

// jsonContent is what a table that may be frozen reads as.
func jsonContent(t *glua.LTable) *glua.LTable {
	if content := vm.Frozen(t); content != nil {
		return content
	}
	return t
}

// EncodeJSON is json.encode without options, for other modules. Limits of the
// run are raised as Lua errors, everything else is returned. The result, which
// has been charged to the run, is the caller's.
func EncodeJSON(L *glua.LState, v glua.LValue) ([]byte, error) {
	e := newJSONEncoder(L)
	if err := e.encode(v); err != nil {
		return nil, err
	}
	return e.buf, nil
}

// DecodeJSON is json.decode without options, for other modules. Limits of the
// run are raised as Lua errors, everything else is returned. The value doesn't
// refer to text.
func DecodeJSON(L *glua.LState, text []byte) (glua.LValue, error) {
	vm.RunOf(L).Charge(L, len(text))
	value, err := newJSONDecoder(L, string(text)).decode()
	if err != nil {
		return nil, err
	}
	return value, nil
}

// options reads the options of json.decode.
func (d *jsonDecoder) options(L *glua.LState, options *glua.LTable) {
	switch depth := options.RawGetString("max_depth").(type) {
	case *glua.LNilType:
	case glua.LNumber:
		if depth != glua.LNumber(math.Trunc(float64(depth))) || depth < 1 || depth > jsonMaxDepth {
			vm.ArgError(L, 2, "max_depth is not an integer from 1 to 1000")
		}
		d.maxDepth = int(depth)
	default:
		vm.ArgError(L, 2, "max_depth is not a number")
	}
	switch big := options.RawGetString("big"); big {
	case glua.LNil, glua.LString("exact"):
	case glua.LString("string"):
		d.big = jsonBigAsString
	case glua.LString("number"):
		d.big = jsonBigAsNumber
	default:
		vm.ArgError(L, 2, `big is none of "exact", "string", "number"`)
	}
}
