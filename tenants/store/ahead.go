package store

import (
	"hash/maphash"
	"math"
	"sync"
	"time"
)

// aheadLife is how long a gateway goes by what it knows of a limit that others use too.
const aheadLife = time.Second

// aheadPause is how much of a bucket may come back after a refusal, before it is asked for.
const aheadPause = 0.01

const (
	aheadWays = 4       // places that a limit's key may have
	aheadSets = 1 << 11 // 8192 places in all, of some 80 bytes
)

// Ahead is what one gateway knows of limits that several count together, and needn't ask
// for: uses that it has taken beyond the one that it needed, which others were denied
// meanwhile; and that there are none, until when. Both are forgotten after a second.
//
//	id := ahead.Identify(tenant, limit, key, quota)
//	if v, ok := ahead.Try(id); ok { … }              // no need to ask
//	asked := ahead.Begin(id, quota, 0.001)           // asked.Share: what may be taken beyond
//	… next, v, more := quota.Advance(arrival, now, asked.Share) …
//	ahead.End(asked, v, more)
//
// A key has a place by chance, among few; where others have all of those, it is asked for
// each time, which is only slower. All methods may be called at once; none allocates.
type Ahead struct {
	now   func() time.Time
	epoch time.Time
	seeds [2]maphash.Seed
	sets  [aheadSets]aheadSet
}

type aheadSet struct {
	mu     sync.Mutex
	places [aheadWays]aheadPlace
}

// aheadPlace is of one limit and key. With uses it has a number of them, else, unless
// somebody is asking, that nothing is left.
type aheadPlace struct {
	of      AheadKey
	uses    int64
	asking  bool
	verdict Verdict
	since   int64 // of the verdict, after epoch
	until   int64 // likewise; nobody else takes the place before
}

// AheadKey stands for a limit and a key of it.
type AheadKey identity

// NewAhead returns one that knows nothing. now is the time that it goes by.
func NewAhead(now func() time.Time) *Ahead {
	return &Ahead{now: now, epoch: now(), seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}}
}

// Identify returns what stands for a key of a tenant's limit. What is asked for at
// another price, or of another bucket, is something else.
func (a *Ahead) Identify(tenant, limit string, key []byte, q Quota) (id AheadKey) {
	for i, seed := range a.seeds {
		id[i] = maphash.Bytes(seed, key) ^ spread(maphash.String(seed, limit)) ^ spread(spread(maphash.String(seed, tenant)))
		id[i] ^= spread(uint64(q.burst)) ^ spread(spread(uint64(q.cost))) //nolint:gosec // G115: any bits will do
	}
	return id
}

func (a *Ahead) at() int64 { return int64(a.now().Sub(a.epoch)) }

func (a *Ahead) set(id AheadKey) *aheadSet { return &a.sets[id[0]%aheadSets] }

// find returns the place of an identity, or one that is free, or nil.
func (s *aheadSet) find(id AheadKey, now int64) (free *aheadPlace) {
	for i := range s.places {
		p := &s.places[i]
		if p.of == id {
			return p
		}
		if free == nil && p.until <= now {
			free = p
		}
	}
	return free
}

// Try decides by what is known; ok is false where that is nothing.
func (a *Ahead) Try(id AheadKey) (v Verdict, ok bool) {
	now := a.at()
	s := a.set(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.find(id, now)
	if p == nil || p.of != id || p.until <= now || p.asking || p.uses == 0 && p.verdict.Allowed {
		return v, false // nothing is known, or all that was taken has been used
	}
	v = p.verdict
	passed := time.Duration(now - p.since)
	v.Reset = max(0, v.Reset-passed)
	if p.uses > 0 {
		p.uses--
		v.Remaining += p.uses
		return v, true
	}
	v.RetryAfter = max(v.RetryAfter-passed, time.Duration(p.until-now))
	v.Reset = max(v.Reset, v.RetryAfter)
	return v, true
}

// Asked is a question to whoever counts, from Begin to End.
type Asked struct {
	Share float64 // of what is left, that may be taken beyond; 0 is nothing

	id    AheadKey
	q     Quota
	began int64
}

// Begin is called before asking. Of those who ask at once only one may take beyond what
// it needs: share of the limit.
func (a *Ahead) Begin(id AheadKey, q Quota, share float64) Asked {
	now := a.at()
	s := a.set(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := Asked{id: id, q: q, began: now}
	p := s.find(id, now)
	if share <= 0 || p == nil || p.of == id && p.until > now && (p.asking || p.uses > 0) {
		return asked
	}
	*p = aheadPlace{of: id, asking: true, until: now + int64(aheadLife)}
	asked.Share = share
	return asked
}

// End is called with the answer: more uses were taken beyond the one. A zero Verdict is
// none.
//
// What was refused is refused here until there can be a use again, by the clock of who
// counts: the wait is counted from before the question. Where uses come back so fast that
// each request would ask, it is refused as long as a hundredth of the bucket takes to come
// back: the bucket is empty, so nothing of what comes back meanwhile is lost.
func (a *Ahead) End(asked Asked, v Verdict, more int64) {
	if asked.Share == 0 {
		return
	}
	now := a.at()
	s := a.set(asked.id)
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.find(asked.id, now)
	if p == nil || p.of != asked.id || !p.asking {
		return
	}
	switch {
	case v.Allowed && more > 0:
		*p = aheadPlace{of: asked.id, uses: more, verdict: v, since: now, until: now + int64(aheadLife)}
	case !v.Allowed && v.RetryAfter > 0:
		until := max(asked.began+int64(v.RetryAfter), now+int64(asked.q.most(aheadPause)))
		*p = aheadPlace{of: asked.id, verdict: v, since: asked.began, until: min(until, now+int64(aheadLife))}
	default:
		*p = aheadPlace{}
	}
}

// most is the share of a bucket that one gateway may be wrong by, in nanoseconds: of what
// comes back while it goes by what it knows, or of the whole bucket, if that is less.
func (q Quota) most(share float64) float64 {
	return share * math.Min(float64(q.burst), float64(aheadLife))
}

// Advance is how a limit is counted that several gateways share: arrival is when its
// bucket will be full, and next that time afterwards, in nanoseconds like now. Where one
// use is allowed, more besides are taken: as many as share of what is left, or, near the
// limit's end, what is left of that share of the bucket.
func (q Quota) Advance(arrival, now int64, share float64) (next int64, v Verdict, more int64) {
	next, v = q.decide(arrival, now)
	if !v.Allowed || q.cost == 0 {
		return next, v, 0
	}
	left := float64(q.burst - (next - now))
	more = int64(math.Floor(math.Max(share*left, math.Min(left, q.most(share))) / float64(q.cost)))
	next += more * q.cost
	return next, q.Verdict(true, time.Duration(next-now), 0), more
}
