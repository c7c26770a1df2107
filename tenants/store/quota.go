package store

import (
	"errors"
	"math"
	"time"
)

// What a quota may be: with these, all sums of times fit into an int64, and an
// interval is right to 0.05 %.
const (
	shortestInterval = 1e3                    // nanoseconds between tokens
	longestRefill    = 10 * 365 * 86400e9     // nanoseconds from empty to full
	clockSkew        = int64(1 * time.Minute) // between gateways that share a store
)

// Quota is a bucket of tokens and what one use of it costs, in nanoseconds: of
// interval for one token. Whole numbers make sums exact: a burst of 20 is
// exactly 20 tokens. Only NewQuota makes one.
type Quota struct{ interval, burst, cost int64 }

// NewQuota returns the quota of a bucket that holds burst tokens and gains rate
// of them in per seconds, and of which cost are asked for: 0 looks without
// taking. The error says which number is wrong, and is meant for whoever chose
// them.
func NewQuota(rate, per, burst, cost float64) (Quota, error) {
	interval := math.Round(per / rate * 1e9)
	var wrong string
	switch { // all comparisons are false for NaN
	case !(rate > 0 && rate <= math.MaxFloat64):
		wrong = "rate must be a number of more than 0"
	case !(per > 0 && per <= math.MaxFloat64):
		wrong = "per must be more than 0 seconds"
	case !(burst >= 1 && burst <= math.MaxFloat64):
		wrong = "burst must be at least 1"
	case !(cost >= 0):
		wrong = "cost must not be less than 0"
	case !(cost <= burst):
		wrong = "cost is more than burst: it would never be allowed"
	case !(interval >= shortestInterval):
		wrong = "rate is more than a million a second"
	case !(burst*interval <= longestRefill):
		wrong = "burst would take more than ten years to come back"
	}
	if wrong != "" {
		return Quota{}, errors.New(wrong)
	}
	q := Quota{int64(interval), int64(math.Round(burst * interval)), int64(math.Round(cost * interval))}
	if cost > 0 {
		q.cost = max(1, q.cost)
	}
	return q, nil
}

// Verdict is what a limit says.
type Verdict struct {
	Allowed    bool          // whether the tokens were there; if not, none was taken
	Remaining  int64         // tokens that are left
	RetryAfter time.Duration // how long to wait for what was refused; 0 if it was allowed
	Reset      time.Duration // until the whole burst is there again
}

// decide is the generic cell rate algorithm (ITU-T I.371, virtual scheduling).
// arrival is the theoretical arrival time: when the bucket will be full. It
// returns the next one. Both times are in nanoseconds, since whenever.
func (q Quota) decide(arrival, now int64) (int64, Verdict) {
	if arrival > now+q.burst+clockSkew {
		arrival = now + q.burst // the clock was set back: the bucket is empty, not in debt for as long
	}
	arrival = max(arrival, now)
	v := Verdict{Allowed: true}
	if wait := arrival + q.cost - q.burst - now; wait > 0 {
		v.Allowed, v.RetryAfter = false, time.Duration(wait)
	} else {
		arrival += q.cost
	}
	return arrival, q.Verdict(v.Allowed, time.Duration(arrival-now), v.RetryAfter)
}

// Bucket is what a store elsewhere counts with, in nanoseconds: how long the bucket takes
// from empty to full, what one use costs of that, and how far a bucket may be ahead of
// the clock before that was set back.
func (q Quota) Bucket() (burst, cost, skew int64) { return q.burst, q.cost, clockSkew }

// Verdict is what a limit says whose bucket will be full again after ahead, what was
// taken included.
func (q Quota) Verdict(allowed bool, ahead, retry time.Duration) Verdict {
	return Verdict{Allowed: allowed, RetryAfter: retry, Reset: ahead, Remaining: max(0, q.burst-int64(ahead)) / q.interval}
}

// limit is the value of a limit's entry in a Memory: its arrival time is when
// the entry ends, so that nothing else has to be kept.
type limit struct{}
