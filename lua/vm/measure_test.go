package vm_test

import (
	"strings"
	"testing"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// held is a userdata's value that holds others, and memory that Lua doesn't see.
type held struct {
	size   int
	values []glua.LValue
}

func (h held) Size() int { return h.size }

func (h held) Visit(visit func(glua.LValue)) {
	for _, v := range h.values {
		visit(v)
	}
}

// textSize is what a string of so many bytes is counted as.
func textSize(n int) int64 { return 16 + int64(n/8) + int64(n+15)&^15 }

// TestMeasure: what values of each kind are counted as, with what is in them.
func TestMeasure(t *testing.T) {
	t.Parallel()
	text := func(n int) glua.LString { return glua.LString(strings.Repeat("x", n)) }
	long := text(1000)
	for _, c := range []struct {
		name    string
		roots   func(m *meter) []glua.LValue
		want    int64
		longest int64
	}{
		{"nothing", func(*meter) []glua.LValue { return []glua.LValue{glua.LNil, glua.LTrue} }, 0, 0},
		{"a text", func(*meter) []glua.LValue { return []glua.LValue{text(10)} }, 16 + 1 + 16, 10},
		{"a text of a whole number of words", func(*meter) []glua.LValue { return []glua.LValue{text(32)} }, 16 + 4 + 32, 32},
		{"a short text that is shared", func(*meter) []glua.LValue { s := text(64); return []glua.LValue{s, s} }, 2 * textSize(64), 64},
		{"a long text that is shared", func(*meter) []glua.LValue { s := text(65); return []glua.LValue{s, s} }, textSize(65) + 16, 65},
		{"two long texts", func(*meter) []glua.LValue { return []glua.LValue{text(70), text(65)} }, textSize(65) + textSize(70), 70},
		{"a very long text", func(*meter) []glua.LValue { return []glua.LValue{text(1 << 20)} }, 16 + 8<<10 + 1<<20, 1 << 20},
		{"a table", func(m *meter) []glua.LValue { return []glua.LValue{m.main.CreateTable(0, 0)} }, 80, 0},
		{"a table that is shared", func(m *meter) []glua.LValue { t := m.main.CreateTable(0, 0); return []glua.LValue{t, t} }, 80, 0},
		{"a table in itself", func(m *meter) []glua.LValue {
			t := m.main.CreateTable(1, 0)
			t.RawSetInt(1, t)
			return []glua.LValue{t}
		}, 80 + 17, 0},
		{"room for positions", func(m *meter) []glua.LValue { return []glua.LValue{m.main.CreateTable(10, 0)} }, 80 + 170, 0},
		{"room for names", func(m *meter) []glua.LValue { return []glua.LValue{m.main.CreateTable(0, 1)} }, 80 + 64, 0},
		{"a name", func(m *meter) []glua.LValue { return keyed(m, 1) }, 80 + 1000 + textSize(2), 2},
		{"eight names", func(m *meter) []glua.LValue { return keyed(m, 8) }, 80 + 1000 + 8*textSize(2), 2},
		{"nine names", func(m *meter) []glua.LValue { return keyed(m, 9) }, 80 + 9*200 + 9*textSize(2), 2},
		{"a name that was deleted", func(m *meter) []glua.LValue {
			list := keyed(m, 1)
			list[0].(*glua.LTable).RawSetString("k0", glua.LNil)
			return list
		}, 80 + 1000 + textSize(2), 2},
		{"texts at names and positions", func(m *meter) []glua.LValue {
			t := m.main.CreateTable(1, 0)
			t.RawSetInt(1, text(100))
			t.RawSetString("k", text(200))
			t.RawSetH(glua.LTrue, text(300))
			return []glua.LValue{t}
		}, 80 + 17 + 1000 + textSize(1) + textSize(100) + textSize(200) + textSize(300), 300},
		{"a metatable", func(m *meter) []glua.LValue {
			t := m.main.CreateTable(0, 0)
			t.Metatable = m.main.CreateTable(0, 0)
			return []glua.LValue{t}
		}, 160, 0},
		{"a function of Go's", func(m *meter) []glua.LValue { return []glua.LValue{m.main.NewFunction(nil)} }, 96, 0},
		{"a function with variables", func(m *meter) []glua.LValue { return []glua.LValue{m.main.NewClosure(nil, long, glua.LNil)} }, 96 + 16 + 2*64 + textSize(1000), 1000},
		{"an object", func(m *meter) []glua.LValue { return []glua.LValue{m.main.NewUserData()} }, 64, 0},
		{"an object that holds values", func(m *meter) []glua.LValue {
			u := m.main.NewUserData()
			u.Value, u.Metatable = held{500, []glua.LValue{long, m.main.CreateTable(0, 0)}}, m.main.CreateTable(0, 0)
			return []glua.LValue{u}
		}, 64 + 500 + textSize(1000) + 80 + 80, 1000},
		{"a thread", func(m *meter) []glua.LValue {
			thread, _ := m.main.NewThread()
			thread.Push(long)
			return []glua.LValue{thread}
		}, 3<<10 + 16*128 + 64 + textSize(1000), 1000},
		{"a thread that has ended", func(m *meter) []glua.LValue {
			thread, _ := m.main.NewThread()
			thread.Push(long)
			vm.Discard(thread)
			return []glua.LValue{thread}
		}, 3<<10 + 64, 0},
		{"numbers that are one", func(m *meter) []glua.LValue {
			t, n := m.main.CreateTable(2, 0), glua.LValue(glua.LNumber(1.5))
			t.RawSetInt(1, n)
			t.RawSetInt(2, n)
			return []glua.LValue{t}
		}, 80 + 2*17 + 256, 0},
		{"numbers of many keys", func(m *meter) []glua.LValue {
			t := m.main.CreateTable(0, 0)
			for i := range 65 {
				t.RawSetH(glua.LNumber(-1000-i), glua.LTrue)
			}
			return []glua.LValue{t}
		}, 80 + 65*200 + 65*16, 0},
	} {
		m := newMeter(t, generous(), vm.NewLedger(0, 0), nil)
		empty, longest := vm.Measure(m.main, 1<<40, nil)
		roots := c.roots(m)
		got, most := vm.Measure(m.main, 1<<40, roots)
		if got-empty != c.want || most != max(longest, c.longest) {
			t.Errorf("%s: %d bytes, the longest text of %d; want %d, %d", c.name, got-empty, most, c.want, c.longest)
		}
		if live := vm.Live(m.main, 1<<40, roots); live != got {
			t.Errorf("%s: %d bytes live, and %d", c.name, live, got)
		}
	}
}

// keyed makes a table with so many names.
func keyed(m *meter, n int) []glua.LValue {
	t := m.main.CreateTable(0, 0)
	for i := range n {
		t.RawSetString("k"+string(rune('0'+i)), glua.LTrue)
	}
	return []glua.LValue{t}
}

// TestMeasureStops where the limit is passed, within whatever it has come to.
func TestMeasureStops(t *testing.T) {
	t.Parallel()
	m := newMeter(t, generous(), vm.NewLedger(0, 0), nil)
	const limit, each = 100_000, 10_000
	for name, fill := range map[string]func(t *glua.LTable, i int, v glua.LValue){
		"positions":  func(t *glua.LTable, i int, v glua.LValue) { t.RawSetInt(i+1, v) },
		"names":      func(t *glua.LTable, i int, v glua.LValue) { t.RawSetString(string(rune('a'+i)), v) },
		"other keys": func(t *glua.LTable, i int, v glua.LValue) { t.RawSetH(glua.LNumber(-i), v) },
		"keys":       func(t *glua.LTable, _ int, v glua.LValue) { t.RawSetH(v, glua.LTrue) },
		"tables": func(t *glua.LTable, i int, v glua.LValue) {
			inner := m.main.CreateTable(1, 0)
			inner.RawSetInt(1, v)
			t.RawSetInt(i+1, inner)
		},
	} {
		table := m.main.CreateTable(0, 0)
		for i := range 25 {
			fill(table, i, glua.LString(strings.Repeat(string(rune('a'+i)), each)))
		}
		if got := vm.Live(m.main, limit, []glua.LValue{table}); got <= limit || got > limit+2*each+6000 {
			t.Errorf("%s: %d bytes, want a little more than %d", name, got, limit)
		}
	}
	thread, _ := m.main.NewThread()
	for i := range 25 {
		thread.Push(glua.LString(strings.Repeat(string(rune('a'+i)), each)))
	}
	if got := vm.Live(m.main, limit, []glua.LValue{thread}); got <= limit || got > limit+2*each {
		t.Errorf("a stack: %d bytes, want a little more than %d", got, limit)
	}
}

// TestCodeIsMeasured: of the functions that a script makes of texts, with those in
// them; and not of files, which VMs share.
func TestCodeIsMeasured(t *testing.T) {
	t.Parallel()
	m := newMeter(t, generous(), vm.NewLedger(0, 0), nil)
	measured := func(name string, f *glua.LFunction) int64 {
		held := vm.Live(m.main, 1<<40, []glua.LValue{f, f}) - vm.Live(m.main, 1<<40, nil)
		if held < 96 {
			t.Errorf("%s: %d bytes", name, held)
		}
		return held
	}
	const source = "local a = 1 return a"
	file := measured("a file", compiled(t, source).Instantiate(m.lock, &vm.Functions{}))
	load := func(source string) int64 {
		f, err := vm.Load(m.L, source, "a.lua")
		if err != nil {
			t.Fatal(err)
		}
		return measured(source, f)
	}
	text := load(source)
	if file != 96 || text < file+400 || text > file+800 {
		t.Errorf("a file's function has %d bytes, a text's %d", file, text)
	}
	if within := load("local f = function() " + source + " end"); within < text+400 {
		t.Errorf("with another one within, a text's has %d bytes, without it %d", within, text)
	}
	if words := load("return '" + strings.Repeat("x", 1000) + "'"); words < file+1400 {
		t.Errorf("with a long constant, a text's has %d bytes", words)
	}
}

// TestLoad: a text that a script makes becomes a function, counted, within bounds.
func TestLoad(t *testing.T) {
	t.Parallel()
	m := newMeter(t, generous(), vm.NewLedger(0, 0), nil)
	var told []*vm.Program
	compiled(t, "").Instantiate(m.lock, &vm.Functions{Loading: func(p *vm.Program) { told = append(told, p) }})
	bytes, spent := m.ledger.Used(), vm.Spent(m.run)
	text := "loaded = 1" + strings.Repeat(" ", 64<<10-10)
	f, err := vm.Load(m.L, text, "a.lua")
	if err != nil || len(told) != 1 || told[0].Name != "a.lua" {
		t.Fatal(err, told)
	}
	m.L.Push(f)
	if err := vm.Call(m.L, 0, 0); err != nil || m.main.G.Global.RawGetString("loaded") != glua.LNumber(1) {
		t.Errorf("it hasn't run: %v", err)
	}
	if bytes := m.ledger.Used() - bytes; bytes != int64(len(text)+20)*200 {
		t.Errorf("%d bytes are charged", bytes)
	}
	if spent := vm.Spent(m.run) - spent; spent < int64(len(text)+20)*10 || spent > int64(len(text)+20)*10+10 {
		t.Errorf("%d instructions are counted", spent)
	}
	if _, err := vm.Load(m.L, text+" ", "a.lua"); err == nil || err.Error() != "a.lua: the text has 65537 bytes, expected at most 65536" {
		t.Errorf("got %v", err)
	}
	if _, err := vm.Load(m.L, "x =", "a.lua"); err == nil || !strings.HasPrefix(err.Error(), "a.lua:1:") || len(told) != 1 {
		t.Errorf("got %v", err)
	}
}

// TestEmpty drops what a VM holds.
func TestEmpty(t *testing.T) {
	t.Parallel()
	m := newMeter(t, generous(), vm.NewLedger(0, 0), nil)
	if err := m.lua(t, `
		local variable = ("x"):rep(1000)
		local inner = setmetatable({a = {b = ("y"):rep(1000)}, 1, 2}, {__index = string})
		function global() return variable, inner end`); err != nil {
		t.Fatal(err)
	}
	root := m.main.CreateTable(0, 1)
	root.RawSetString("x", glua.LTrue)
	meta := m.main.CreateTable(0, 0)
	root.Metatable = meta
	global := m.main.G.Global.RawGetString("global").(*glua.LFunction)
	vm.Empty(m.main, []glua.LValue{root})
	if key, _ := m.main.G.Global.Next(glua.LNil); key != glua.LNil {
		t.Errorf("there is a global %v", key)
	}
	if key, _ := root.Next(glua.LNil); key != glua.LNil || root.Metatable != meta {
		t.Errorf("a root has %v, and the metatable %v", key, root.Metatable)
	}
	for i, upvalue := range global.Upvalues {
		if upvalue.Value() != glua.LNil {
			t.Errorf("a function's variable %d has %v", i, upvalue.Value())
		}
	}
}
