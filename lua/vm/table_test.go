package vm_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/lua/vm/vmtest"
	"github.com/keystone-gateway/keystone-gateway/test/measure"
)

// large is more than the array of a table may have.
const large = 1<<15 + 1000

// program is a random sequence of what can be done to a table. The bytes of
// data choose the operations and their keys.
type program struct {
	t     *testing.T
	L     *glua.LState
	table *glua.LTable
	model map[glua.LValue]glua.LValue
	data  []byte
	value int
}

func (p *program) byte() int {
	if len(p.data) == 0 {
		return 0
	}
	b := p.data[0]
	p.data = p.data[1:]
	return int(b)
}

// key is one of few of each kind, so that they meet.
func (p *program) key() glua.LValue {
	n := p.byte()
	switch n % 6 {
	case 0:
		return glua.LNumber(n/6 + 1)
	case 1:
		return glua.LNumber(32767 - 20 + n/6) // at the end of the array
	case 2:
		return glua.LNumber(1000000 + n)
	case 3:
		return glua.LNumber(float64(n)/8 - 10)
	case 4:
		return glua.LBool(n > 100)
	}
	return glua.LString(strings.Repeat("k", n/6))
}

func (p *program) set(k, v glua.LValue) {
	vm.SetRaw(p.L, p.table, k, v)
	if v == glua.LNil {
		delete(p.model, k)
	} else {
		p.model[k] = v
	}
}

func (p *program) next() glua.LValue {
	p.value++
	return glua.LNumber(p.value)
}

func (p *program) step() {
	switch op := p.byte() % 12; op {
	case 0, 1, 2, 3:
		p.set(p.key(), p.next())
	case 4, 5:
		p.set(p.key(), glua.LNil)
	case 6: // many keys come and go
		for i := range 100 {
			p.set(glua.LString(fmt.Sprint("x", i)), p.next())
		}
		for i := range 100 {
			p.set(glua.LString(fmt.Sprint("x", i)), glua.LNil)
		}
	case 7: // some are deleted while they are listed
		n := 0
		for k, _ := vm.Next(p.L, p.table, glua.LNil); k != glua.LNil; k, _ = vm.Next(p.L, p.table, k) {
			if n++; n > 2*large {
				p.t.Fatal("the keys are listed without end")
			}
			if p.byte()%2 == 1 {
				p.set(k, glua.LNil)
			}
		}
	default:
		p.listStep(op)
	}
}

// listStep is an operation on a list: the keys from 1 to the length.
func (p *program) listStep(op int) {
	n := vm.Length(p.L, p.table)
	at := 1 + p.byte()*(n+1)/256
	switch {
	case op == 8 || n == 0:
		p.set(glua.LNumber(n+1), p.next())
	case op == 9:
		v := p.next()
		vm.InsertAt(p.L, p.table, n, min(at, n), v)
		for i := n; i >= min(at, n); i-- {
			p.model[glua.LNumber(i+1)] = p.model[glua.LNumber(i)]
			if p.model[glua.LNumber(i)] == nil {
				delete(p.model, glua.LNumber(i+1))
			}
		}
		p.model[glua.LNumber(min(at, n))] = v
	default:
		at = min(at, n)
		want := p.model[glua.LNumber(at)]
		if want == nil {
			want = glua.LNil
		}
		if got := vm.RemoveAt(p.L, p.table, n, at); got != want {
			p.t.Fatalf("the element %d of %d is %v, expected %v", at, n, got, want)
		}
		for i := at; i <= n; i++ {
			if v := p.model[glua.LNumber(i+1)]; v != nil && i < n {
				p.model[glua.LNumber(i)] = v
			} else {
				delete(p.model, glua.LNumber(i))
			}
		}
	}
}

