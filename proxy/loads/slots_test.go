package loads

import (
	"context"
	"runtime"
	"testing"
	"time"
)

// TestSlots: loads that have run for long make way for those that have run for
// less, and those that wait for something for all; nobody is forgotten.
func TestSlots(t *testing.T) {
	t.Parallel()
	p := newSlots(1)
	await := func(what func() bool) {
		for deadline := time.Now().Add(time.Minute); !what(); {
			if time.Now().After(deadline) {
				t.Fatal("it doesn't come to that")
			}
			runtime.Gosched()
		}
	}
	waiting := func(level, n int) bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.waiting[level] == n
	}
	first := p.acquire()
	order := make(chan string, 10)
	next := make(chan struct{})
	go func() { // has run for less than the one below, and more than the third
		slot := p.acquire()
		slot.yield(context.Background(), 1)
		order <- "level 1"
		<-next
		slot.release()
	}()
	await(func() bool { return waiting(0, 1) })
	done := make(chan struct{})
	go func() {
		first.yield(context.Background(), 99)
		order <- "level 99"
		first.release()
		close(done)
	}()
	if got := <-order; got != "level 1" {
		t.Fatalf("first came %s", got)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancelled := make(chan struct{})
	other := make(chan *slot)
	go func() {
		slot := p.acquire()
		other <- slot
	}()
	await(func() bool { return waiting(0, 1) && waiting(slotLevels-1, 1) })
	close(next)
	slot := <-other
	end := slot.wait() // "level 99" can have it meanwhile
	if got := <-order; got != "level 99" {
		t.Fatalf("then came %s", got)
	}
	<-done
	end()
	end = slot.wait()
	busy := p.acquire()
	end() // which waits for nobody
	go func() {
		slot.yield(ctx, 2)
		close(cancelled)
	}()
	await(func() bool { return waiting(2, 1) })
	cancel()
	<-cancelled
	busy.release()
	slot.release()
	if p.runs != 0 || p.all != 0 {
		t.Errorf("%d run and %d are under way in the end", p.runs, p.all)
	}
}
