package modules_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/modules"
	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/lua/vm/vmtest"
	"github.com/keystone-gateway/keystone-gateway/tenants/store"
)

// sharedClock is a time that tests move.
type sharedClock struct{ ns atomic.Int64 }

func newSharedClock() *sharedClock {
	c := &sharedClock{}
	c.ns.Store(1_800_000_000e9)
	return c
}

func (c *sharedClock) Now() time.Time                       { return time.Unix(0, c.ns.Load()) }
func (c *sharedClock) Sleep(context.Context, time.Duration) {}
func (c *sharedClock) advance(d time.Duration)              { c.ns.Add(int64(d)) }

func sharedTenant(c *sharedClock, s store.Store) *modules.Tenant {
	if s == nil {
		s = store.NewMemory(1<<20, c.Now)
	}
	return &modules.Tenant{Name: "test", Log: zerolog.New(io.Discard), Clock: c, Random: rand.Reader, Store: s}
}

// sharedVM opens shared and limit as globals of a new VM.
func sharedVM(tb testing.TB, tenant *modules.Tenant) *glua.LState {
	tb.Helper()
	L, _ := vmtest.Begin(tb, vmtest.Limits())
	sharedGlobals(L, tenant)
	return L
}

func sharedGlobals(L *glua.LState, tenant *modules.Tenant) {
	tables := modules.Open(L, tenant)
	for _, name := range []string{"shared", "limit"} {
		L.SetGlobal(name, vm.Freeze(L, name, tables[name]))
	}
	L.SetGlobal("huge", glua.LNumber(math.Inf(1)))
	L.SetGlobal("frozen", vm.Freeze(L, "frozen", vm.Freeze(L, "", L.NewTable())))
	options := L.NewTable()
	options.RawSetString("rate", glua.LNumber(2))
	L.SetGlobal("options", vm.Freeze(L, "options", options))
}

// sharedEval returns what a chunk returns, as text, or its error.
func sharedEval(L *glua.LState, code string) string {
	top := L.GetTop()
	defer L.SetTop(top)
	if err := L.DoString(code); err != nil {
		var raised *glua.ApiError
		if errors.As(err, &raised) {
			return "error: " + raised.Object.String()
		}
		return "error: " + err.Error()
	}
	var results []string
	for i := top + 1; i <= L.GetTop(); i++ {
		results = append(results, L.Get(i).String())
	}
	return strings.Join(results, " ")
}

