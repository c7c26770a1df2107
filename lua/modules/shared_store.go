package modules

import (
	"context"
	"time"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/tenants/store"
)

// maxKey bounds keys, in bytes.
const maxKey = 64 << 10

// storeWork is what a call of a store is counted as, in instructions.
const storeWork = 10

// sharedStore is a tenant's store as functions of Lua call it.
type sharedStore struct {
	store.Store
	instant func() bool // whether its methods don't wait now
}

// newSharedStore looks for the store's method Instant; one that has none waits.
func newSharedStore(t *Tenant) *sharedStore {
	s := &sharedStore{Store: t.Store, instant: func() bool { return false }}
	if asked, ok := t.Store.(interface{ Instant() bool }); ok {
		s.instant = asked.Instant
	}
	return s
}

// outcome is what the methods of a Store return, all of them in one.
type outcome struct {
	value  any
	number float64
	ok     bool
	ttl    time.Duration
	err    error
}

// call runs f, which uses the store: at once if the store never waits, else
// without the VM. f must not touch Lua values.
func (s *sharedStore) call(L *glua.LState, f func(ctx context.Context) outcome) outcome {
	run := vm.RunOf(L)
	run.Spend(L, storeWork)
	if s.instant() {
		return f(context.Background())
	}
	var o outcome
	run.Block(L, func(ctx context.Context) { o = f(ctx) })
	return o
}

// pushOutcome pushes value, or nil and a message if there is an error.
func pushOutcome(L *glua.LState, err error, value glua.LValue) int {
	if err == nil {
		L.Push(value)
		return 1
	}
	message := err.Error()
	vm.RunOf(L).Charge(L, len(message)+16)
	L.Push(glua.LNil)
	L.Push(glua.LString(message))
	return 2
}

// sharedKey returns an argument as a key of scripts. Those that begin with NUL
// are the gateway's own, such as those of limit.
func sharedKey(L *glua.LState, n int) string {
	key := vm.CheckString(L, n)
	switch {
	case len(key) > maxKey:
		vm.ArgError(L, n, "a key may have at most 65536 bytes")
	case key != "" && key[0] == 0:
		vm.ArgError(L, n, "a key must not begin with a NUL byte")
	}
	vm.RunOf(L).Spend(L, len(key)/16)
	return key
}

// skipSelf makes module:f(…) the same as module.f(…): no first argument of
// these modules is a table.
func skipSelf(L *glua.LState) {
	if L.Get(1).Type() == glua.LTTable {
		vm.DropSelf(L)
	}
}
