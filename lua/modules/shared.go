package modules

import (
	"context"
	"math"
	"time"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// openShared makes the module shared: the tenant's store, as its scripts see
// it. All shards of the tenant share it, and it survives reloads. Keys are
// strings of at most 64 KiB that don't begin with a NUL byte (numbers are
// taken as their text); values are strings, numbers and booleans. Errors of
// the store (an entry that is too large, a connection that failed) are
// returned as nil, message. shared:get(key) works as shared.get(key) does, and
// so on.
func openShared(L *glua.LState, t *Tenant) *glua.LTable {
	s := newSharedStore(t)
	return L.SetFuncs(L.CreateTable(0, 1), map[string]glua.LGFunction{
		"get": s.luaGet, "set": s.luaSet, "add": s.luaAdd, "incr": s.luaIncr, "delete": s.luaDelete, "ttl": s.luaTTL,
	})
}

// shared.get(key) -> value | nil: the value of a key, nil if it is absent or
// past its ttl.
func (s *sharedStore) luaGet(L *glua.LState) int {
	skipSelf(L)
	key := sharedKey(L, 1)
	o := s.call(L, func(ctx context.Context) (o outcome) {
		o.value, o.ok, o.err = s.Get(ctx, key)
		return o
	})
	if !o.ok || o.err != nil {
		return pushOutcome(L, o.err, glua.LNil)
	}
	switch value := o.value.(type) {
	case string:
		// The store may forget it while the script still holds it.
		vm.RunOf(L).Charge(L, len(value)+16)
		L.Push(glua.LString(value))
	case float64:
		L.Push(glua.LNumber(value))
	case bool:
		L.Push(glua.LBool(value))
	default:
		L.RaiseError("the store returned a value that is none of Lua's")
	}
	return 1
}

// shared.set(key, value, ttl?) -> true: gives a key a value. ttl is in seconds,
// more than 0; without it, or with math.huge, the entry stays until the store
// needs its room.
func (s *sharedStore) luaSet(L *glua.LState) int {
	skipSelf(L)
	key, value, ttl := sharedKey(L, 1), sharedValue(L, 2), sharedTTL(L, 3)
	o := s.call(L, func(ctx context.Context) outcome {
		return outcome{err: s.Set(ctx, key, value, ttl)}
	})
	return pushOutcome(L, o.err, glua.LTrue)
}

// shared.add(key, value, ttl?) -> boolean: sets a key only if it is absent, and
// says whether it did. Of many callers at once, one gets true.
func (s *sharedStore) luaAdd(L *glua.LState) int {
	skipSelf(L)
	key, value, ttl := sharedKey(L, 1), sharedValue(L, 2), sharedTTL(L, 3)
	o := s.call(L, func(ctx context.Context) (o outcome) {
		o.ok, o.err = s.Add(ctx, key, value, ttl)
		return o
	})
	return pushOutcome(L, o.err, glua.LBool(o.ok))
}

// shared.incr(key, by?, start?, ttl?) -> number: adds by (default 1) to a number
// and returns the sum, atomically. An absent key counts as start (default 0)
// and gets ttl, in seconds; the ttl of a present key stays as it is. A value
// that isn't a number, or a sum that isn't finite, is an error.
func (s *sharedStore) luaIncr(L *glua.LState) int {
	skipSelf(L)
	key, by, start, ttl := sharedKey(L, 1), finite(L, 2, 1), finite(L, 3, 0), sharedTTL(L, 4)
	o := s.call(L, func(ctx context.Context) (o outcome) {
		o.number, o.err = s.Incr(ctx, key, by, start, ttl)
		return o
	})
	return pushOutcome(L, o.err, glua.LNumber(o.number))
}

// shared.delete(key) -> boolean: forgets a key, and says whether it was there.
func (s *sharedStore) luaDelete(L *glua.LState) int {
	skipSelf(L)
	key := sharedKey(L, 1)
	o := s.call(L, func(ctx context.Context) (o outcome) {
		o.ok, o.err = s.Delete(ctx, key)
		return o
	})
	return pushOutcome(L, o.err, glua.LBool(o.ok))
}

// shared.ttl(key) -> number | nil: the seconds that are left of a key's life,
// -1 if it has no end, nil if the key is absent.
func (s *sharedStore) luaTTL(L *glua.LState) int {
	skipSelf(L)
	key := sharedKey(L, 1)
	o := s.call(L, func(ctx context.Context) (o outcome) {
		o.ttl, o.ok, o.err = s.TTL(ctx, key)
		return o
	})
	switch {
	case !o.ok:
		return pushOutcome(L, o.err, glua.LNil)
	case o.ttl == 0:
		return pushOutcome(L, o.err, glua.LNumber(-1))
	}
	return pushOutcome(L, o.err, glua.LNumber(o.ttl.Seconds()))
}

// sharedValue returns an argument as a value that a Store takes.
func sharedValue(L *glua.LState, n int) any {
	switch value := L.Get(n).(type) {
	case glua.LString:
		vm.RunOf(L).Spend(L, len(value)/16) // the store copies it
		return string(value)
	case glua.LNumber:
		return float64(value)
	case glua.LBool:
		return bool(value)
	case *glua.LTable:
		vm.ArgError(L, n, "a table can't be shared: use json.encode")
	case *glua.LNilType:
		vm.ArgError(L, n, "a value is missing: shared.delete removes a key")
	default:
		vm.ArgError(L, n, "a string, a number or a boolean expected, got a "+value.Type().String())
	}
	return nil
}

// longestTTL is in seconds; what is longer, a time.Duration can't say.
const longestTTL = 9e9

// sharedTTL returns an argument in seconds as a Store takes it. 0 isn't
// accepted: a script that computes how long something is still valid must not
// keep it for ever when it has just ended.
func sharedTTL(L *glua.LState, n int) time.Duration {
	if L.Get(n) == glua.LNil {
		return 0
	}
	seconds := checkNumber(L, n)
	switch {
	case !(seconds > 0): // or NaN
		vm.ArgError(L, n, "a ttl must be more than 0 seconds")
	case seconds > longestTTL:
		return 0
	}
	return max(1, time.Duration(math.Round(seconds*1e9)))
}

// finite returns an argument that must be a finite number, if it is there.
func finite(L *glua.LState, n int, missing float64) float64 {
	number := optionalNumber(L, n, missing)
	if math.IsNaN(number) || math.IsInf(number, 0) {
		vm.ArgError(L, n, "a finite number expected")
	}
	return number
}

// optionalNumber is L.OptNumber, but takes numerals for numbers as
// L.CheckNumber and Lua do.
func optionalNumber(L *glua.LState, n int, missing float64) float64 {
	if L.Get(n) == glua.LNil {
		return missing
	}
	return checkNumber(L, n)
}
