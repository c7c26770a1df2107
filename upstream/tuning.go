package upstream

import (
	"time"
)

type probeKind string

const (
	probeHTTP probeKind = "http"
	probeTCP  probeKind = "tcp"
	probeNone probeKind = "none"
)

// tuning is everything about a target that a reload may change while the target
// lives on. It is immutable; Target holds the current one.
type tuning struct {
	name           string
	kind           probeKind
	path           string // of the HTTP probe, with the base path
	request        string // its head
	weight         int
	expect         StatusSet
	interval       time.Duration
	timeout        time.Duration
	healthyAfter   int
	unhealthyAfter int
	connect        time.Duration
	maxConns       int
	maxInFlight    int64 // connections and those who wait for one
	pendingTimeout time.Duration
	idleTimeout    time.Duration
	tls            *targetTLS // nil without
}

// newTuning resolves the configuration of one target. Zero values take the
// documented defaults.
func newTuning(pool *PoolConfig, service *ServiceConfig, address Address) *tuning {
	health, conns := pool.Health, pool.Connections
	t := &tuning{
		name:           service.displayName(address),
		weight:         min(max(service.Weight, 0), maxWeight),
		kind:           probeNone,
		expect:         health.ExpectStatus,
		interval:       positive(health.Interval.Std(), defaultInterval),
		timeout:        positive(health.Timeout.Std(), defaultTimeout),
		healthyAfter:   positive(health.HealthyAfter, defaultHealthyAfter),
		unhealthyAfter: positive(health.UnhealthyAfter, defaultUnhealthy),
		connect:        positive(pool.Timeouts.Connect.Std(), DefaultTimeouts().Connect.Std()),
		maxConns:       positive(conns.MaxPerTarget, DefaultConnections().MaxPerTarget),
		pendingTimeout: positive(conns.PendingTimeout.Std(), DefaultConnections().PendingTimeout.Std()),
		idleTimeout:    positive(conns.IdleTimeout.Std(), DefaultConnections().IdleTimeout.Std()),
	}
	t.maxInFlight = int64(t.maxConns) + int64(max(conns.MaxPending, 0))
	if t.expect.IsZero() {
		t.expect = DefaultHealth().ExpectStatus
	}
	path := service.Health
	if path == "" {
		path = health.Path
	}
	switch {
	case path != "":
		t.kind, t.path = probeHTTP, address.BasePath+path
		t.request = probeRequest(t.path, &health, address)
	case health.Interval > 0:
		t.kind = probeTCP
	}
	return t
}

// sameClient reports whether both suit one HostClient, whose number of
// connections is the only thing that may change while it is used.
func (t *tuning) sameClient(other *tuning) bool {
	return t.pendingTimeout == other.pendingTimeout && t.idleTimeout == other.idleTimeout && t.tls.same(other.tls)
}

func positive[T ~int | ~int64](value, otherwise T) T {
	if value > 0 {
		return value
	}
	return otherwise
}

// jitter varies d by up to 10 % either way; random is in [0, 1).
func jitter(d time.Duration, random float64) time.Duration {
	return time.Duration(float64(d) * (0.9 + 0.2*random))
}

// newTimer returns a timer that is set with Reset.
func newTimer() *time.Timer {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	return timer
}
