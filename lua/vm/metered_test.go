package vm_test

import (
	"strings"
	"testing"
	"time"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/stdlib"
	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// meter is a VM with a run, which tells what that has used.
type meter struct {
	main   *glua.LState
	lock   *vm.Lock
	ledger *vm.Ledger
	L      *glua.LState
	run    *vm.Run
}

// newMeter makes one, with the lock held. It ends with the test.
func newMeter(t *testing.T, limits vm.Limits, ledger *vm.Ledger, turns *vm.Turns) *meter {
	t.Helper()
	main := glua.NewState(glua.Options{
		SkipOpenLibs: true, RegistrySize: 128, RegistryMaxSize: 64 << 10, RegistryGrowStep: 1024,
		CallStackSize: 256, MinimizeStackMemory: true,
	})
	main.Push(main.NewFunction(func(*glua.LState) int { return 0 }))
	main.Call(0, 0) // the first thread that calls something is G.MainThread
	m := &meter{main: main, lock: vm.NewLock(main, ledger, turns), ledger: ledger}
	m.lock.Lock()
	stdlib.Open(main, time.Now)
	m.begin(t, limits)
	t.Cleanup(func() {
		m.run.End()
		m.lock.Unlock()
		main.Close()
	})
	return m
}

// begin begins another run, on a thread of its own.
func (m *meter) begin(t *testing.T, limits vm.Limits) {
	t.Helper()
	if m.run != nil {
		m.run.End()
	}
	m.run = &vm.Run{}
	m.run.Begin(t.Context(), m.lock, &limits)
	m.L, _ = m.main.NewThread()
	m.L.SetContext(m.run)
	m.main.G.CurrentThread = m.L
}

// lua runs a source and returns what that fails with.
func (m *meter) lua(t *testing.T, source string) error {
	t.Helper()
	program, err := vm.Compile([]byte(source), "a.lua", vm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m.L.Push(program.Instantiate(m.lock, &vm.Functions{SetIndex: stdlib.SetIndex}))
	return vm.Call(m.L, 0, 0)
}

// fails returns what f raises; "" is nothing.
func (m *meter) fails(f func()) string {
	m.L.Push(m.L.NewFunction(func(*glua.LState) int { f(); return 0 }))
	if err := m.L.PCall(0, 0, nil); err != nil {
		words, _, _ := strings.Cut(err.Error(), "\n")
		return strings.TrimSpace(words)
	}
	return ""
}

// generous are limits that nothing here comes near to.
func generous() vm.Limits {
	return vm.Limits{Instructions: 1 << 40, Memory: 1 << 40, Coroutines: 1000}
}

// inArray is how many positions a table's array may have.
const inArray = 1<<15 - 1

// list makes a list of so many elements.
func (m *meter) list(n int) *glua.LTable {
	values := make([]glua.LValue, n)
	for i := range values {
		values[i] = glua.LTrue
	}
	return vm.NewList(m.L, values)
}

// TestWorkIsCounted: what functions use of a run's memory, in bytes, and of its
// instructions.
func TestWorkIsCounted(t *testing.T) {
	t.Parallel()
	text := func(n int) glua.LString { return glua.LString(strings.Repeat("x", n)) }
	spaces := func(n int) glua.LString { return glua.LString(strings.Repeat(" ", n)) }
	set := func(m *meter, t *glua.LTable, k, v glua.LValue) { vm.SetRaw(m.L, t, k, v) }
	for _, c := range []struct {
		name         string
		prepare      func(m *meter) *glua.LTable
		do           func(m *meter, t *glua.LTable)
		bytes, spent int64
	}{
		{"a string", nil, func(m *meter, _ *glua.LTable) { m.run.ChargeString(m.L, 1000) }, 1016, 0},
		{"things", nil, func(m *meter, _ *glua.LTable) { m.run.ChargeItems(m.L, 10, 7) }, 70, 0},
		{"work", nil, func(m *meter, _ *glua.LTable) { m.run.Spend(m.L, 1000) }, 0, 1000},
		{"a number as text", nil, func(m *meter, _ *glua.LTable) { m.L.Push(glua.LNumber(5)); vm.CheckString(m.L, m.L.GetTop()) }, 32, 0},
		{"a text as a number", nil, func(m *meter, _ *glua.LTable) { vm.Number(m.L, glua.LString("12345678")) }, 0, 2},
		{"a number in much white space", nil, func(m *meter, _ *glua.LTable) { vm.Number(m.L, spaces(3*4096)+"1"+spaces(2*4096)) }, 0, 5 * 256},
		{"a part of a short string", nil, func(m *meter, _ *glua.LTable) { vm.Part(m.L, string(text(32)), "xx") }, 16, 0},
		{"a part of a long string", nil, func(m *meter, _ *glua.LTable) { vm.Part(m.L, string(text(33)), "xx") }, 18, 0},
		{"a long part of one", nil, func(m *meter, _ *glua.LTable) { vm.Part(m.L, string(text(1000)), string(text(640))) }, 656, 10},
		{"all of a long string", nil, func(m *meter, _ *glua.LTable) { vm.Part(m.L, string(text(1000)), string(text(1000))) }, 16, 0},
		{"a short message", nil, func(m *meter, _ *glua.LTable) { m.run.Caught(m.L, text(256)) }, 0, 0},
		{"a long message", nil, func(m *meter, _ *glua.LTable) { m.run.Caught(m.L, text(257)) }, 257, 16},
		{"an error that is no text", nil, func(m *meter, _ *glua.LTable) { m.run.Caught(m.L, glua.LNumber(1)) }, 0, 0},
		{"a key", nil, func(m *meter, _ *glua.LTable) { m.run.SpendKey(m.L, text(256)) }, 0, 0},
		{"a long key", nil, func(m *meter, _ *glua.LTable) { m.run.SpendKey(m.L, text(257)) }, 0, 4},
		{"the stack that is free", nil, func(m *meter, _ *glua.LTable) { m.run.ChargeSlots(m.L, 128) }, 0, 0},
		{"a larger stack", nil, func(m *meter, _ *glua.LTable) { m.run.ChargeSlots(m.L, 138) }, 10 * 66, 0},
		{"the same stack", nil, func(m *meter, _ *glua.LTable) {
			m.run.ChargeSlots(m.L, 138)
			m.run.ChargeSlots(m.L, 138)
			m.run.ChargeSlots(m.L, 130)
		}, 10 * 66, 0},
		{"a stack that grows", nil, func(m *meter, _ *glua.LTable) { m.run.ChargeSlots(m.L, 138); m.run.ChargeSlots(m.L, 148) }, 20 * 66, 0},
		{"a stack of all calls", nil, func(m *meter, _ *glua.LTable) { m.run.ChargeSlots(m.L, 128+1024) }, 1024 * 66, 0},
		{"a larger one", nil, func(m *meter, _ *glua.LTable) { m.run.ChargeSlots(m.L, 128+1024+100) }, 1024*66 + 1600, 0},
		{"the first position", nil, func(m *meter, t *glua.LTable) { set(m, t, glua.LNumber(1), glua.LTrue) }, 4 * 32, 0},
		{"no element", nil, func(m *meter, t *glua.LTable) { set(m, t, glua.LNumber(1), glua.LNil) }, 0, 0},
		{"a position that there is", list(4), func(m *meter, t *glua.LTable) { set(m, t, glua.LNumber(4), glua.LFalse) }, 0, 0},
		{"the fifth of four", list(4), func(m *meter, t *glua.LTable) { set(m, t, glua.LNumber(5), glua.LTrue) }, 4 * 32, 0},
		{"a position far away", nil, func(m *meter, t *glua.LTable) { set(m, t, glua.LNumber(1000), glua.LTrue) }, 1000 * 32, 125},
		{"one behind many", list(1000), func(m *meter, t *glua.LTable) { set(m, t, glua.LNumber(1001), glua.LTrue) }, (250 + 256) * 32, 62},
		{"twice as many", list(1000), func(m *meter, t *glua.LTable) { set(m, t, glua.LNumber(2000), glua.LTrue) }, 1000 * 32, 125 + 62},
		{"more than twice", list(1000), func(m *meter, t *glua.LTable) { set(m, t, glua.LNumber(2008), glua.LTrue) }, 1008 * 32, 126 + 62},
		{"the first key", nil, func(m *meter, t *glua.LTable) { set(m, t, glua.LString("a"), glua.LTrue) }, 700, 0},
		{"a long key of a table", nil, func(m *meter, t *glua.LTable) { set(m, t, text(640), glua.LTrue) }, 700, 10},
		{"another key", key, func(m *meter, t *glua.LTable) { set(m, t, glua.LString("b"), glua.LTrue) }, 200, 0},
		{"a key that there is", key, func(m *meter, t *glua.LTable) { set(m, t, glua.LString("a"), glua.LFalse) }, 0, 0},
		{"a key that there was", key, func(m *meter, t *glua.LTable) {
			set(m, t, glua.LString("a"), glua.LNil)
			set(m, t, glua.LString("a"), glua.LFalse)
		}, 0, 0},
		{"a key for nothing", key, func(m *meter, t *glua.LTable) { set(m, t, glua.LString("b"), glua.LNil) }, 0, 0},
		{"keys of all kinds", key, func(m *meter, t *glua.LTable) {
			for _, k := range []glua.LValue{glua.LTrue, glua.LNumber(0), glua.LString("b")} {
				set(m, t, k, glua.LTrue)
			}
		}, 600, 0},
		{"numbers as keys", key, func(m *meter, t *glua.LTable) {
			for _, k := range []glua.LValue{glua.LNumber(.5), glua.LNumber(-1), glua.LNumber(inArray + 1)} {
				set(m, t, k, glua.LTrue)
			}
		}, 3 * 216, 0},
		{"the numbers that there are always", list(3), func(m *meter, t *glua.LTable) {
			set(m, t, glua.LNumber(1), glua.LNumber(0))
			set(m, t, glua.LNumber(2), glua.LNumber(127))
		}, 0, 0},
		{"other numbers", list(3), func(m *meter, t *glua.LTable) {
			set(m, t, glua.LNumber(1), glua.LNumber(128))
			set(m, t, glua.LNumber(2), glua.LNumber(-1))
			set(m, t, glua.LNumber(3), glua.LNumber(.5))
		}, 3 * 16, 0},
		{"a list", nil, func(m *meter, _ *glua.LTable) { m.list(inArray) }, 0, 0},
		{"a longer list", nil, func(m *meter, _ *glua.LTable) { m.list(inArray + 65) }, 700 + 64*200 + 65*16, 2 * 1600},
		{"to append", list(4), func(m *meter, t *glua.LTable) { vm.Add(m.L, t, glua.LTrue) }, 4 * 32, 0},
		{"to insert", list(100), func(m *meter, t *glua.LTable) { vm.InsertAt(m.L, t, 100, 1, glua.LTrue) }, 3200, 6 + 6},
		{"to insert among keys", list(inArray + 2), func(m *meter, t *glua.LTable) { vm.InsertAt(m.L, t, inArray+2, inArray+1, glua.LTrue) }, 216 + 2*16, 2 * 25},
		{"to remove", list(100), func(m *meter, t *glua.LTable) { vm.RemoveAt(m.L, t, 100, 1) }, 0, 6},
		{"to remove the last", list(100), func(m *meter, t *glua.LTable) { vm.RemoveAt(m.L, t, 100, 100) }, 0, 0},
		{"to remove one of keys", list(inArray + 3), func(m *meter, t *glua.LTable) { vm.RemoveAt(m.L, t, inArray+3, inArray+1) }, 3 * 16, 2 * 25},
		{"to remove before keys", list(inArray + 3), func(m *meter, t *glua.LTable) { vm.RemoveAt(m.L, t, inArray+3, inArray-32) }, 3 * 16, 2 + 3*25},
		{"a length", list(inArray), func(m *meter, t *glua.LTable) { vm.Length(m.L, t) }, 0, 0},
		{"a length among keys", list(inArray + 2), func(m *meter, t *glua.LTable) { vm.Length(m.L, t) }, 0, 50},
		{"to find the next key", key, func(m *meter, t *glua.LTable) { vm.Next(m.L, t, glua.LString("a")) }, 0, 0},
		{"to find the next of a long key", longKey, func(m *meter, t *glua.LTable) { vm.Next(m.L, t, text(640)) }, 0, 10},
		{"to list what has many holes", holes, func(m *meter, t *glua.LTable) { vm.Next(m.L, t, glua.LNil) }, 0, 12},
		{"to list what has lost many keys", lostKeys, func(m *meter, t *glua.LTable) { vm.Next(m.L, t, glua.LNil) }, 0, 3 * 64},
	} {
		m := newMeter(t, generous(), vm.NewLedger(0, 0), nil)
		table := m.L.CreateTable(0, 0)
		if c.prepare != nil {
			table = c.prepare(m)
		}
		bytes, spent := m.ledger.Used(), vm.Spent(m.run)
		c.do(m, table)
		if bytes, spent := m.ledger.Used()-bytes, vm.Spent(m.run)-spent; bytes != c.bytes || spent != c.spent {
			t.Errorf("%s: %d bytes and %d instructions are counted, want %d and %d", c.name, bytes, spent, c.bytes, c.spent)
		}
	}
}

func list(n int) func(m *meter) *glua.LTable {
	return func(m *meter) *glua.LTable { return m.list(n) }
}

// key makes a table with one key.
func key(m *meter) *glua.LTable {
	t := m.L.CreateTable(0, 0)
	vm.SetRaw(m.L, t, glua.LString("a"), glua.LTrue)
	return t
}

func longKey(m *meter) *glua.LTable {
	t := m.L.CreateTable(0, 0)
	vm.SetRaw(m.L, t, glua.LString(strings.Repeat("x", 640)), glua.LTrue)
	return t
}

// holes makes a table whose only position is the 101st.
func holes(m *meter) *glua.LTable {
	t := m.L.CreateTable(0, 0)
	vm.SetRaw(m.L, t, glua.LNumber(101), glua.LTrue)
	return t
}

// lostKeys makes a table of 65 keys that were deleted before one that wasn't.
func lostKeys(m *meter) *glua.LTable {
	t := m.L.CreateTable(0, 0)
	for i := range 66 {
		vm.SetRaw(m.L, t, glua.LNumber(-1-i), glua.LTrue)
	}
	for i := range 65 {
		vm.SetRaw(m.L, t, glua.LNumber(-1-i), glua.LNil)
	}
	return t
}

// TestScriptsAreCharged: what a script's own constructs take, in bytes.
func TestScriptsAreCharged(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]int64{
		`local t = {}`:                                         2400,
		`local t = {1, 2, 3}`:                                  2400 + 3*16,
		`local t = {a = 1, b = 2}`:                             2400,
		`local t = {a = 1, b = 2, c = 3}`:                      2400 + 150,
		`local function f() end`:                               128,
		`local a, b = 1, 2 local function f() return a, b end`: 128 + 2*80,
		`local a = "a" local b = a .. "bc"`:                    3 + 16 + 16,
		`local a = 1 local b = a .. "bc"`:                      26 + 16 + 3 + 16,
		`local a = "a" local b = a .. "bc" .. "d" .. a`:        5 + 16 + 16,
		`local function f(...) return arg end f(1, 2)`:         128 + 2400 + 2*16,
		`local function f(...) local t = {...} end f(1, 2)`:    128 + 2400 + 2*16,
		`local function f() return 1, 2 end local t = {f()}`:   128 + 2400 + 2*16,
	} {
		m := newMeter(t, generous(), vm.NewLedger(0, 0), nil)
		before := m.ledger.Used()
		if err := m.lua(t, source); err != nil {
			t.Fatal(err)
		}
		if got := m.ledger.Used() - before; got != want {
			t.Errorf("%s: %d bytes are charged, want %d", source, got, want)
		}
	}
}
