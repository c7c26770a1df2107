package modules

import (
	"context"
	"math"
	"time"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/tenants/store"
)

// limitPrefix keeps the entries of limits out of the reach of shared, whose
// keys don't begin with NUL.
const limitPrefix = "\x00limit:"

// openLimit makes the module limit: rates, by keys that the script chooses,
// counted for the whole tenant in its store. A key belongs to one limit: use it
// with the same rate, per and burst everywhere. Both functions return
//
//	allowed, {remaining = 3, retry_after = 0, reset = 1.7}
//
// or nil, message if the store failed, so that "if not limit.allow(…)" refuses
// then. remaining is how many tokens are left; retry_after is how many seconds
// to wait for what was refused, 0 if it was allowed; reset is how many seconds
// it takes until the whole burst is there again. limit:allow(…) works as well.
func openLimit(L *glua.LState, t *Tenant) *glua.LTable {
	m := &limits{store: newSharedStore(t)}
	return L.SetFuncs(L.CreateTable(0, 1), map[string]glua.LGFunction{"allow": m.luaAllow, "gcra": m.luaGCRA})
}

type limits struct{ store *sharedStore }

// limit.allow(key, rate, burst?) -> boolean, table: takes one token of a bucket
// that holds burst (default: rate, at least 1) and gains rate a second, and says
// whether there was one.
func (m *limits) luaAllow(L *glua.LState) int {
	skipSelf(L)
	key, rate := sharedKey(L, 1), checkNumber(L, 2)
	burst := optionalNumber(L, 3, math.Max(1, rate))
	return m.take(L, key, newQuota(L, rate, 1, burst, 1))
}

// limit.gcra(key, {rate, per?, burst?, cost?}) -> boolean, table: takes cost
// (default 1) tokens of a bucket that holds burst (default: rate, at least 1) and
// gains rate in per seconds (default 1), and says whether there were enough; if
// not, it takes none. cost = 0 looks without taking.
func (m *limits) luaGCRA(L *glua.LState) int {
	skipSelf(L)
	key, options := sharedKey(L, 1), vm.CheckTable(L, 2)
	if content := vm.Frozen(options); content != nil {
		options = content
	}
	rate := limitOption(L, options, "rate", math.NaN())
	per := limitOption(L, options, "per", 1)
	burst := limitOption(L, options, "burst", math.Max(1, rate))
	cost := limitOption(L, options, "cost", 1)
	return m.take(L, key, newQuota(L, rate, per, burst, cost))
}

// limitOption reads past metatables: what they would run is none of ours.
func limitOption(L *glua.LState, options *glua.LTable, name string, missing float64) float64 {
	switch value := options.RawGetString(name).(type) {
	case glua.LNumber:
		return float64(value)
	case *glua.LNilType:
		return missing
	}
	vm.ArgError(L, 2, name+" must be a number")
	return 0
}

// newQuota raises what is wrong.
func newQuota(L *glua.LState, rate, per, burst, cost float64) store.Quota {
	q, err := store.NewQuota(rate, per, burst, cost)
	if err != nil {
		vm.ArgError(L, 2, err.Error())
	}
	return q
}

// take asks the store and pushes what came of it.
func (m *limits) take(L *glua.LState, key string, q store.Quota) int {
	run := vm.RunOf(L)
	run.Charge(L, len(limitPrefix)+len(key))
	key = limitPrefix + key
	var v store.Verdict
	o := m.store.call(L, func(ctx context.Context) (o outcome) {
		v, o.err = m.store.Take(ctx, key, q)
		return o
	})
	if o.err != nil {
		return pushOutcome(L, o.err, glua.LNil)
	}
	run.Charge(L, 512)
	info := L.CreateTable(0, 3)
	info.RawSetString("remaining", glua.LNumber(v.Remaining))
	info.RawSetString("retry_after", seconds(v.RetryAfter))
	info.RawSetString("reset", seconds(v.Reset))
	L.Push(glua.LBool(v.Allowed))
	L.Push(info)
	return 2
}

// seconds is right to the nanosecond, which Duration.Seconds isn't always.
func seconds(d time.Duration) glua.LNumber { return glua.LNumber(float64(d) / 1e9) }
