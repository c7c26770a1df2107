package upstream

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/upstream/balance"
)

// guard is what a pool does about targets that fail, of one generation; nil is
// nothing.
type guard struct {
	outlier   OutlierConfig
	rate      Percent // of failures that opens the circuit; 0 is never
	volume    int     // requests that it needs
	trials    int     // 0: an ejection ends by itself
	slowStart time.Duration
	panic     Percent

	pool *Pool
	next atomic.Int64 // when the targets are compared again
	mu   sync.Mutex   // of ejections: serialises what they count
}

// guard resolves the sections; nil where there are none.
func (c *ResilienceConfig) guard(p *Pool) *guard {
	if c.OutlierEjection == nil && c.CircuitBreaker == nil && c.SlowStart == nil && c.PanicThreshold == nil {
		return nil
	}
	g := &guard{pool: p}
	g.outlier.SetDefaults()
	if c.OutlierEjection != nil {
		g.outlier = *c.OutlierEjection
	} else {
		o := &g.outlier
		o.Consecutive5xx, o.ConsecutiveGatewayErrors, o.ConsecutiveLocalErrors, o.SuccessRateStdevFactor, o.LatencyFactor = 0, 0, 0, 0, 0
	}
	if b := c.CircuitBreaker; b != nil {
		g.rate, g.volume, g.trials = b.FailureRate, b.MinimumRequests, b.TrialRequests
	}
	if c.SlowStart != nil {
		g.slowStart = c.SlowStart.Std()
	}
	if c.PanicThreshold != nil {
		g.panic = *c.PanicThreshold
	}
	g.next.Store(socket.Nanotime() + int64(g.outlier.Interval))
	return g
}

// mayEject reports whether one more target may be ejected: never the last one, and
// at least one where any may. Its caller has the lock.
func (g *guard) mayEject(t *Target) bool {
	all, ejected := 0, 0
	for _, m := range g.pool.state.Load().members {
		if m.weight == 0 {
			continue
		}
		all++
		if m.target != t && m.target.gate.Load()&(gateEjected|gateHeld) != 0 {
			ejected++
		}
	}
	most := 0
	if share := g.outlier.MaxEjectedPercent; share > 0 {
		most = max(1, int(share.Of(all)))
	}
	return ejected+1 <= min(most, all-1)
}

// row is what is known of one target of an interval.
type row struct {
	target   *Target
	requests uint64
	success  float64 // share
	took     float64 // nanoseconds to the head of an answer, on average
}

// compare looks at the targets side by side, once in an interval.
func (g *guard) compare() {
	now, due := socket.Nanotime(), g.next.Load()
	if now < due || !g.next.CompareAndSwap(due, now+int64(g.outlier.Interval)) {
		return
	}
	members := g.pool.state.Load().members
	rows := make([]row, 0, len(members))
	for _, m := range members {
		l := &m.target.learnt
		n, bad, took := l.requests.Swap(0), l.bad.Swap(0), l.took.Swap(0)
		if n == 0 {
			continue
		}
		answers := max(1, n-min(n, bad))
		rows = append(rows, row{m.target, n, float64(n-min(n, bad)) / float64(n), float64(took) / float64(answers)})
	}
	for _, o := range g.judge(rows) {
		o.target.eject(g, o.why)
	}
	for _, r := range rows {
		r.target.forgive()
	}
}

// forgive makes the next ejection shorter, after an interval without one.
func (t *Target) forgive() {
	t.health.mu.Lock()
	defer t.health.mu.Unlock()
	if t.gate.Load()&(gateEjected|gateTrial) == 0 && t.learnt.times > 0 {
		t.learnt.times--
	}
}

// outlier is a target that is worse than the others, or than it may be.
type outlier struct {
	target *Target
	why    string
}

// judge finds them. It decides by what it is given alone.
func (g *guard) judge(rows []row) (out []outlier) {
	c := &g.outlier
	compared := slices.DeleteFunc(slices.Clone(rows), func(r row) bool { return r.requests < uint64(max(c.SuccessRateRequestVolume, 0)) })
	least, slow := math.Inf(-1), math.Inf(1)
	if len(compared) >= max(2, c.SuccessRateMinimumHosts) {
		if c.SuccessRateStdevFactor > 0 {
			least = lowest(compared, c.SuccessRateStdevFactor)
		}
		if c.LatencyFactor > 0 {
			slow = middle(compared) * c.LatencyFactor
		}
	}
	for _, r := range rows {
		failing := 100 * (1 - r.success)
		enough := r.requests >= uint64(max(c.SuccessRateRequestVolume, 0))
		switch {
		case g.rate > 0 && r.requests >= uint64(max(g.volume, 1)) && failing >= float64(g.rate):
			out = append(out, outlier{r.target, fmt.Sprintf("%.0f %% of %d requests have failed: circuit_breaker.failure_rate (%s)", failing, r.requests, g.rate)})
		case enough && r.success < least:
			out = append(out, outlier{r.target, fmt.Sprintf("%.1f %% of %d requests have succeeded, and the others' make %.1f %% the least: outlier_ejection.success_rate_stdev_factor", 100*r.success, r.requests, 100*least)})
		case enough && r.took > slow:
			out = append(out, outlier{r.target, fmt.Sprintf("it has answered after %.1f ms, more than %g times as late as the others: outlier_ejection.latency_factor", r.took/1e6, c.LatencyFactor)})
		}
	}
	return out
}

// lowest is the least rate of success that isn't that of an outlier.
func lowest(rows []row, factor float64) float64 {
	sum, squares := 0.0, 0.0
	for _, r := range rows {
		sum += r.success
	}
	mean := sum / float64(len(rows))
	for _, r := range rows {
		squares += (r.success - mean) * (r.success - mean)
	}
	return mean - factor*math.Sqrt(squares/float64(len(rows)))
}

// middle is the median of what the targets take.
func middle(rows []row) float64 {
	took := make([]float64, len(rows))
	for i, r := range rows {
		took[i] = r.took
	}
	slices.Sort(took)
	return took[(len(took)-1)/2]
}

// panics reports whether so few targets are healthy that all are to be used.
func (g *guard) panics(members []member) bool {
	if g == nil || g.panic == 0 {
		return false
	}
	all, well := 0, 0
	for _, m := range members {
		gate := m.target.gate.Load()
		if m.weight == 0 || gate&gateOperator != 0 {
			continue
		}
		all++
		if gate&gateEjected == 0 && m.target.health.up.Load() {
			well++
		}
	}
	return float64(well) < g.panic.Of(all)
}

// pickRoomy picks another target than one that has no room, or that one if it is a
// reserve and there is no other.
func (p *Pool) pickRoomy(s *state, key uint64, tried []balance.Target, first *Target) *Target {
	const most = 4
	scratch := refusals.Get().(*[MostAttempts + most]balance.Target) //nolint:forcetypeassert // the pool holds nothing else
	defer func() {
		clear(scratch[:])
		refusals.Put(scratch)
	}()
	list, kept := append(scratch[:0], tried...), (*Target)(nil)
	for t := first; ; {
		switch t.room() {
		case roomy:
			return t
		case reserve:
			kept = t
		}
		if len(list) == cap(list) {
			return kept
		}
		list = append(list, t)
		next, ok := s.picker.Pick(key, list).(*Target)
		if !ok {
			return kept
		}
		t = next
	}
}

var refusals = sync.Pool{New: func() any { return new([MostAttempts + 4]balance.Target) }}
