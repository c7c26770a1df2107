package upstream

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// latency is how long a target takes to answer, for pickers that ask: a slower answer
// counts at once, and is forgotten little by little, by quicker ones and by time (the
// peak EWMA of Finagle). Two answers at once may count as one: nothing is locked.
type latency struct {
	watched atomic.Bool   // some pool asks
	bits    atomic.Uint64 // of the nanoseconds
	at      atomic.Int64  // when that was (socket.Nanotime)
}

const (
	// latencyDecay is the time after which a third is left of what was.
	latencyDecay = 10 * time.Second
	// latencyRest is the time in which nothing is forgotten that would matter.
	latencyRest = latencyDecay / 64
)

// Latency is balance.Timed's.
func (t *Target) Latency() float64 {
	l := &t.latency
	value := math.Float64frombits(l.bits.Load())
	if gone := socket.Nanotime() - l.at.Load(); gone > int64(latencyRest) {
		value *= math.Exp(-float64(gone) / float64(latencyDecay))
	}
	return value
}

// note takes what an attempt has taken that ends at now, in nanoseconds both.
func (l *latency) note(took, now int64) {
	if !l.watched.Load() {
		return
	}
	value, sample := math.Float64frombits(l.bits.Load()), float64(max(took, 1))
	if sample < value {
		left := math.Exp(-float64(now-l.at.Load()) / float64(latencyDecay))
		sample += (value - sample) * left
	}
	l.at.Store(now)
	l.bits.Store(math.Float64bits(sample))
}
