package vm

import "sync/atomic"

// Ledger is what a tenant's requests in flight hold together, which has a
// limit, and how fast they are charged, which is slowed down: all that its runs
// have been charged until they end, and what is acquired until it is released.
type Ledger struct {
	limit int64
	rate  int64 // bytes a second
	used  atomic.Int64
	paid  atomic.Int64 // when, in nanoseconds, the rate will have been kept; 0 is not known
}

// NewLedger allows so many bytes at once, and large runs so many a second; 0 is
// no limit.
func NewLedger(limit, rate int64) *Ledger { return &Ledger{limit: limit, rate: rate} }

// Acquire counts memory that outlives a run, such as a response until it has
// been sent: it must be released when the memory goes. It reports whether the
// limit allows it; if not, nothing is counted.
func (l *Ledger) Acquire(bytes int64) bool {
	if l.used.Add(bytes) > l.limit && l.limit > 0 {
		l.used.Add(-bytes)
		return false
	}
	return true
}

// Release gives back what was acquired.
func (l *Ledger) Release(bytes int64) { l.used.Add(-bytes) }

// Used returns the bytes that are counted now.
func (l *Ledger) Used() int64 { return l.used.Load() }

// memoryBurst is how many bytes a tenant's large runs may be ahead of the rate.
const memoryBurst = 8 << 20

// pay counts bytes that were allocated, and returns for how many nanoseconds
// whoever did should rest; more than patience is a refusal. A tenant that
// allocates without a break would keep the collector busy, and with it the
// processors and caches of everybody else.
func (l *Ledger) pay(bytes, now int64) (rest int64) {
	if l.rate <= 0 {
		return 0
	}
	worth := func(bytes int64) int64 { return int64(float64(bytes) / float64(l.rate) * 1e9) }
	for {
		paid := l.paid.Load()
		next := now + worth(bytes)
		if paid != 0 {
			next = max(paid, now) + worth(bytes)
		}
		rest = max(0, next-now-worth(memoryBurst))
		if rest > patience { // it is refused, and must not keep others from their turn
			next = max(paid, min(next, now+worth(memoryBurst)+patience/2))
		}
		if l.paid.CompareAndSwap(paid, next) {
			return rest
		}
	}
}
