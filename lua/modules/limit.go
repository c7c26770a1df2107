package modules

import (
	"context"
	"errors"
	"math"
	"strconv"
	"time"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// limitPrefix keeps the entries of limits out of the reach of shared, whose
// keys don't begin with NUL.
const limitPrefix = "\x00limit:"

// What a quota may be: with these, all sums of times fit into an int64, and an
// interval is right to 0.05 %.
const (
	shortestInterval = 1e3                    // nanoseconds between tokens
	longestRefill    = 10 * 365 * 86400e9     // nanoseconds from empty to full
	clockSkew        = int64(1 * time.Minute) // between gateways that share a store
)

// errForeign is an entry that limit has not written.
var errForeign = errors.New("the store holds something else than a limit under this key")

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
	m := &limits{store: newSharedStore(t), clock: t.Clock}
	return L.SetFuncs(L.CreateTable(0, 1), map[string]glua.LGFunction{"allow": m.luaAllow, "gcra": m.luaGCRA})
}

type limits struct {
	store *sharedStore
	clock Clock
}

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

// quota is a bucket, in nanoseconds: of interval for one token. Whole numbers
// make sums exact: a burst of 20 is exactly 20 tokens.
type quota struct{ interval, burst, cost int64 }

// newQuota raises what is wrong. All its comparisons are false for NaN.
func newQuota(L *glua.LState, rate, per, burst, cost float64) quota {
	interval := math.Round(per / rate * 1e9)
	var wrong string
	switch {
	case !(rate > 0 && rate <= math.MaxFloat64):
		wrong = "rate must be a number of more than 0"
	case !(per > 0 && per <= math.MaxFloat64):
		wrong = "per must be more than 0 seconds"
	case !(burst >= 1 && burst <= math.MaxFloat64):
		wrong = "burst must be at least 1"
	case !(cost >= 0):
		wrong = "cost must not be less than 0"
	case !(cost <= burst):
		wrong = "cost is more than burst: it would never be allowed"
	case !(interval >= shortestInterval):
		wrong = "rate is more than a million a second"
	case !(burst*interval <= longestRefill):
		wrong = "burst would take more than ten years to come back"
	}
	if wrong != "" {
		vm.ArgError(L, 2, wrong)
	}
	q := quota{int64(interval), int64(math.Round(burst * interval)), int64(math.Round(cost * interval))}
	if cost > 0 {
		q.cost = max(1, q.cost)
	}
	return q
}

// verdict is what a limit says, in nanoseconds.
type verdict struct {
	allowed    bool
	remaining  int64 // tokens
	retryAfter int64
	reset      int64
}

// decide is the generic cell rate algorithm (ITU-T I.371, virtual scheduling).
// arrival is the theoretical arrival time: when the bucket will be full. It
// returns the next one.
func (q quota) decide(arrival, now int64) (int64, verdict) {
	if arrival > now+q.burst+clockSkew {
		arrival = now + q.burst // the clock was set back: the bucket is empty, not in debt for as long
	}
	arrival = max(arrival, now)
	v := verdict{allowed: true}
	if wait := arrival + q.cost - q.burst - now; wait > 0 {
		v.allowed, v.retryAfter = false, wait
	} else {
		arrival += q.cost
	}
	v.reset = arrival - now
	v.remaining = max(0, q.burst-v.reset) / q.interval
	return arrival, v
}

// take asks the store and pushes what came of it.
func (m *limits) take(L *glua.LState, key string, q quota) int {
	run := vm.RunOf(L)
	run.Charge(L, len(limitPrefix)+len(key))
	key = limitPrefix + key
	var v verdict
	o := m.store.call(L, func(ctx context.Context) (o outcome) {
		if q.cost == 0 {
			o.value, _, o.err = m.store.Get(ctx, key)
			if o.err == nil {
				_, v, o.err = m.judge(q, o.value)
			}
			return o
		}
		o.err = m.store.Update(ctx, key, func(old any) (any, time.Duration, error) {
			var next int64
			var err error
			next, v, err = m.judge(q, old)
			return strconv.FormatInt(next, 10), time.Duration(v.reset), err
		})
		return o
	})
	if o.err != nil {
		return pushOutcome(L, o.err, glua.LNil)
	}
	run.Charge(L, 512)
	info := L.CreateTable(0, 3)
	info.RawSetString("remaining", glua.LNumber(v.remaining))
	info.RawSetString("retry_after", glua.LNumber(float64(v.retryAfter)/1e9))
	info.RawSetString("reset", glua.LNumber(float64(v.reset)/1e9))
	L.Push(glua.LBool(v.allowed))
	L.Push(info)
	return 2
}

// judge decides by what the store holds: the arrival time in nanoseconds since
// 1970, as text, because a float64 is only right to 256 of them. It looks at
// the clock itself, so that in one process times don't go back from one use of
// a key to the next.
func (m *limits) judge(q quota, old any) (next int64, v verdict, err error) {
	var arrival int64
	switch old := old.(type) {
	case nil:
	case string:
		if arrival, err = strconv.ParseInt(old, 10, 64); err != nil {
			return 0, v, errForeign
		}
	default:
		return 0, v, errForeign
	}
	next, v = q.decide(arrival, m.clock.Now().UnixNano())
	return next, v, nil
}
