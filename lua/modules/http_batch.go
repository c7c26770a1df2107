package modules

import (
	"context"
	"fmt"
	"sync/atomic"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/tenants/fetch"
)

const (
	// requestBytes is charged for every request: what net/http allocates, and a
	// small response (fetch.FreeHead, fetch.FreeBody).
	requestBytes = 16 << 10
	// requestWork is what a request costs in instructions: about 40 µs.
	requestWork = 2000
)

// batch makes some requests at once on goroutines of its own, which end with
// its context. Bodies are charged to the run that waits before there is memory
// for them, which only the run's own goroutine may do, with the VM's lock: so
// the goroutines ask, and wait until it has.
type batch struct {
	client   *fetch.Client
	ctx      context.Context
	requests []*fetch.Request
	results  []result
	next     atomic.Int32 // index of the next request
	left     atomic.Int32 // requests that have not ended
	done     chan struct{}
	asks     chan ask
}

// result is an answer, or the error.
type result struct {
	*fetch.Answer
	err error
}

// ask is for bytes to be charged; granted is closed when they are.
type ask struct {
	bytes   int
	granted chan struct{}
}

// runAll makes requests, of which there is at least one, for a script, and
// returns their results in the same order.
func runAll(L *glua.LState, c *fetch.Client, requests []*fetch.Request) []result {
	run := vm.RunOf(L)
	run.Charge(L, requestBytes*len(requests))
	run.Spend(L, requestWork*len(requests))
	ctx, cancel := context.WithCancel(run.Context())
	defer cancel() // also where Charge raises an error
	b := &batch{
		client: c, ctx: ctx, requests: requests, results: make([]result, len(requests)),
		done: make(chan struct{}), asks: make(chan ask),
	}
	b.left.Store(int32(len(requests))) //nolint:gosec // at most maxBodySet
	for range min(len(requests), c.Config().MaxParallel) {
		go b.work()
	}
	for {
		var wanted ask
		run.Block(L, func(context.Context) { wanted = b.wait() })
		if wanted.granted == nil {
			return b.results
		}
		run.Charge(L, wanted.bytes)
		run.Spend(L, wanted.bytes/16)
		close(wanted.granted)
	}
}

// wait returns when a goroutine asks, all requests have ended or the run's
// context is done.
func (b *batch) wait() ask {
	select {
	case wanted := <-b.asks:
		return wanted
	case <-b.done:
	case <-b.ctx.Done():
	}
	return ask{}
}

func (b *batch) work() {
	for {
		i := int(b.next.Add(1)) - 1
		if i >= len(b.requests) {
			return
		}
		b.results[i] = b.do(b.requests[i])
		if b.left.Add(-1) == 0 {
			close(b.done)
		}
	}
}

func (b *batch) do(r *fetch.Request) (res result) {
	defer func() {
		// A panic here would end the process, not the request.
		if v := recover(); v != nil {
			res = result{err: fmt.Errorf("BUG: panic in the HTTP client: %v", v)}
		}
	}()
	a, err := b.client.Do(b.ctx, r, b)
	return result{a, err}
}

// Grant is fetch.Memory's.
func (b *batch) Grant(bytes int) error {
	wanted := ask{bytes, make(chan struct{})}
	select {
	case b.asks <- wanted:
	case <-b.ctx.Done():
		return b.ctx.Err()
	}
	select {
	case <-wanted.granted:
		return nil
	case <-b.ctx.Done():
		return b.ctx.Err()
	}
}