// check compares the table with the model.
func (p *program) check() {
	p.t.Helper()
	seen := map[glua.LValue]bool{}
	for k, v := vm.Next(p.L, p.table, glua.LNil); k != glua.LNil; k, v = vm.Next(p.L, p.table, k) {
		if seen[k] {
			p.t.Fatalf("the key %v is listed twice", k)
		}
		if seen[k] = true; p.model[k] != v {
			p.t.Fatalf("the key %v has %v, expected %v", k, v, p.model[k])
		}
	}
	if len(seen) != len(p.model) {
		p.t.Fatalf("%d keys are listed, expected %d", len(seen), len(p.model))
	}
	for k, v := range p.model {
		if got := p.table.RawGet(k); got != v { // what the engine sees
			p.t.Fatalf("the engine finds %v at %v, expected %v", got, k, v)
		}
	}
	n := vm.Length(p.L, p.table)
	if n > 0 && p.model[glua.LNumber(n)] == nil || p.model[glua.LNumber(n+1)] != nil {
		p.t.Fatalf("the length %d is no border", n)
	}
	if got := vm.Others(p.table, n); p.dense(n) && got != len(p.model)-n {
		p.t.Fatalf("%d keys besides the first %d, expected %d", got, n, len(p.model)-n)
	}
}

// dense reports whether there are no holes.
func (p *program) dense(n int) bool {
	for i := 1; i <= n; i++ {
		if p.model[glua.LNumber(i)] == nil {
			return false
		}
	}
	return true
}

func runProgram(t *testing.T, data []byte) {
	t.Helper()
	L, _ := vmtest.Begin(t, &vm.Limits{Instructions: 1 << 40, Memory: 1 << 40})
	p := program{t: t, L: L, table: L.CreateTable(0, 0), model: map[glua.LValue]glua.LValue{}, data: data}
	if p.byte()%8 == 7 { // a long list
		for i := range large {
			p.set(glua.LNumber(i+1), p.next())
		}
	}
	for steps := 0; len(p.data) > 0 && steps < 2000; steps++ {
		if p.step(); steps%16 == 0 && len(p.model) < 1000 {
			p.check()
		}
	}
	p.check()
}

// FuzzTable compares tables with a model.
func FuzzTable(f *testing.F) {
	f.Add([]byte("\x00a table\x06\x07\x08\x09\x0a\x0b and more of it, so that there is something to do"))
	f.Add([]byte("\x07a long table\x08\x09\x0a\x0b\x09\x80\x0a\x80\x09\xff\x0a\xff"))
	f.Fuzz(func(t *testing.T, data []byte) { runProgram(t, data[:min(len(data), 4096)]) })
}

func TestTables(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 60 {
		data := make([]byte, 300)
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		if data[0] |= 7; n%50 != 0 {
			data[0] = 0
		}
		runProgram(t, data)
	}
}

// TestTablesKeepNoGarbage does to tables what made the engine's keep memory,
// and asks the garbage collector what is left of each.
func TestTablesKeepNoGarbage(t *testing.T) {
	if !measure.Alone(t) {
		return
	}
	number := func(i int) glua.LValue { return glua.LNumber(i) }
	text := func(i int) glua.LValue { return glua.LString(strings.Repeat("x", 1000) + fmt.Sprint(i)) }
	for _, test := range []struct {
		name string
		do   func(L *glua.LState, t *glua.LTable)
		most int64 // bytes
	}{
		{"a position far away, set and deleted", func(L *glua.LState, t *glua.LTable) {
			vm.SetRaw(L, t, number(30000), glua.LTrue)
			vm.SetRaw(L, t, number(30000), glua.LNil)
		}, 1500},
		{"an id as a key", func(L *glua.LState, t *glua.LTable) { vm.SetRaw(L, t, number(1000000), glua.LTrue) }, 3000},
		{"a list filled and emptied", func(L *glua.LState, t *glua.LTable) {
			for i := range 1500 {
				vm.Add(L, t, text(i))
			}
			for i := 1500; i > 0; i-- {
				vm.SetRaw(L, t, number(i), glua.LNil)
			}
		}, 1500},
		{"a queue", func(L *glua.LState, t *glua.LTable) {
			for i := range 2000 {
				vm.Add(L, t, text(i))
				if n := vm.Length(L, t); n > 2 {
					vm.RemoveAt(L, t, n, 1)
				}
			}
		}, 5000},
		{"a stack", func(L *glua.LState, t *glua.LTable) {
			for range 10 {
				for i := range 100 {
					vm.Add(L, t, text(i))
				}
				for n := 100; n > 0; n-- {
					vm.RemoveAt(L, t, n, n)
				}
			}
		}, 1500},
		{"keys that come and go", func(L *glua.LState, t *glua.LTable) {
			for i := range 1500 {
				vm.SetRaw(L, t, text(i), glua.LTrue)
				vm.SetRaw(L, t, text(i), glua.LNil)
			}
		}, 16000}, // up to nine deleted keys stay
		{"keys that come, and all go, and few come", func(L *glua.LState, t *glua.LTable) {
			for i := range 3000 {
				vm.SetRaw(L, t, text(i), glua.LTrue)
			}
			for i := range 3000 {
				vm.SetRaw(L, t, text(i), glua.LNil)
			}
			vm.SetRaw(L, t, text(0), glua.LTrue)
			vm.SetRaw(L, t, text(3000), glua.LTrue)
		}, 8000}, // what the process itself needs meanwhile is in it
		{"keys in a large table that come and go", func(L *glua.LState, t *glua.LTable) {
			for i := range 1500 {
				vm.SetRaw(L, t, number(-i), glua.LTrue)
			}
			for i := range 6000 {
				vm.SetRaw(L, t, number(-1500-i), glua.LTrue)
				vm.SetRaw(L, t, number(-i), glua.LNil)
			}
		}, 1500 * 420},
	} {
		L, _ := vmtest.Begin(t, &vm.Limits{Instructions: 1 << 40, Memory: 1 << 40})
		test.do(L, L.CreateTable(0, 0)) // what is allocated once
		const tables = 12
		var kept [tables]*glua.LTable
		before := measure.Heap()
		for i := range kept {
			kept[i] = L.CreateTable(0, 0)
			test.do(L, kept[i])
		}
		if each := (measure.Heap() - before) / tables; each > test.most {
			t.Errorf("%s: %d bytes are left, expected at most %d", test.name, each, test.most)
		} else if testing.Verbose() {
			t.Logf("%s: %d bytes", test.name, each)
		}
		runtime.KeepAlive(&kept)
	}
}

