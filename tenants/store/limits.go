package store

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// Limits are limits of many keys, in this process's memory, that strangers choose: as
// many as they like, and none costs another its place. A key has a place while its
// bucket isn't full, which is the shorter, the less it was used; so whoever wants to
// use up the places pays for each with requests that count. Keys for which there is
// no place share buckets, some dozens for each limit, with those of the same owner and
// a few others: they are refused earlier than they should be, and never passed over; but
// not all of them for what one owner does.
//
// It starts no goroutine, and allocates only when it grows. All methods may be called
// at once; none waits for anything but, shortly, for another.
type Limits struct {
	now    func() time.Time
	epoch  time.Time
	seeds  [2]maphash.Seed
	shards [shardCount]places
	common places // of the buckets that keys share
	shared atomic.Uint64
}

const (
	ways       = 8  // places that a key may have, one of which is looked for
	leastSlots = 64 // of a shard that is used at all
	mostCommon = 4096
	perLimit   = 64 // buckets of one limit that keys share; a power of two
)

// NewLimits returns limits with places for most keys, of 24 bytes each, which are made
// when they are needed. As keys are spread by chance, some have none once about half
// are taken. now is the time that they are measured by.
func NewLimits(most int, now func() time.Time) *Limits {
	l := &Limits{now: now, epoch: now(), seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}}
	slots := leastSlots
	for slots*2*shardCount <= most {
		slots *= 2
	}
	for i := range l.shards {
		l.shards[i].most = slots
	}
	l.common.most = mostCommon
	return l
}

// Take asks the limit of that number for what the quota costs, for a key; shared says
// that the key shares its bucket with others, for want of a place. All quotas of one
// limit have the same rate and burst. owner is whom the key can't choose to be, such as
// the client's address: it says which bucket is shared. The key isn't kept: only a hash of it is, of 128
// bits, that nobody outside can foresee.
func (l *Limits) Take(limit uint64, key, owner []byte, q Quota) (v Verdict, shared bool) {
	if q.interval == 0 {
		panic("BUG: a quota that NewQuota hasn't made")
	}
	h := identity{maphash.Bytes(l.seeds[0], key) ^ spread(limit), maphash.Bytes(l.seeds[1], key) ^ spread(limit+1)}
	v, ok := l.shards[h[1]%shardCount].take(l, h, q)
	if ok {
		return v, false
	}
	l.shared.Add(1)
	if v, ok = l.common.take(l, identity{spread(limit ^ maphash.Bytes(l.seeds[0], owner)%perLimit), limit}, q); !ok {
		return Verdict{RetryAfter: time.Second, Reset: time.Second}, true
	}
	return v, true
}

// Shared is how often a key had to share a bucket, since the limits were made.
func (l *Limits) Shared() uint64 { return l.shared.Load() }

// spread makes a number whose bits all depend on all bits of n.
func spread(n uint64) uint64 {
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return n ^ n>>31
}

// identity stands for a limit and a key.
type identity [2]uint64

// bucket is one limit of one key: its arrival time is when it is full again, and
// its place free.
type bucket struct {
	of      identity
	arrival int64
}

// places are buckets, in sets of ways; a key's set follows from its identity.
type places struct {
	mu    sync.Mutex
	slots []bucket // a power of two
	most  int

	_ [64]byte // keeps shards from sharing a cache line
}

// take decides; ok is false if there is no place. Whoever has waited for the others looks
// at the clock afterwards: else it would be behind them, and refused what there is, when
// all have stood still meanwhile for as long as the burst lasts.
func (p *places) take(l *Limits, id identity, q Quota) (v Verdict, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := int64(l.now().Sub(l.epoch))
	b := p.find(id, now)
	for b == nil {
		if len(p.slots) >= p.most {
			return Verdict{}, false
		}
		p.grow(now)
		b = p.find(id, now)
	}
	if b.of != id {
		b.of, b.arrival = id, now
	}
	arrival, v := q.decide(b.arrival, now)
	if q.cost > 0 {
		b.arrival = arrival
	}
	return v, true
}

// find returns the bucket of an identity, or a free one, or nil.
func (p *places) find(id identity, now int64) (free *bucket) {
	if len(p.slots) == 0 {
		return nil
	}
	set := p.slots[id[0]%uint64(len(p.slots)/ways)*ways:][:ways]
	for i := range set {
		if set[i].of == id {
			return &set[i]
		}
		if set[i].arrival <= now && free == nil {
			free = &set[i]
		}
	}
	return free
}

// grow doubles the places. Each set becomes two, so that all find one again.
func (p *places) grow(now int64) {
	old := p.slots
	p.slots = make([]bucket, max(leastSlots, 2*len(old)))
	for i := range old {
		if b := &old[i]; b.arrival > now {
			*p.find(b.of, now) = *b
		}
	}
}
