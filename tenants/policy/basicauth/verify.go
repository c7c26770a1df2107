package basicauth

import (
	"context"
	"errors"
	"hash/maphash"
	"runtime"
	"sync"
	"time"

	"github.com/keystone-gateway/keystone-gateway/tenants/cache"
)

// Bounds of what waits to be verified.
const (
	maxKnown   = 4096 // passwords of a tenant that are known to be right
	maxWaiting = 16   // verifications of a tenant that wait for their turn
	maxWait    = 10 * time.Second
)

var errBusy = errors.New("too many passwords of the tenant are being verified, or it has waited for ten seconds")

// places bound how many passwords are hashed at once in the process: half of its
// processors are left to requests, whoever sends passwords. One hash at a time may take
// a lot of memory.
type places struct{ any, large chan struct{} }

func newPlaces() *places {
	return &places{make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)), make(chan struct{}, 1)}
}

// verifier verifies the passwords of one tenant's users, and outlives generations. It
// hashes half as many at once as the process may: channels serve those first that have
// waited for longest, so that tenants take turns.
type verifier struct {
	turns chan struct{}
	seed  maphash.Seed
	known *cache.Cache[struct{}] // passwords that match a hash

	mu      sync.Mutex
	flights map[[cache.KeySize]byte]*flight // those that are being verified; guarded by mu
}

// flight is one verification, whose result all wait for that have sent the same.
type flight struct {
	done chan struct{}
	good bool
	err  error
}

func newVerifier() *verifier {
	return &verifier{
		turns: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/4)), seed: maphash.MakeSeed(),
		known: cache.New[struct{}](maxKnown), flights: map[[cache.KeySize]byte]*flight{},
	}
}

// verify finds out whether a password matches a hash; key is of both. first is false
// where another request with the same was being looked at already.
func (v *verifier) verify(ctx context.Context, key []byte, compare func(ctx context.Context) (bool, error)) (good, first bool, err error) {
	k := [cache.KeySize]byte(key)
	for {
		v.mu.Lock()
		f := v.flights[k]
		if f == nil {
			if len(v.flights) >= maxWaiting {
				v.mu.Unlock()
				return false, false, errBusy
			}
			f = &flight{done: make(chan struct{}), err: errBusy}
			v.flights[k] = f
			v.mu.Unlock()
			v.lead(ctx, k, f, compare)
			return f.good, true, f.err
		}
		v.mu.Unlock()
		select {
		case <-f.done:
		case <-ctx.Done():
			return false, false, ctx.Err()
		}
		if f.err == nil || errors.Is(f.err, errBusy) {
			return f.good, false, f.err
		} // else whoever was first has gone
	}
}

// lead verifies for all who wait for f.
func (v *verifier) lead(ctx context.Context, k [cache.KeySize]byte, f *flight, compare func(ctx context.Context) (bool, error)) {
	defer func() {
		v.mu.Lock()
		delete(v.flights, k)
		v.mu.Unlock()
		close(f.done)
	}()
	ctx, cancel := context.WithTimeoutCause(ctx, maxWait, errBusy)
	defer cancel()
	good, err := compare(ctx)
	if good && err == nil {
		v.known.Put(k[:], &struct{}{}, 0, cache.Forever)
	}
	f.good, f.err = good, err
}

// acquire waits for a place; the error is errBusy, or says why ctx has ended.
func acquire(ctx context.Context, from chan struct{}) error {
	select {
	case from <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func release(to chan struct{}) { <-to }
