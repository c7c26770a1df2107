package upstream

import (
	"sync"
	"sync/atomic"
	"time"
)

// budget bounds the retries of a pool by a share of its requests over the last ten
// seconds, and a number a second that there may be in any case. What is taken of it
// counts from then on, however long the retry waits. Its methods may be called at
// once; now is socket.Nanotime.
type budget struct {
	slots [budgetSlots]atomic.Uint64 // a second each, packed: see slotOf
	mu    sync.Mutex                 // of take, so that nobody takes the last one twice
	spent atomic.Uint64              // retries that there was nothing left for
}

const (
	budgetSlots = 10
	secondBits  = 20 // 12 days
	retryBits   = 20 // a million a second
	countBits   = 24 // 16 million a second
)

// request counts a request.
func (b *budget) request(now int64) { b.add(now, 1<<retryBits) }

// add counts in the slot of a second, which forgets what it had of another one.
func (b *budget) add(now int64, what uint64) {
	second := uint64(now) / uint64(time.Second) //nolint:gosec // G115: it is never negative
	slot, stamp := &b.slots[second%budgetSlots], second%(1<<secondBits)
	for {
		old := slot.Load()
		base := old
		if old>>(retryBits+countBits) != stamp {
			base = stamp << (retryBits + countBits)
		}
		if slot.CompareAndSwap(old, base+what) {
			return
		}
	}
}

// take takes a retry, if there is one left.
func (b *budget) take(now int64, share Percent, perSecond int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	requests, retries := b.sum(now)
	if float64(retries+1) > share.Of(requests)+float64(perSecond*budgetSlots) {
		b.spent.Add(1)
		return false
	}
	b.add(now, 1)
	return true
}

// sum is what the slots of the last ten seconds have.
func (b *budget) sum(now int64) (requests, retries int) {
	second := uint64(now) / uint64(time.Second) //nolint:gosec // G115: it is never negative
	for i := range b.slots {
		word := b.slots[i].Load()
		if age := (second - word>>(retryBits+countBits)) % (1 << secondBits); age >= budgetSlots {
			continue
		}
		requests += int(word >> retryBits & (1<<countBits - 1))
		retries += int(word & (1<<retryBits - 1))
	}
	return requests, retries
}
