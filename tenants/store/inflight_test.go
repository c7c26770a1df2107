package store_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keystone-gateway/keystone-gateway/tenants/store"
)

// TestInFlight: of a key at most as many are in flight as may be; others wait in
// their order, and keys and limits don't concern each other.
func TestInFlight(t *testing.T) {
	t.Parallel()
	f := store.NewInFlight()
	first, _ := f.Enter(1, []byte("a"), 1, 1)
	_, waits := f.Enter(1, []byte("a"), 1, 1)
	refused, none := f.Enter(1, []byte("a"), 1, 1)
	other, _ := f.Enter(1, []byte("b"), 1, 0)
	third, _ := f.Enter(2, []byte("a"), 1, 0)
	if first == nil || waits == nil || refused != nil || none != nil || other == nil || third == nil {
		t.Fatal(first, waits, refused, none, other, third)
	}
	first.Leave()
	second, err := waits.Wait(t.Context(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := f.Enter(1, []byte("a"), 1, 0); again != nil {
		t.Error("two are in flight")
	}
	second.Leave()
	other.Leave()
	third.Leave()
	if again, _ := f.Enter(1, []byte("a"), 1, 0); again == nil {
		t.Error("nothing is in flight, and there is no room")
	}
}

// TestInFlightTimeout: who waits too long leaves the queue to those behind.
func TestInFlightTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := store.NewInFlight()
		first, _ := f.Enter(1, []byte("a"), 1, 2)
		_, hasty := f.Enter(1, []byte("a"), 1, 2)
		_, patient := f.Enter(1, []byte("a"), 1, 2)
		if _, err := hasty.Wait(t.Context(), time.Second); !errors.Is(err, store.ErrInFlight) {
			t.Errorf("got %v", err)
		}
		go first.Leave()
		if _, err := patient.Wait(t.Context(), time.Second); err != nil {
			t.Errorf("who was behind got %v", err)
		}
	})
}

// TestInFlightTogether enters and leaves from many sides, with a wait that may end at
// the moment in which it would be let in.
func TestInFlightTogether(t *testing.T) {
	t.Parallel()
	f := store.NewInFlight()
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for range 500 {
				g, ticket := f.Enter(1, []byte("a"), 2, 8)
				if ticket != nil {
					g, _ = ticket.Wait(t.Context(), time.Microsecond)
				}
				if g != nil {
					g.Leave()
				}
			}
		})
	}
	wait.Wait()
	for i := range 2 {
		if g, _ := f.Enter(1, []byte("a"), 2, 0); g == nil {
			t.Errorf("%d: a place was lost", i)
		}
	}
}

// TestInFlightAtTheLastMoment: who is let in has entered, even if it has just been told
// not to wait any more; else the place would be lost.
func TestInFlightAtTheLastMoment(t *testing.T) {
	t.Parallel()
	f := store.NewInFlight()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for i := range 100 { // both are ready, and it is by chance which is seen
		first, _ := f.Enter(1, []byte("a"), 1, 1)
		_, ticket := f.Enter(1, []byte("a"), 1, 1)
		if first == nil || ticket == nil {
			t.Fatalf("%d: a place was lost", i)
		}
		first.Leave()
		second, err := ticket.Wait(gone, time.Hour)
		if err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		second.Leave()
	}
}