func TestShared(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, code, want string }{
		{"absent", `return shared.get("k")`, "nil"},
		{"string", `return shared.set("k", "a\0b"), shared.get("k")`, "true a\x00b"},
		{"number", `shared.set("k", 1.5) return shared.get("k") + 1`, "2.5"},
		{"boolean", `shared.set("k", false) return shared.get("k")`, "false"},
		{"empty key", `shared.set("", "v") return shared.get("")`, "v"},
		{"number as key", `shared.set(7, "v") return shared.get("7")`, "v"},
		{"method", `shared:set("k", "v", 5) return shared:get("k"), shared:ttl("k"), shared:add("k", 1), shared:delete("k"), shared:incr("k", 2)`, "v 5 false true 2"},
		{"overwritten", `shared.set("k", "v", 5) shared.set("k", 2) return shared.get("k"), shared.ttl("k")`, "2 -1"},
		{"add", `return shared.add("k", 1, 9), shared.add("k", 2), shared.get("k"), shared.ttl("k")`, "true false 1 9"},
		{"incr", `return shared.incr("k"), shared.incr("k", 2.5), shared.incr("k", -1, 100, 9), shared.ttl("k")`, "1 3.5 2.5 -1"},
		{"incr from start", `return shared.incr("k", 2, 10, 0.5), shared.ttl("k")`, "12 0.5"},
		{"numerals", `return shared.incr("k", "0x10", "1", "2"), shared.ttl("k")`, "17 2"},
		{"incr with nils", `return shared.incr("k", nil, nil, nil)`, "1"},
		{"incr of a string", `shared.set("k", "1") return shared.incr("k")`, "nil cannot increment: the value is not a number"},
		{"incr beyond numbers", `shared.set("k", 1.7e308) return shared.incr("k", 1.7e308)`, "nil cannot increment: the result is not a finite number"},
		{"delete", `shared.set("k", 1) return shared.delete("k"), shared.delete("k"), shared.get("k")`, "true false nil"},
		{"ttl", `shared.set("k", 1, 0.25) shared.set("e", 1) return shared.ttl("k"), shared.ttl("e"), shared.ttl("absent")`, "0.25 -1 nil"},
		{"endless ttl", `shared.set("k", 1, huge) shared.set("e", 1, 1e300) return shared.ttl("k"), shared.ttl("e")`, "-1 -1"},
		{"shortest ttl", `shared.set("k", 1, 1e-300) return shared.ttl("k")`, "1e-09"},
		{"too large", `return shared.set("k", ("x"):rep(70000))`, "nil the entry is too large for the store: it needs 70161 bytes, and may have 65536"},
		{"read-only", `shared.get = nil`, "error: <string>:1: shared is read-only: cannot set \"get\""},

		{"table as value", `shared.set("k", {})`, "error: <string>:1: bad argument #2 to 'set' (a table can't be shared: use json.encode)"},
		{"function as value", `shared.set("k", function() end)`, "error: <string>:1: bad argument #2 to 'set' (a string, a number or a boolean expected, got a function)"},
		{"no value", `shared.set("k")`, "error: <string>:1: bad argument #2 to 'set' (a value is missing: shared.delete removes a key)"},
		{"table to add", `shared.add("k", shared)`, "error: <string>:1: bad argument #2 to 'add' (a table can't be shared: use json.encode)"},
		{"no key", `shared.get()`, "error: <string>:1: bad argument #1 to 'get' (string expected, got no value)"},
		{"self and no key", `shared:get()`, "error: <string>:1: bad argument #1 to 'get' (string expected, got no value)"},
		{"two tables", `shared.get({}, {})`, "error: <string>:1: bad argument #1 to 'get' (string expected, got table)"},
		{"boolean as key", `shared.delete(true)`, "error: <string>:1: bad argument #1 to 'delete' (string expected, got boolean)"},
		{"NUL key", `shared.set("\0limit:k", 1)`, "error: <string>:1: bad argument #1 to 'set' (a key must not begin with a NUL byte)"},
		{"long key", `shared.ttl(("k"):rep(65537))`, "error: <string>:1: bad argument #1 to 'ttl' (a key may have at most 65536 bytes)"},
		{"ttl of 0", `shared.set("k", 1, 0)`, "error: <string>:1: bad argument #3 to 'set' (a ttl must be more than 0 seconds)"},
		{"negative ttl", `shared.add("k", 1, -1)`, "error: <string>:1: bad argument #3 to 'add' (a ttl must be more than 0 seconds)"},
		{"ttl of NaN", `shared.incr("k", 1, 0, 0/0)`, "error: <string>:1: bad argument #4 to 'incr' (a ttl must be more than 0 seconds)"},
		{"ttl as text", `shared.set("k", 1, "x")`, "error: <string>:1: bad argument #3 to 'set' (number expected, got string)"},
		{"incr by NaN", `shared.incr("k", 0/0)`, "error: <string>:1: bad argument #2 to 'incr' (a finite number expected)"},
		{"incr from infinity", `shared.incr("k", 1, -huge)`, "error: <string>:1: bad argument #3 to 'incr' (a finite number expected)"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			L := sharedVM(t, sharedTenant(newSharedClock(), nil))
			glua.OpenString(L)
			if got := sharedEval(L, test.code); got != test.want {
				t.Errorf("%s:\n got %q\nwant %q", test.code, got, test.want)
			}
		})
	}
}

func TestSharedExpires(t *testing.T) {
	t.Parallel()
	c := newSharedClock()
	tenant := sharedTenant(c, nil)
	one, other := sharedVM(t, tenant), sharedVM(t, tenant)
	if got := sharedEval(one, `return shared.set("k", "v", 2)`); got != "true" {
		t.Fatal(got)
	}
	c.advance(1500 * time.Millisecond)
	if got, want := sharedEval(other, `return shared.get("k"), shared.ttl("k")`), "v 0.5"; got != want {
		t.Errorf("in another VM: %q, want %q", got, want)
	}
	c.advance(500 * time.Millisecond)
	if got, want := sharedEval(other, `return shared.get("k"), shared.ttl("k")`), "nil nil"; got != want {
		t.Errorf("past the ttl: %q, want %q", got, want)
	}
}

// TestSharedBudget: reading a large value again and again is counted.
func TestSharedBudget(t *testing.T) {
	t.Parallel()
	tenant := sharedTenant(newSharedClock(), nil)
	if err := tenant.Store.Set(t.Context(), "k", strings.Repeat("x", 60_000), 0); err != nil {
		t.Fatal(err)
	}
	L := sharedVM(t, tenant)
	if got := sharedEval(L, `while true do shared.get("k") end`); !strings.Contains(got, "lua.max_memory 64MiB is used up") {
		t.Errorf("got %q", got)
	}
	// Nothing is allocated for these: work is what they are counted by.
	for _, code := range []string{`shared.set("k", v)`, `shared.get(v)`} {
		limits := vmtest.Limits()
		L, _ := vmtest.Begin(t, limits)
		sharedGlobals(L, tenant)
		L.SetGlobal("v", glua.LString(strings.Repeat("x", 60_000)))
		limit := limits.Instructions * 16 / 60_000 // the loop's instructions not counted
		if got := sharedEval(L, fmt.Sprintf(`for i = 1, %d do %s end`, limit, code)); !strings.Contains(got, "lua.max_instructions") {
			t.Errorf("%s: %q", code, got)
		}
	}
}