// A table may have any numbers as keys, so also those by which looking for its
// length once went round for ever.
func TestLengthEnds(t *testing.T) {
	L, _ := vmtest.Begin(t, vmtest.Limits())
	table := L.CreateTable(0, 0)
	const array = 1<<15 - 1
	for i := 1; i <= array+1; i++ {
		vm.SetRaw(L, table, glua.LNumber(i), glua.LTrue)
	}
	for i, n := 0, glua.LNumber(array); i < 1000; i, n = i+1, 2*n {
		vm.SetRaw(L, table, n, glua.LTrue)
		vm.SetRaw(L, table, -n, glua.LTrue)
	}
	for i, n := 0, glua.LNumber(1); i < 1000; i, n = i+1, 2*n {
		vm.SetRaw(L, table, -n, glua.LTrue)
	}
	vm.SetRaw(L, table, glua.LNumber(0), glua.LTrue)
	if n := vm.Length(L, table); table.RawGet(glua.LNumber(n)) != glua.LTrue || n < array {
		t.Fatalf("a length of %d", n)
	}
}

// Two runs that share a table make it larger at once: making room for a
// position lets others have the VM.
func TestPositionsOfTwoRuns(t *testing.T) {
	L, run := vmtest.Begin(t, vmtest.Limits())
	lock := run.VM()
	for range 20 {
		table := L.CreateTable(0, 0)
		done := make(chan struct{})
		go func() {
			defer close(done)
			lock.Lock()
			defer lock.Unlock()
			other := glua.NewState(glua.Options{SkipOpenLibs: true})
			defer other.Close()
			second := &vm.Run{}
			second.Begin(t.Context(), lock, vmtest.Limits())
			defer second.End()
			other.SetContext(second)
			vm.SetRaw(other, table, glua.LNumber(32000), glua.LTrue)
		}()
		for lock.Waiting() == 0 {
			runtime.Gosched()
		}
		vm.SetRaw(L, table, glua.LNumber(30000), glua.LTrue)
		lock.Unlock()
		<-done
		lock.Lock()
		if table.RawGetInt(30000) != glua.LTrue || table.RawGetInt(32000) != glua.LTrue || vm.Length(L, table) != 32000 {
			t.Fatalf("%v %v, a length of %d", table.RawGetInt(30000), table.RawGetInt(32000), vm.Length(L, table))
		}
	}
}
