package acme

import (
	"sync"
	"time"
)

// budget grants so many tokens in a period, in all and to each tenant, as buckets
// that are full at the start. The time is what its callers say; one that has gone
// back fills nothing.
type budget struct {
	all, each float64 // tokens
	period    time.Duration

	mu      sync.Mutex
	buckets map[string]*bucket // by tenant; "" is all
}

type bucket struct {
	left float64
	at   time.Time
}

func newBudget(all, each int, period time.Duration) *budget {
	return &budget{all: float64(all), each: float64(each), period: period, buckets: map[string]*bucket{}}
}

// take takes a token, or says how long it is until there is one.
func (b *budget) take(tenant string, now time.Time) (wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	all, own := b.fill("", b.all, now), b.fill("of "+tenant, b.each, now)
	if all.left >= 1 && own.left >= 1 {
		all.left--
		own.left--
		return 0
	}
	return max(b.until(all, b.all), b.until(own, b.each))
}

// asks is the budget of on_demand.asks_per_second, half of it one tenant's at most. A
// quarter is kept for one question a second of each tenant, so that those that strangers
// ask much about don't use up those of others.
type asks struct{ most, first *budget }

func newAsks(perSecond int) *asks {
	first := perSecond / 4
	each := (perSecond + 1) / 2
	if first > 0 {
		each-- // the other one is of first
	}
	return &asks{newBudget(perSecond-first, each, time.Second), newBudget(first, 1, time.Second)}
}

// take is budget's.
func (a *asks) take(tenant string, now time.Time) (wait time.Duration) {
	if wait = a.most.take(tenant, now); wait > 0 && a.first.all > 0 {
		wait = min(wait, a.first.take(tenant, now))
	}
	return wait
}

func (b *budget) until(one *bucket, size float64) time.Duration {
	if one.left >= 1 {
		return 0
	}
	return time.Duration((1-one.left)/size*float64(b.period)) + time.Millisecond
}

// fill needs b.mu.
func (b *budget) fill(name string, size float64, now time.Time) *bucket {
	one := b.buckets[name]
	if one == nil {
		b.forget(now)
		one = &bucket{left: size, at: now}
		b.buckets[name] = one
	}
	switch passed := now.Sub(one.at); {
	case passed > 0:
		one.left = min(size, one.left+size*float64(passed)/float64(b.period))
		one.at = now
	case passed < -b.period: // the clock has been put back; by less, somebody has only looked at it a little earlier
		one.at = now
	}
	return one
}

// maxBuckets is how many tenants are remembered before those that have all their
// tokens again are forgotten.
const maxBuckets = 1024

func (b *budget) forget(now time.Time) {
	if len(b.buckets) < maxBuckets {
		return
	}
	for name, one := range b.buckets {
		if now.Sub(one.at) > b.period && name != "" {
			delete(b.buckets, name)
		}
	}
}