// slowStore waits: at least it doesn't say that it doesn't. It reports whether
// the VM was free meanwhile.
type slowStore struct {
	store.Store
	lock *vm.Lock
	free *atomic.Int32
}

func (s slowStore) look() {
	if s.lock.TryLock() {
		s.free.Add(1)
		s.lock.Unlock()
	}
}

func (s slowStore) Get(ctx context.Context, key string) (any, bool, error) {
	s.look()
	return s.Store.Get(ctx, key)
}

func (s slowStore) Incr(ctx context.Context, key string, by, start float64, ttl time.Duration) (float64, error) {
	s.look()
	return s.Store.Incr(ctx, key, by, start, ttl)
}

func (s slowStore) Take(ctx context.Context, key string, q store.Quota) (store.Verdict, error) {
	s.look()
	return s.Store.Take(ctx, key, q)
}

// instantStore is a slow store that claims to be none.
type instantStore struct{ slowStore }

func (instantStore) Instant() bool { return true }

// TestSharedBlocks: the VM is free while a store may wait, and only then.
func TestSharedBlocks(t *testing.T) {
	t.Parallel()
	const code = `return shared.incr("k"), shared.get("k"), limit.allow("k", 1)`
	for _, instant := range []bool{false, true} {
		c := newSharedClock()
		main := glua.NewState(glua.Options{SkipOpenLibs: true})
		t.Cleanup(main.Close)
		lock := vm.NewLock(main, vm.NewLedger(0, 0), nil)
		slow := slowStore{Store: store.NewMemory(1<<20, c.Now), lock: lock, free: new(atomic.Int32)}
		var s store.Store = slow
		want := int32(3)
		if instant {
			s, want = instantStore{slow}, 0
		}
		run := &vm.Run{}
		lock.Lock()
		run.Begin(t.Context(), lock, vmtest.Limits())
		main.SetContext(run)
		sharedGlobals(main, sharedTenant(c, s))
		if got := sharedEval(main, code); !strings.HasPrefix(got, "1 1 true") {
			t.Errorf("instant %v: %q", instant, got)
		}
		run.End()
		lock.Unlock()
		if got := slow.free.Load(); got != want {
			t.Errorf("instant %v: the VM was free during %d calls, want %d", instant, got, want)
		}
	}
}

// brokenStore fails, as one behind a network may.
type brokenStore struct{}

var errBroken = errors.New("connection refused")

func (brokenStore) Get(context.Context, string) (any, bool, error) { return nil, false, errBroken }
func (brokenStore) Set(context.Context, string, any, time.Duration) error {
	return errBroken
}
func (brokenStore) Add(context.Context, string, any, time.Duration) (bool, error) {
	return false, errBroken
}
func (brokenStore) Incr(context.Context, string, float64, float64, time.Duration) (float64, error) {
	return 0, errBroken
}
func (brokenStore) Delete(context.Context, string) (bool, error) { return false, errBroken }
func (brokenStore) TTL(context.Context, string) (time.Duration, bool, error) {
	return 0, false, errBroken
}
func (brokenStore) Take(context.Context, string, store.Quota) (store.Verdict, error) {
	return store.Verdict{}, errBroken
}

func TestSharedBroken(t *testing.T) {
	t.Parallel()
	L := sharedVM(t, sharedTenant(newSharedClock(), brokenStore{}))
	for _, call := range []string{
		`shared.get("k")`, `shared.set("k", 1)`, `shared.add("k", 1)`, `shared.incr("k")`, `shared.delete("k")`,
		`shared.ttl("k")`, `limit.allow("k", 1)`, `limit.gcra("k", {rate = 1})`, `limit.gcra("k", {rate = 1, cost = 0})`,
	} {
		if got, want := sharedEval(L, "return "+call), "nil connection refused"; got != want {
			t.Errorf("%s = %q, want %q", call, got, want)
		}
	}
}

// TestSharedConcurrent: VMs count together.
func TestSharedConcurrent(t *testing.T) {
	t.Parallel()
	c := newSharedClock()
	tenant := sharedTenant(c, nil)
	var group sync.WaitGroup
	var added atomic.Int32
	for range 8 {
		L := sharedVM(t, tenant)
		group.Go(func() {
			got := sharedEval(L, `
				local added = shared.add("once", 1)
				for i = 1, 500 do shared.incr("count", 2) end
				return added`)
			if got == "true" {
				added.Add(1)
			}
		})
	}
	group.Wait()
	if got, want := sharedEval(sharedVM(t, tenant), `return shared.get("count")`), "8000"; got != want {
		t.Errorf("count is %s, want %s", got, want)
	}
	if n := added.Load(); n != 1 {
		t.Errorf("%d added the key, want 1", n)
	}
}
