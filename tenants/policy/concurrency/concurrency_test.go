package concurrency_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy/policytest"
)

const get = "GET /a HTTP/1.1\r\nHost: example.com\r\n"

// TestMax: of a key as many as max are in progress; the end of one lets another in,
// and what was refused gives nothing back.
func TestMax(t *testing.T) {
	t.Parallel()
	chain := policytest.Build(t, "[{concurrency: {max: 2, by: client}}]", policy.Deps{})
	var open []*policy.Request
	ask := func(client string) policytest.Outcome {
		r := policytest.Request(get, client)
		o := policytest.Begin(chain, r)
		if open = append(open, r); o.Status != 200 {
			chain.Done(r)
		}
		return o
	}
	for i, want := range []int{200, 200, 503, 503} {
		if o := ask("192.0.2.1"); o.Status != want {
			t.Errorf("%d: got %d, want %d", i, o.Status, want)
		}
	}
	if o := ask("192.0.2.1"); o.Code != "concurrency_exceeded" || o.Field("Retry-After") != "1" || o.Cause != "max (2) requests of client 192.0.2.1 are in progress" {
		t.Errorf("got %+v", o)
	}
	if o := ask("192.0.2.2"); o.Status != 200 {
		t.Errorf("another client got %d", o.Status)
	}
	chain.Done(open[0])
	for i, want := range []int{200, 503} {
		if o := ask("192.0.2.1"); o.Status != want {
			t.Errorf("after an end, %d: got %d, want %d", i, o.Status, want)
		}
	}
}

// TestQueue: requests wait in their order, as many and as long as they may.
func TestQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		chain := policytest.Build(t, "[{concurrency: {max: 1, queue: 2, queue_timeout: 5s}}]", policy.Deps{})
		first := policytest.Request(get, "192.0.2.1")
		if o := policytest.Begin(chain, first); o.Status != 200 {
			t.Fatalf("got %d", o.Status)
		}
		var order []string
		var mu sync.Mutex
		wait := func(name string, r *policy.Request) {
			go func() {
				o := policytest.Begin(chain, r)
				mu.Lock()
				order = append(order, name+" "+o.Code+o.Cause)
				mu.Unlock()
				if o.Status != 200 {
					chain.Done(r)
				}
			}()
			synctest.Wait()
		}
		second, third, fourth := policytest.Request(get, "192.0.2.2"), policytest.Request(get, "192.0.2.3"), policytest.Request(get, "192.0.2.4")
		wait("second", second)
		time.Sleep(2 * time.Second)
		wait("third", third)
		wait("fourth", fourth)
		chain.Done(first)
		synctest.Wait()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		chain.Done(second)
		want := "fourth concurrency_exceededmax (1) requests of the tenant are in progress, and queue (2) more wait|second |" +
			"third concurrency_exceededmax (1) requests of the tenant were in progress for all of queue_timeout (5s)"
		mu.Lock()
		if got := strings.Join(order, "|"); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		mu.Unlock()
		if o := policytest.Ask(chain, policytest.Request(get, "192.0.2.5")); o.Status != 200 {
			t.Errorf("afterwards got %d", o.Status)
		}
	})
}

// gone is a client that goes while its request waits.
type gone struct {
	policy.Waiter
	ctx context.Context
}

func (g gone) Wait(f func(ctx context.Context) error) error { return f(g.ctx) }

// TestGone: who goes while waiting leaves the queue, and those behind move up.
func TestGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		chain := policytest.Build(t, "[{concurrency: {max: 1, queue: 2}}]", policy.Deps{})
		first, second, third := policytest.Request(get, "192.0.2.1"), policytest.Request(get, "192.0.2.2"), policytest.Request(get, "192.0.2.3")
		ctx, cancel := context.WithCancel(t.Context())
		second.Waiter = gone{ctx: ctx}
		policytest.Begin(chain, first)
		results := make(chan policytest.Outcome, 2)
		go func() { results <- policytest.Ask(chain, second) }()
		synctest.Wait()
		go func() { results <- policytest.Ask(chain, third) }()
		synctest.Wait()
		cancel()
		if o := <-results; !errors.Is(o.Err, context.Canceled) {
			t.Errorf("who had gone got %+v", o)
		}
		chain.Done(first)
		if o := <-results; o.Status != 200 {
			t.Errorf("who was behind got %+v", o)
		}
	})
}

// TestReload: what is in progress counts for the next generation too, whose max holds.
func TestReload(t *testing.T) {
	t.Parallel()
	var deps policy.Deps
	deps.Kept.Tenant = &policy.Kept{}
	before := policytest.Build(t, "[{concurrency: {max: 3}}]", deps)
	r := policytest.Request(get, "192.0.2.1")
	policytest.Begin(before, r)
	after := policytest.Build(t, "[{concurrency: {max: 1}}]", deps)
	if o := policytest.Ask(after, policytest.Request(get, "192.0.2.1")); o.Status != 503 {
		t.Errorf("got %d", o.Status)
	}
	before.Done(r)
	if o := policytest.Ask(after, policytest.Request(get, "192.0.2.1")); o.Status != 200 {
		t.Errorf("got %d", o.Status)
	}
}

// TestTogether: never more than max, and none is forgotten, whoever comes and goes.
func TestTogether(t *testing.T) {
	t.Parallel()
	chain := policytest.Build(t, "[{concurrency: {max: 3, queue: 1000, queue_timeout: 10m}}]", policy.Deps{})
	var wait sync.WaitGroup
	var inside, most, passed atomic.Int64
	for range 16 {
		wait.Go(func() {
			for range 200 {
				r := policytest.Request(get, "192.0.2.1")
				if o := policytest.Begin(chain, r); o.Status == 200 {
					passed.Add(1)
					if n := inside.Add(1); n > most.Load() {
						most.Store(n)
					}
					inside.Add(-1)
				}
				chain.Done(r)
			}
		})
	}
	wait.Wait()
	if most.Load() > 3 || passed.Load() != 16*200 {
		t.Errorf("%d at once, %d passed", most.Load(), passed.Load())
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]string{
		"{}":                          "max 0 is out of range, expected 1 to 1000000",
		"{max: 1, queue: -1}":         "queue -1 is out of range",
		"{max: 1, queue: 100001}":     "queue 100001 is out of range",
		"{max: 1, queue_timeout: 0}":  "queue_timeout 0s is out of range, expected 1ms to 10m",
		"{max: 1, queue_timeout: 1h}": "queue_timeout 1h is out of range",
		"{max: 1, by: clients}":       `by "clients" is nothing that requests have`,
	} {
		if _, err := policytest.Check("[{concurrency: "+list+"}]", ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", list, err, want)
		}
	}
}

func TestAllocates0(t *testing.T) { //nolint:paralleltest // it counts allocations
	chain := policytest.Build(t, "[{concurrency: {max: 2, by: [client, path], queue: 10}}]", policy.Deps{})
	policytest.Allocates0(t, chain, policytest.Request(get, "2001:db8::1"))
}
