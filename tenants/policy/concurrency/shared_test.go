package concurrency_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy/policytest"
)

// gateways are chains of one configuration, each of a gateway of its own.
func gateways(t *testing.T, n int, list string) (*policytest.Shared, []*policy.Chain) {
	t.Helper()
	shared := policytest.NewShared()
	var chains []*policy.Chain
	for range n {
		chains = append(chains, policytest.Build(t, list, policy.Deps{Shared: shared, WillShare: true}))
	}
	return shared, chains
}

// TestGatewaysCountTogether: max is of all, and what ends at one is free for the others.
func TestGatewaysCountTogether(t *testing.T) {
	t.Parallel()
	shared, chains := gateways(t, 3, "[{concurrency: {max: 4, by: client}}]")
	var open []*policy.Request
	var got []string
	for i := range 6 {
		r := policytest.Request(get, "192.0.2.1")
		o := policytest.Begin(chains[i%3], r)
		got = append(got, fmt.Sprint(o.Status, o.Code))
		open = append(open, r)
	}
	if text, want := strings.Join(got, " "), "200 200 200 200 503concurrency_exceeded 503concurrency_exceeded"; text != want {
		t.Errorf("got %s, want %s", text, want)
	}
	if o := policytest.Ask(chains[0], policytest.Request(get, "192.0.2.2")); o.Status != 200 {
		t.Errorf("another client got %d", o.Status)
	}
	chains[0].Done(open[0])
	if o := policytest.Ask(chains[1], policytest.Request(get, "192.0.2.1")); o.Status != 200 {
		t.Errorf("after an end at another gateway: %d", o.Status)
	}
	for i, r := range open[1:] {
		chains[(i+1)%3].Done(r)
	}
	if n := shared.Inside(); n != 0 {
		t.Errorf("%d are left inside", n)
	}
}

// TestGatewaysQueue: who waits is let in when a request ends, at this gateway or at
// another, in the order of its line, or refused when its time is over.
func TestGatewaysQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, chains := gateways(t, 2, "[{concurrency: {max: 1, queue: 2, queue_timeout: 5s}}]")
		first := policytest.Request(get, "192.0.2.1")
		if o := policytest.Begin(chains[0], first); o.Status != 200 {
			t.Fatalf("got %d", o.Status)
		}
		var mu sync.Mutex
		var order []string
		var waiting []*policy.Request
		for i := range 3 { // at the other gateway
			r := policytest.Request(get, fmt.Sprintf("192.0.2.1%d", i))
			waiting = append(waiting, r)
			go func() {
				o := policytest.Begin(chains[1], r)
				mu.Lock()
				order = append(order, fmt.Sprint(i, o.Code))
				mu.Unlock()
				if o.Status != 200 {
					chains[1].Done(r)
				}
			}()
			synctest.Wait()
		}
		chains[0].Done(first)
		time.Sleep(150 * time.Millisecond)
		synctest.Wait()
		chains[1].Done(waiting[0])
		synctest.Wait()
		time.Sleep(time.Millisecond)
		synctest.Wait()
		mu.Lock()
		if got := strings.Join(order, " "); got != "2concurrency_exceeded 0 1" {
			t.Errorf("got %s", got)
		}
		mu.Unlock()
		late := policytest.Ask(chains[0], policytest.Request(get, "192.0.2.20"))
		if late.Code != "concurrency_exceeded" || !strings.Contains(late.Cause, "for all of queue_timeout (5s)") {
			t.Errorf("got %+v", late)
		}
		chains[1].Done(waiting[1])
		if o := policytest.Ask(chains[0], policytest.Request(get, "192.0.2.20")); o.Status != 200 {
			t.Errorf("afterwards got %d", o.Status)
		}
	})
}

// TestGatewaysGone: who goes while waiting keeps no place, and no other.
func TestGatewaysGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, chains := gateways(t, 1, "[{concurrency: {max: 1, queue: 2}}]")
		first, second, third := policytest.Request(get, "192.0.2.1"), policytest.Request(get, "192.0.2.2"), policytest.Request(get, "192.0.2.3")
		ctx, cancel := context.WithCancel(t.Context())
		second.Waiter = gone{ctx: ctx}
		policytest.Begin(chains[0], first)
		results := make(chan policytest.Outcome, 2)
		go func() { results <- policytest.Ask(chains[0], second) }()
		synctest.Wait()
		go func() { results <- policytest.Ask(chains[0], third) }()
		synctest.Wait()
		cancel()
		if o := <-results; !errors.Is(o.Err, context.Canceled) {
			t.Errorf("who had gone got %+v", o)
		}
		chains[0].Done(first)
		if o := <-results; o.Status != 200 {
			t.Errorf("who was behind got %+v", o)
		}
	})
}

// TestGatewaysAlone: while the store doesn't decide, on_store_error says what holds.
func TestGatewaysAlone(t *testing.T) {
	t.Parallel()
	for onError, want := range map[string]string{
		"local":  "200 200 503concurrency_exceeded",
		"open":   "200 200 200",
		"closed": "503store_unavailable 503store_unavailable 503store_unavailable",
	} {
		shared, chains := gateways(t, 1, "[{concurrency: {max: 2, on_store_error: "+onError+"}}]")
		shared.Fail(errors.New("it is away"))
		var got []string
		var open []*policy.Request
		for range 3 {
			r := policytest.Request(get, "192.0.2.1")
			o := policytest.Begin(chains[0], r)
			got = append(got, fmt.Sprint(o.Status, o.Code))
			open = append(open, r)
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%s: got %s, want %s", onError, text, want)
		}
		for _, r := range open {
			chains[0].Done(r)
		}
		shared.Fail(nil)
		if o := policytest.Ask(chains[0], policytest.Request(get, "192.0.2.1")); o.Status != 200 {
			t.Errorf("%s, back: %d", onError, o.Status)
		}
	}
}

// TestWithoutStore: a process by itself doesn't ask, and a store that there isn't can't
// be asked for.
func TestWithoutStore(t *testing.T) {
	t.Parallel()
	shared, chains := gateways(t, 1, "[{concurrency: {max: 2, store: local}}]")
	if o := policytest.Ask(chains[0], policytest.Request(get, "192.0.2.1")); o.Status != 200 || shared.Asked() != 0 {
		t.Errorf("got %d, asked %d times", o.Status, shared.Asked())
	}
	config, err := policytest.Check("[{concurrency: {max: 2, store: redis}}]", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := config.BuildPolicies(policy.Deps{}, func(string) *policy.Counter { return &policy.Counter{} }); err == nil || !strings.Contains(err.Error(), "there is none") {
		t.Errorf("got %v", err)
	}
}

// TestGatewaysExplain where a request was counted.
func TestGatewaysExplain(t *testing.T) {
	t.Parallel()
	shared, chains := gateways(t, 1, "[{concurrency: {max: 2}}]")
	explain := func() string {
		return strings.Join(policytest.Explanations(chains[0], policytest.Request(get, "192.0.2.1")), "|")
	}
	if got := explain(); !strings.HasSuffix(got, "were in progress, in the store") {
		t.Error(got)
	}
	shared.Fail(errors.New("it is away"))
	if got := explain(); !strings.HasSuffix(got, "of this gateway alone, since the store has not decided") {
		t.Error(got)
	}
}
