package vm

import (
	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/compile"
)

// Functions is what a VM gives to the programs that are loaded into it.
type Functions struct {
	// SetIndex is t[k] = v, with metamethods, counted.
	SetIndex func(L *glua.LState, t, k, v glua.LValue)
	// Names lists the fields and methods of an object of Go's, for messages; nil is
	// none.
	Names func(object *glua.LUserData) []string
	// Property reports whether a string is the property of that name of the request
	// that runs; nil is never. It doesn't wait.
	Property func(L *glua.LState, name, text string) bool
	// Loading is called before a text that a script has made becomes a function;
	// nil is nobody.
	Loading func(p *Program)
	// Line is called before each statement of a program compiled with Cover.
	Line func(name string, line int)
}

// operations are the functions that compiled code calls for what a single
// instruction would do without counting. All VMs share them: what belongs to
// one they find by its run.
var operations = func() *[compile.Operations]*glua.LFunction {
	list := [...]glua.LGFunction{
		compile.Concat: concat,
		compile.SetIndex: func(L *glua.LState) int {
			functionsOf(L).SetIndex(L, L.Get(1), L.Get(2), L.Get(3))
			return 0
		},
		compile.NewTable:   newTable,
		compile.Filled:     filled,
		compile.NewClosure: newClosure,
		compile.LengthOf:   lengthOf,
		compile.Remainder:  remainder,
		compile.ForBounds:  forBounds,
		compile.Extra:      extra,
		compile.CoverLine:  coverLine,
	}
	var functions [compile.Operations]*glua.LFunction
	for i, f := range list {
		functions[i] = &glua.LFunction{IsG: true, GFunction: f}
	}
	return &functions
}()

// IsProperty reports whether a string is a property of the request that runs.
func IsProperty(L *glua.LState, name, text string) bool {
	f := functionsOf(L)
	return f != nil && f.Property != nil && f.Property(L, name, text)
}

func functionsOf(L *glua.LState) *Functions { return RunOf(L).lock.functions }

// maxRoom bounds the room that a table is made with; it grows as needed.
const maxRoom = 1 << 10

// newTable makes a table with room for a list and so many names, if they are
// given.
func newTable(L *glua.LState) int {
	n, names := 0, 0
	if L.GetTop() == 2 {
		n, names = CheckInt(L, 1), CheckInt(L, 2)
	}
	RunOf(L).Charge(L, tableSize+nameSize*max(0, names-freeNames))
	chargeList(L, n)
	L.Push(L.CreateTable(min(n, maxRoom), max(1, min(names, maxRoom)))) // without names the engine would make room for 32
	return 1
}

// chargeList counts a constructor's list.
func chargeList(L *glua.LState, n int) {
	run := RunOf(L)
	run.ChargeItems(L, min(n, positions), slotBytes)
	run.ChargeItems(L, max(0, n-positions), newKeyBytes)
}

// What a constructor's names are counted as, in bytes. The first are in
// tableSize.
const (
	nameSize  = 150
	freeNames = 2 // besides those that are assigned without a call
)

// filled is called with a table that has got positions of a number that wasn't
// known when it was made.
func filled(L *glua.LState) int {
	if t, ok := L.Get(1).(*glua.LTable); ok {
		chargeList(L, Length(L, t))
	}
	return 0
}

func newClosure(L *glua.LState) int {
	RunOf(L).ChargeItems(L, 1, functionSize+variableSize*CheckInt(L, 1))
	return 0
}

// lengthOf is #v. As in Lua 5.1, a table's __len isn't asked.
func lengthOf(L *glua.LState) int {
	switch v := L.Get(1).(type) {
	case glua.LString:
		L.Push(glua.LNumber(len(v)))
		return 1
	case *glua.LTable:
		if content := Frozen(v); content != nil {
			v = content
		}
		L.Push(glua.LNumber(Length(L, v)))
		return 1
	default:
		f := L.GetMetaField(v, "__len")
		if f == glua.LNil {
			raiseOperand(L, "get length of", 1)
		}
		CheckCallable(L, f)
		L.Push(f)
		L.Push(v)
		L.Call(1, 1)
		return 1
	}
}

// remainder is a % b.
func remainder(L *glua.LState) int {
	a, left := Number(L, L.Get(1))
	b, right := Number(L, L.Get(2))
	if left && right {
		L.Push(glua.LNumber(Modulo(float64(a), float64(b))))
		return 1
	}
	for i := 1; i <= 2; i++ {
		if f := L.GetMetaField(L.Get(i), "__mod"); f.Type() == glua.LTFunction && L.Get(i).Type() != glua.LTString {
			L.Push(f)
			L.Push(L.Get(1))
			L.Push(L.Get(2))
			L.Call(2, 1)
			return 1
		}
	}
	bad := 1
	if left {
		bad = 2
	}
	raiseOperand(L, "perform arithmetic on", bad)
	return 0
}

// forBounds makes numbers of where a loop begins and ends, and of its step.
func forBounds(L *glua.LState) int {
	for i, what := range [...]string{"initial", "limit", "step"} {
		switch v := L.Get(i + 1).(type) {
		case glua.LNumber:
			continue
		case glua.LString:
			if n, ok := Number(L, v); ok {
				L.Replace(i+1, n)
				continue
			}
		}
		if what == "initial" {
			what = "initial value"
		}
		L.RaiseError("'for' %s must be a number", what)
	}
	return 3
}

// extra is the table "arg" of a vararg function.
func extra(L *glua.LState) int {
	n := L.GetTop()
	RunOf(L).Charge(L, tableSize)
	chargeList(L, n)
	t := L.CreateTable(n, 1)
	for i := 1; i <= n; i++ {
		t.RawSetInt(i, L.Get(i))
	}
	t.RawSetString("n", glua.LNumber(n))
	L.Push(t)
	return 1
}

func coverLine(L *glua.LState) int {
	if f := functionsOf(L); f.Line != nil {
		f.Line(CheckString(L, 1), CheckInt(L, 2))
	}
	return 0
}
