package upstream

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
)

const (
	firstBackoff = 100 * time.Millisecond
	// longestBackoff leaves time for the probe itself: a target that is back
	// gets requests within a second.
	longestBackoff = 800 * time.Millisecond
	// longestStart bounds the random delay before the first probe.
	longestStart = 2 * time.Second
)

// health is whether a target may get requests, and why.
type health struct {
	up    atomic.Bool   // read on the request path
	stale atomic.Bool   // up has changed and the pools don't know yet
	wake  chan struct{} // holds at most one; the prober then looks at the state again

	mu sync.Mutex // guards all below
	// unresolved: the name never had an address. Down, and nothing to probe.
	unresolved bool
	// reported: this first state of an unresolved target was logged.
	reported bool
	// reviving: down since a connect failed. Probed in quick succession, and
	// the first success ends it.
	reviving  bool
	backoff   time.Duration // until the next probe while reviving
	marks     uint64        // passive marks; a probe that began before one says nothing
	successes int           // in a row
	failures  int           // in a row
	lastCheck time.Time
	latency   time.Duration
	lastError string
	probing   bool   // the prober's goroutine runs
	interrupt func() // ends the probe that runs, if any; nil before the first
	pools     []*Pool
}

// Healthy reports whether the target may get requests: two atomic loads.
func (t *Target) Healthy() bool {
	if gate := t.gate.Load(); gate&(gateOperator|gateEjected|gatePanic) != 0 {
		return gate&gateOperator == 0 && gate&gatePanic != 0
	}
	return t.health.up.Load()
}

// Well reports whether it is as healthy as that, even where all targets are used since
// too few are.
func (t *Target) Well() bool {
	return t.health.up.Load() && t.gate.Load()&(gateOperator|gateEjected) == 0
}

// mark takes the target down at once, since it can't be connected to, and has it
// probed in quick succession until it is back.
func (t *Target) mark(err error) {
	h := &t.health
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failures++
	h.successes = 0
	h.lastError = cause.Text(err)
	if !h.up.Load() {
		return // a request that began earlier; the prober knows
	}
	h.marks++
	if h.interrupt != nil {
		h.interrupt()
	}
	h.revive()
	t.changeLocked(false)
	t.startProberLocked()
	h.wakeProber()
}

// record takes the result of a probe, unless a passive mark came meanwhile.
func (t *Target) record(r probeResult, err error) {
	h := &t.health
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.marks != h.marks || h.unresolved {
		return
	}
	h.lastCheck, h.latency = r.end, r.latency
	if err == nil {
		t.succeededLocked()
	} else {
		t.failedLocked(err)
	}
}

func (t *Target) succeededLocked() {
	h := &t.health
	h.failures, h.lastError = 0, ""
	h.successes++
	if !h.up.Load() && (h.reviving || h.successes >= t.tuned.Load().healthyAfter) {
		h.reviving = false
		t.changeLocked(true)
	}
}

func (t *Target) failedLocked(err error) {
	h := &t.health
	h.successes, h.lastError = 0, cause.Text(err)
	h.failures++
	up := h.up.Load()
	if up && h.failures < t.tuned.Load().unhealthyAfter {
		return
	}
	_, unreachable := errors.AsType[*ConnectError](err)
	switch {
	case h.reviving:
		h.backoff = min(2*h.backoff, longestBackoff)
	case unreachable:
		h.revive()
	}
	if up {
		t.changeLocked(false)
	}
}

// lookedUp takes the result of a lookup, until the name has an address.
func (t *Target) lookedUp(err error) {
	t.lookedUpLocked(err)
	t.publish() // a source isn't on the request path
}

func (t *Target) lookedUpLocked(err error) {
	h := &t.health
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.unresolved {
		return
	}
	if err != nil {
		h.lastError = cause.Text(err)
		if !h.reported {
			h.reported = true
			t.changeLocked(false)
		}
		return
	}
	h.unresolved, h.lastError = false, ""
	if h.reported {
		t.changeLocked(true)
	} else {
		h.up.Store(true) // a target starts healthy: nothing has changed
		h.stale.Store(true)
	}
	t.startProberLocked()
}

// retune follows a change of the probes' settings.
func (t *Target) retune(old, tuned *tuning) {
	h := &t.health
	h.mu.Lock()
	defer h.mu.Unlock()
	if tuned.kind == probeNone && !h.up.Load() && !h.unresolved && !h.reviving {
		h.revive() // nothing else would bring it back
	}
	t.startProberLocked()
	if tuned.kind != old.kind || tuned.interval != old.interval { // all else the next probe sees, when it is due
		h.wakeProber()
	}
}

// changeLocked makes the target healthy or unhealthy, counts and logs it. The
// pools follow with publish; until then pickers skip a target that is down.
func (t *Target) changeLocked(up bool) {
	h := &t.health
	h.up.Store(up)
	h.stale.Store(true)
	if up {
		t.rampLocked(t.tuned.Load().guard)
	}
	t.Transitions.Add(1)
	log := t.registry.options.Log
	event, words := log.Info(), "the target gets requests: it is healthy"
	if !up {
		event, words = log.Warn().Str("reason", h.lastError).Int("failures", h.failures), "the target gets no requests: it is unhealthy"
	}
	event.Str("tenant", t.tenant).Str("target", t.Name()).Str("status", status(up)).Msg(words)
}

// publish has the pools reckon with a change. Not for the request path.
func (t *Target) publish() {
	if !t.health.stale.Swap(false) {
		return
	}
	t.health.mu.Lock()
	pools := slices.Clone(t.health.pools)
	t.health.mu.Unlock()
	for _, p := range pools {
		p.rebuildPicker()
	}
}

func (t *Target) addPool(p *Pool) {
	t.health.mu.Lock()
	defer t.health.mu.Unlock()
	t.health.pools = append(t.health.pools, p)
}

func (t *Target) removePool(p *Pool) {
	t.health.mu.Lock()
	defer t.health.mu.Unlock()
	if i := slices.Index(t.health.pools, p); i >= 0 {
		t.health.pools = slices.Delete(t.health.pools, i, i+1)
	}
}

func (h *health) revive() { h.reviving, h.backoff = true, firstBackoff }

func (h *health) wakeProber() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// downReason words why a target of that weight gets no requests.
func (t *Target) downReason(weight int) string {
	h := &t.health
	h.mu.Lock()
	defer h.mu.Unlock()
	switch t.standing() {
	case "drained":
		return "is drained by an operator"
	case "held":
		return "is ejected by an operator"
	case "ejected", "trial":
		return "is ejected: " + t.learnt.why
	}
	switch {
	case h.up.Load() && weight == 0:
		return "has the weight 0"
	case h.up.Load():
		return "is healthy again"
	case h.lastError == "":
		return "is down"
	}
	text := h.lastError
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + "…"
	}
	return "is down: " + text
}

func (t *Target) describe(s *TargetState) {
	h := &t.health
	h.mu.Lock()
	defer h.mu.Unlock()
	s.Status = status(t.Well())
	s.Ejected = t.learnt.why
	if t.gate.Load()&gateEjected != 0 {
		s.EjectedUntil = t.learnt.until
	}
	s.LastCheck = h.lastCheck
	s.LatencyMS = float64(h.latency.Microseconds()) / 1000
	s.LastError = h.lastError
	s.ConsecutiveFailures = h.failures
}

func status(up bool) string {
	if up {
		return "healthy"
	}
	return "unhealthy"
}
