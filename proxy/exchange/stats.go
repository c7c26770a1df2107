package exchange

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

// HistogramBounds are the upper bounds of the duration histograms' buckets,
// in seconds; one more bucket holds the rest.
var HistogramBounds = [...]float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

var boundNanos = func() (b [len(HistogramBounds)]time.Duration) {
	for i, s := range HistogramBounds {
		b[i] = time.Duration(s * float64(time.Second))
	}
	return b
}()

// Histogram counts durations. It may be used concurrently.
type Histogram struct {
	buckets [len(HistogramBounds) + 1]atomic.Uint64
	sum     atomic.Int64 // nanoseconds
}

func (h *Histogram) observe(d time.Duration) {
	i := 0
	for i < len(boundNanos) && d > boundNanos[i] {
		i++
	}
	h.buckets[i].Add(1)
	h.sum.Add(int64(d))
}

// Read returns the count of each bucket, not cumulated, and the sum in seconds.
func (h *Histogram) Read() (buckets [len(HistogramBounds) + 1]uint64, sum float64) {
	for i := range h.buckets {
		buckets[i] = h.buckets[i].Load()
	}
	return buckets, time.Duration(h.sum.Load()).Seconds()
}

// Stats are the counters of one tenant, or of the requests that reached none.
// They live as long as the tenant, across reloads.
type Stats struct {
	// Classes counts responses by the first digit of their status.
	Classes [6]atomic.Uint64
	// errors counts requests by the number of their code; see Errors.
	errors [maxCodes]atomic.Uint64
	// BytesIn and BytesOut count content.
	BytesIn, BytesOut atomic.Int64
	// Mirrors counts copies of requests, by what has come of them.
	Mirrors struct{ Sent, Failed, Dropped atomic.Uint64 }
	// Retries counts second attempts.
	Retries atomic.Uint64
	// Memory is what requests hold now; of those that reached no tenant, with
	// the connections themselves.
	Memory     memory.Account
	policiesMu sync.Mutex
	// policies counts decisions by the policy's name; guarded by policiesMu.
	policies map[string]*policy.Counter
	// Duration is of whole requests, Upstream until the response head.
	Duration, Upstream Histogram
}

// maxCodes is as many codes as there may be.
const maxCodes = 128

// Errors calls f with each code with which requests have ended, and how many
// have.
func (s *Stats) Errors(f func(code string, requests uint64)) {
	for i, code := range codes {
		if n := s.errors[i].Load(); n > 0 {
			f(code, n)
		}
	}
}

// PolicyCounter returns the counter of a policy.
func (s *Stats) PolicyCounter(name string) *policy.Counter {
	s.policiesMu.Lock()
	defer s.policiesMu.Unlock()
	if s.policies == nil {
		s.policies = map[string]*policy.Counter{}
	}
	if s.policies[name] == nil {
		s.policies[name] = &policy.Counter{}
	}
	return s.policies[name]
}

// Count counts an exchange that has ended.
func (s *Stats) Count(r *Record) {
	s.Classes[min(r.Status/100, len(s.Classes)-1)].Add(1)
	switch {
	case r.Code != "":
		s.errors[numberOf[r.Code]].Add(1)
	case r.Skipped != nil:
		s.errors[numberOf[CodeSkipped]].Add(1)
	}
	if r.BytesIn > 0 {
		s.BytesIn.Add(r.BytesIn)
	}
	s.BytesOut.Add(r.BytesOut)
	if !r.Tunnelled {
		s.Duration.observe(r.Elapsed)
	}
	if r.Attempts > 1 {
		s.Retries.Add(uint64(r.Attempts - 1))
	}
	if r.HeaderTime > 0 {
		s.Upstream.observe(r.HeaderTime)
	}
}
