package upstream

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// What keeps requests from a target, or bounds them, besides its health: bits of
// Target.gate.
const (
	gateEjected uint32 = 1 << iota // by what requests have taught of it
	gateTrial                      // so many requests are let through to see how it is
	gateRamp                       // it has come back, and gets a share that grows
	gatePanic                      // so few are healthy that all are used
	gateDrained                    // an operator wants no new requests there
	gateHeld                       // an operator has ejected it
)

// gateOperator are those that hold until the next generation.
const gateOperator = gateDrained | gateHeld

// ejection is what requests have taught of a target: in a row, and since the pool has
// last compared its targets.
type ejection struct {
	serverErrors  atomic.Int32 // answers from 500 on
	gatewayErrors atomic.Int32 // 502, 503, 504
	localErrors   atomic.Int32 // no connection, no response in time, or none that is whole
	trials        atomic.Int32 // that may still be sent
	rampFrom      atomic.Int64 // Nanotime

	requests, bad atomic.Uint64 // in this interval
	took          atomic.Int64  // until the heads of its answers, together

	// Guarded by the health's lock.
	times  int    // ejections, less one for each good interval since
	why    string // of the last one
	until  time.Time
	passed int // trials that were good
	timer  *time.Timer
}

// responded takes an answer's status, and how long it has taken.
func (t *Target) responded(status int, took int64) {
	t.Classes[min(max(status/100, 0), len(t.Classes)-1)].Add(1)
	g := t.tuned.Load().guard
	if g == nil {
		return
	}
	l := &t.learnt
	l.requests.Add(1)
	l.took.Add(took)
	if status < 500 {
		if l.serverErrors.Load() != 0 {
			l.serverErrors.Store(0)
			l.gatewayErrors.Store(0)
		}
		if t.gate.Load()&gateTrial != 0 {
			t.trialPassed(g)
		}
		g.compare()
		return
	}
	l.bad.Add(1)
	gateway := status >= 502 && status <= 504
	if !gateway {
		l.gatewayErrors.Store(0)
	}
	c := &g.outlier
	switch n := int(l.serverErrors.Add(1)); {
	case t.gate.Load()&gateTrial != 0:
		t.eject(g, fmt.Sprintf("a trial was answered with %d", status))
	case c.Consecutive5xx > 0 && n >= c.Consecutive5xx:
		t.eject(g, fmt.Sprintf("%d answers in a row were 5xx: outlier_ejection.consecutive_5xx", n))
	case gateway && int(l.gatewayErrors.Add(1)) >= c.ConsecutiveGatewayErrors && c.ConsecutiveGatewayErrors > 0:
		t.eject(g, fmt.Sprintf("%d answers in a row were 502, 503 or 504: outlier_ejection.consecutive_gateway_errors", l.gatewayErrors.Load()))
	}
	g.compare()
}

// failedLocally takes a request that has had no answer, or none that was whole.
func (t *Target) failedLocally() {
	g := t.tuned.Load().guard
	if g == nil {
		return
	}
	l, c := &t.learnt, &g.outlier
	l.requests.Add(1)
	l.bad.Add(1)
	switch n := int(l.localErrors.Add(1)); {
	case t.gate.Load()&gateTrial != 0:
		t.eject(g, "a trial has failed")
	case c.ConsecutiveLocalErrors > 0 && n >= c.ConsecutiveLocalErrors:
		t.eject(g, fmt.Sprintf("%d requests in a row have failed: outlier_ejection.consecutive_local_errors", n))
	}
	g.compare()
}

// completed takes an answer that was whole.
func (t *Target) completed() {
	if l := &t.learnt; l.localErrors.Load() != 0 {
		l.localErrors.Store(0)
	}
}

// eject keeps requests from the target for a while, unless as many are ejected as may
// be.
func (t *Target) eject(g *guard, why string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t.gate.Load()&gateEjected != 0 || t.ctx.Err() != nil || !g.mayEject(t) {
		return
	}
	h, l := &t.health, &t.learnt
	h.mu.Lock()
	defer h.mu.Unlock()
	l.times++
	wait := min(g.outlier.BaseEjectionTime.Std()*time.Duration(l.times), g.outlier.MaxEjectionTime.Std())
	l.why, l.until = why, time.Now().Add(wait)
	l.forget()
	t.gate.And(^(gateTrial | gateRamp))
	t.gate.Or(gateEjected)
	t.Ejections.Add(1)
	l.after(wait, t.readmit)
	t.registry.options.Log.Warn().Str("tenant", t.tenant).Str("target", t.Name()).Str("reason", why).Dur("for", wait).Msg("the target gets no requests: it is ejected")
	h.stale.Store(true)
	t.registry.goroutines.start(t.publish) // not for a request to wait for
}

// after has f called once, later, in the place of what was to be.
func (l *ejection) after(wait time.Duration, f func()) {
	if l.timer != nil {
		l.timer.Stop()
	}
	l.timer = time.AfterFunc(wait, f)
}

func (l *ejection) forget() {
	l.serverErrors.Store(0)
	l.gatewayErrors.Store(0)
	l.localErrors.Store(0)
}

