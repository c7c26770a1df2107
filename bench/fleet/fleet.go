package fleet

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/keystone-gateway/keystone-gateway/bench/load"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy/ratelimit"
	"github.com/keystone-gateway/keystone-gateway/tenants/store"
	"github.com/keystone-gateway/keystone-gateway/tenants/store/redis"
)

// Options say what is asked.
type Options struct {
	Address  string        // of Redis; "" has each gateway count by itself
	Gateways int           // with a client of the store each
	Keys     int           // clients, by address
	Offered  float64       // requests a second, of all gateways together, by chance to keys
	Rate     int64         // of the limit, a second for each key
	Burst    int64         // likewise
	Duration time.Duration // how long
}

// Result is what has come of it.
type Result struct {
	Elapsed  time.Duration
	Requests int64
	Passed   int64
	Exact    int64  // that one limit would have let pass, asked at the same times
	Asked    uint64 // decisions that the store has made
	Ahead    uint64 // that a gateway has made by what it knew
	Failed   uint64 // that the store has failed to make
	Latency  load.Histogram
}

// workers are how many requests a gateway has at once, at most.
const workers = 32

// decision is one, with when it was asked for.
type decision struct {
	at     time.Duration
	key    int
	passed bool
}

// Run asks until the time is over.
func Run(ctx context.Context, o Options) (*Result, error) {
	if o.Gateways < 1 || o.Keys < 1 || o.Keys > 1<<16 || o.Offered <= 0 || o.Rate < 1 {
		return nil, errors.New("expected gateways, 1 to 65536 keys, requests and a rate")
	}
	quota, err := store.NewQuota(float64(o.Rate), 1, float64(o.Burst), 1)
	if err != nil {
		return nil, fmt.Errorf("cannot limit to %d/s: %w", o.Rate, err)
	}
	var all []*gateway
	defer func() {
		for _, g := range all {
			g.shared.Close()
		}
	}()
	for range o.Gateways {
		g, err := open(&o)
		if err != nil {
			return nil, err
		}
		all = append(all, g)
	}
	r := &Result{}
	decisions := drive(ctx, &o, all, r)
	if ctx.Err() != nil {
		return nil, ctx.Err() //nolint:wrapcheck // the caller's
	}
	for _, g := range all {
		if status, ok := g.shared.Status(); ok {
			r.Asked += status.Counts.Answered
			r.Ahead += status.Counts.Local
			r.Failed += status.Counts.Failed + status.Counts.Late + status.Counts.Spared + status.Counts.Unusable
		}
	}
	r.judge(decisions, quota, o.Keys)
	return r, nil
}

// gateway is one.
type gateway struct {
	shared redis.Shared
	policy policy.Policy
}

func open(o *Options) (*gateway, error) {
	g := &gateway{}
	c := &ratelimit.Config{Rate: ratelimit.Rate{Count: o.Rate, Per: time.Second}, Burst: o.Burst}
	c.SetDefaults()
	deps := policy.Deps{Tenant: "fleet", Place: "policies[0]"}
	if o.Address != "" {
		config := &redis.Config{}
		config.SetDefaults()
		config.Address = []string{o.Address}
		g.shared.Use(config, 10*time.Second)
		if status, ok := g.shared.Status(); !ok || !status.Here {
			g.shared.Close()
			return nil, fmt.Errorf("cannot reach the store at %s: %w", o.Address, status.Err)
		}
		deps.Shared, deps.WillShare = g.shared.Tenant("fleet"), true
	}
	var err error
	if g.policy, err = c.New(deps); err != nil {
		g.shared.Close()
		return nil, fmt.Errorf("cannot build the policy: %w", err)
	}
	return g, nil
}

// drive has all workers ask, each at even intervals of its own.
func drive(ctx context.Context, o *Options, all []*gateway, r *Result) (decisions []decision) {
	var wait sync.WaitGroup
	var mu sync.Mutex
	n := len(all) * workers
	interval := time.Duration(float64(n) / o.Offered * float64(time.Second))
	began := time.Now()
	for i := range n {
		w := &worker{policy: all[i%len(all)].policy, began: began, random: rand.New(rand.NewPCG(uint64(i), 1)), keys: o.Keys} //nolint:gosec // G404: chance is no secret
		wait.Go(func() {
			w.run(ctx, time.Duration(i)*interval/time.Duration(n), interval, o.Duration)
			mu.Lock()
			defer mu.Unlock()
			decisions = append(decisions, w.decisions...)
			r.Latency.Merge(&w.latency)
		})
	}
	wait.Wait()
	r.Elapsed = time.Since(began)
	return decisions
}

// worker has one request after the other.
type worker struct {
	policy    policy.Policy
	began     time.Time
	random    *rand.Rand
	keys      int
	request   policy.Request
	memo      policy.Memo
	decisions []decision
	latency   load.Histogram
}

func (w *worker) run(ctx context.Context, due, interval, duration time.Duration) {
	w.decisions = make([]decision, 0, duration/interval+1)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ; due < duration; due += interval {
		timer.Reset(due - time.Since(w.began))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		w.ask()
	}
}

func (w *worker) ask() {
	key := w.random.IntN(w.keys)
	r := &w.request
	r.Reset()
	w.memo = policy.Memo{}
	r.Memo, r.Waiter, r.Header = &w.memo, waiter{}, &message.Header{}
	r.Client = netip.AddrFrom4([4]byte{10, 0, byte(key >> 8), byte(key)}) //nolint:gosec // G115: Keys is bounded
	at := time.Since(w.began)
	answer, err := w.policy.Judge(r)
	w.latency.Add(time.Since(w.began) - at)
	w.decisions = append(w.decisions, decision{at, key, answer == nil && err == nil})
}

// waiter is a client that stays.
type waiter struct{}

func (waiter) Wait(f func(ctx context.Context) error) error { return f(context.Background()) }

func (waiter) ReadBody(int64) ([]byte, error) { return nil, nil }
