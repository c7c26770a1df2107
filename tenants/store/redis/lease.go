package redis

import (
	"hash/maphash"
	"sync"
	"time"

	"github.com/keystone-gateway/keystone-gateway/tenants/store"
)

const (
	leaseSlots = 1 << 12
	leaseLocks = 64 // a divisor of leaseSlots
	leaseLife  = time.Second
)

// leases are what this gateway has taken of limits beyond the requests that it had, for
// those that come within a second. A limit has a place by chance; one that finds it
// taken is asked each time, which is only slower.
type leases struct {
	seeds [2]maphash.Seed
	epoch time.Time
	locks [leaseLocks]struct {
		sync.Mutex
		_ [56]byte // keeps them from sharing a cache line
	}
	slots [leaseSlots]lease
}

// lease is of one limit and key.
type lease struct {
	of      [2]uint64
	uses    int64
	asking  bool  // somebody asks for uses
	until   int64 // since epoch; nobody else takes the place before
	verdict store.Verdict
}

func (l *leases) init() {
	l.seeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}
	l.epoch = time.Now()
}

func (l *leases) identify(tenant, limit string, key []byte) (id [2]uint64) {
	for i, seed := range l.seeds {
		id[i] = maphash.Bytes(seed, key) ^ mix(maphash.String(seed, limit)) ^ mix(mix(maphash.String(seed, tenant)))
	}
	return id
}

// mix makes a number whose bits all depend on all bits of n.
func mix(n uint64) uint64 {
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return n ^ n>>31
}

// at returns the place of a limit and key, with its lock.
func (l *leases) at(id [2]uint64) (*lease, *sync.Mutex) {
	n := id[0] % leaseSlots
	return &l.slots[n], &l.locks[n%leaseLocks].Mutex
}

func (l *leases) now() int64 { return int64(time.Since(l.epoch)) }

// use takes one use, if there is one.
func (l *leases) use(id [2]uint64) (v store.Verdict, ok bool) {
	now := l.now()
	have, lock := l.at(id)
	lock.Lock()
	defer lock.Unlock()
	if have.of != id || have.uses == 0 || have.until <= now {
		return v, false
	}
	have.uses--
	v = have.verdict
	v.Remaining += have.uses
	v.Reset = max(0, v.Reset-time.Duration(now-(have.until-int64(leaseLife))))
	return v, true
}

// ask says that uses may be taken for later, by one of those who ask at once.
func (l *leases) ask(id [2]uint64) bool {
	now := l.now()
	have, lock := l.at(id)
	lock.Lock()
	defer lock.Unlock()
	if have.until > now && (have.asking || have.uses > 0) {
		return false
	}
	*have = lease{of: id, asking: true, until: now + int64(leaseLife)}
	return true
}

// keep ends what ask has begun.
func (l *leases) keep(id [2]uint64, got taken) {
	have, lock := l.at(id)
	lock.Lock()
	defer lock.Unlock()
	switch {
	case have.of != id:
	case got.more == 0:
		*have = lease{}
	default:
		*have = lease{of: id, uses: got.more, until: l.now() + int64(leaseLife), verdict: got.Verdict}
	}
}
