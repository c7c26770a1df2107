package upstream

import (
	"time"

	"github.com/keystone-gateway/keystone-gateway/upstream/balance"
)

// Pick picks a target for a first attempt, or one that isn't the tried one.
func (p *Pool) Pick(tried *Target) (*Target, error) {
	if tried == nil {
		return p.pick(0, nil)
	}
	return p.pick(0, []balance.Target{tried})
}

// PickOther picks for an attempt after others.
func (p *Pool) PickOther(tried []balance.Target) (*Target, error) { return p.pick(0, tried) }

// Marks is how many passive marks there have been.
func (t *Target) Marks() uint64 {
	t.health.mu.Lock()
	defer t.health.mu.Unlock()
	return t.health.marks
}

// Record records a probe that has succeeded and that began after so many marks.
func (t *Target) Record(marks uint64) {
	t.observe(outcome{kind: probed, probe: probeResult{end: time.Now(), marks: marks}})
}

// MarkConnectFailure tells of a connect that has failed.
func (t *Target) MarkConnectFailure(err error) { t.observe(outcome{kind: unreachable, err: err}) }

// Budget is a pool's budget of retries.
type Budget struct{ b budget }

// Request counts a request.
func (b *Budget) Request(now int64) { b.b.request(now) }

// Take takes a retry.
func (b *Budget) Take(now int64, share Percent, perSecond int) bool {
	return b.b.take(now, share, perSecond)
}

// Judge returns the indexes of those targets of an interval that are worse than they
// may be, by the defaults of outlier_ejection and this circuit_breaker.failure_rate.
func Judge(rate Percent, requests []uint64, success, took []float64) (worse []int) {
	g := guard{rate: rate, volume: 20}
	g.outlier.SetDefaults()
	rows := make([]row, len(requests))
	index := map[*Target]int{}
	for i := range rows {
		rows[i] = row{new(Target), requests[i], success[i], took[i]}
		index[rows[i].target] = i
	}
	for _, o := range g.judge(rows) {
		worse = append(worse, index[o.target])
	}
	return worse
}
