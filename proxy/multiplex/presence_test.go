package multiplex_test

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/proxy/multiplex"
)

// told is whoever is given up.
type told struct {
	mu     sync.Mutex
	causes []error
}

func (a *told) Abort(cause error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.causes = append(a.causes, cause)
}

var errFirst, errSecond = errors.New("first"), errors.New("second")

// TestPresence: whoever waits while the client goes is told, and whoever begins to wait
// after that; nobody who has stopped waiting.
func TestPresence(t *testing.T) {
	t.Parallel()
	var p multiplex.Presence
	var before, during, after told
	cancelled := 0
	p.BeginWait(&before, 0)
	p.EndWait()
	end := p.Watch(func() { cancelled += 100 })
	end()
	if p.Gone() != nil {
		t.Errorf("the client is gone: %v", p.Gone())
	}
	p.BeginWait(&during, 0)
	p.Watch(func() { cancelled++ })
	p.GiveUp(errFirst)
	p.GiveUp(errSecond)
	p.EndWait()
	p.BeginWait(&after, 0)
	p.Watch(func() { cancelled += 10 })
	if len(before.causes) > 0 || !slices.Equal(during.causes, []error{errFirst, errSecond}) || !slices.Equal(after.causes, []error{errFirst}) || cancelled != 12 {
		t.Errorf("told: %v, %v, %v; cancelled: %d", before.causes, during.causes, after.causes, cancelled)
	}
	if p.Gone() != errFirst {
		t.Errorf("it is gone because of %v", p.Gone())
	}
	p.Reset()
	var fresh told
	p.BeginWait(&fresh, 0)
	if p.Gone() != nil || len(fresh.causes) > 0 {
		t.Errorf("after a reset it is gone: %v, %v", p.Gone(), fresh.causes)
	}
}

// TestPresenceAtOnce: a client that goes while a wait begins is never missed.
func TestPresenceAtOnce(t *testing.T) {
	t.Parallel()
	for range 1000 {
		var p multiplex.Presence
		var call told
		var wait sync.WaitGroup
		wait.Go(func() { p.GiveUp(errFirst) })
		wait.Go(func() { p.BeginWait(&call, 0) })
		wait.Wait()
		if len(call.causes) == 0 {
			t.Fatal("the wait goes on")
		}
	}
}

// held is a connection that notes what is cut.
type held struct{ cut []uint64 }

func (h *held) CutStream(number uint64, _ *memory.Account, cause error) bool {
	h.cut = append(h.cut, number)
	return cause == errFirst
}

func TestHeld(t *testing.T) {
	t.Parallel()
	var conn held
	h := multiplex.Held{Of: &conn, Number: 8}
	if !h.Cut(nil, errFirst) || h.Cut(nil, errSecond) || !slices.Equal(conn.cut, []uint64{8, 8}) {
		t.Errorf("%v", conn.cut)
	}
}