// readmit ends an ejection: with trials where the pool has a circuit breaker. Trials
// that nothing has come of are renewed.
func (t *Target) readmit() {
	h, l := &t.health, &t.learnt
	h.mu.Lock()
	g := t.tuned.Load().guard
	if t.ctx.Err() != nil || g == nil || t.gate.Load()&(gateEjected|gateTrial) == 0 {
		h.mu.Unlock()
		return
	}
	if g.trials == 0 {
		t.gate.And(^gateEjected)
		t.rampLocked(g)
		t.logReturn()
	} else {
		l.passed = 0
		l.trials.Store(int32(g.trials)) //nolint:gosec // G115: at most 100
		t.gate.Or(gateTrial)
		t.gate.And(^gateEjected)
		l.after(g.outlier.BaseEjectionTime.Std(), t.readmit)
	}
	h.stale.Store(true)
	h.mu.Unlock()
	t.publish()
}

// trialPassed takes an answer to a trial, or of a request that was still under way.
func (t *Target) trialPassed(g *guard) {
	h, l := &t.health, &t.learnt
	h.mu.Lock()
	defer h.mu.Unlock()
	if l.passed++; t.gate.Load()&gateTrial == 0 || l.passed < g.trials {
		return
	}
	l.timer.Stop()
	if n := g.outlier.ConsecutiveLocalErrors; n > 0 {
		l.localErrors.Store(int32(n - 1)) //nolint:gosec // G115: at most 1000. Until an answer was whole
	}
	t.rampLocked(g)
	t.gate.And(^gateTrial)
	t.logReturn()
}

func (t *Target) logReturn() {
	t.registry.options.Log.Info().Str("tenant", t.tenant).Str("target", t.Name()).Msg("the target gets requests: it is ejected no longer")
}

// rampLocked begins a slow start, if there is to be one.
func (t *Target) rampLocked(g *guard) {
	if g != nil && g.slowStart > 0 {
		t.learnt.rampFrom.Store(socket.Nanotime())
		t.gate.Or(gateRamp)
	}
}

// room is how a target takes one more request.
type room uint8

const (
	roomy   room = iota
	reserve      // if nobody else does
	full
)

// room says whether a target that was picked takes the request; of a trial that is
// taken by asking.
func (t *Target) room() room {
	gate := t.gate.Load()
	g := t.tuned.Load().guard
	switch {
	case gate&(gateTrial|gateRamp) == 0 || gate&gatePanic != 0 || g == nil:
		return roomy
	case gate&gateTrial != 0:
		if t.learnt.trials.Load() > 0 && t.learnt.trials.Add(-1) >= 0 {
			return roomy
		}
		return full
	}
	share := float64(socket.Nanotime()-t.learnt.rampFrom.Load()) / float64(max(g.slowStart, 1))
	if share >= 1 {
		t.gate.And(^gateRamp)
		return roomy
	}
	if rand.Float64() < max(share, leastShare) { //nolint:gosec // G404: a share is no secret
		return roomy
	}
	return reserve
}

// leastShare is what a target that has come back gets at first of its share.
const leastShare = 0.1

// Drain has the target get no new requests until the next generation, but those that
// scripts send to it; Undrain ends that, and every ejection; Eject has it get none.
func (t *Target) Drain() { t.operate(gateDrained) }

// Eject is documented with Drain.
func (t *Target) Eject() { t.operate(gateHeld) }

// Undrain is documented with Drain.
func (t *Target) Undrain() { t.operate(0) }

func (t *Target) operate(what uint32) {
	h, l := &t.health, &t.learnt
	h.mu.Lock()
	t.gate.And(^gateOperator)
	t.gate.Or(what)
	if what == 0 && t.gate.Load()&(gateEjected|gateTrial) != 0 {
		l.timer.Stop()
		l.forget()
		t.gate.And(^(gateEjected | gateTrial))
		t.rampLocked(t.tuned.Load().guard)
	}
	h.stale.Store(true)
	h.mu.Unlock()
	t.publish()
}

// tunedGate is what a new generation leaves of the gate.
func (t *Target) tunedGate(g *guard) {
	h := &t.health
	h.mu.Lock()
	old := t.gate.And(^gateOperator)
	if g == nil && old != 0 {
		if t.learnt.timer != nil {
			t.learnt.timer.Stop()
		}
		t.learnt.forget()
		t.gate.Store(0)
	}
	if old != 0 {
		h.stale.Store(true)
	}
	h.mu.Unlock()
	t.publish()
}

// standing says in which of these states a target is: "" where it gets requests as
// its health has it, "ejected", "trial", "slow_start", and, by an operator, "drained"
// and "held".
func (t *Target) standing() string {
	switch gate := t.gate.Load(); {
	case gate&gateHeld != 0:
		return "held"
	case gate&gateDrained != 0:
		return "drained"
	case gate&gateEjected != 0:
		return "ejected"
	case gate&gateTrial != 0:
		return "trial"
	case gate&gateRamp != 0:
		return "slow_start"
	}
	return ""
}

// stopEjection is for a target that nobody uses any more.
func (t *Target) stopEjection() {
	t.health.mu.Lock()
	defer t.health.mu.Unlock()
	if t.learnt.timer != nil {
		t.learnt.timer.Stop()
	}
}
