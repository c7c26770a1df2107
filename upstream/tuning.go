package upstream

import (
	"time"
)

type probeKind string

const (
	probeHTTP probeKind = "http"
	probeTCP  probeKind = "tcp"
	probeGRPC probeKind = "grpc"
	probeNone probeKind = "none"
)

// tuning is everything about a target that a reload may change while the target
// lives on. It is immutable; Target holds the current one.
type tuning struct {
	name           string
	kind           probeKind
	path           string // of the HTTP probe, with the base path
	request        string // its head, over HTTP/1
	block, content []byte // the probe over HTTP/2
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
	maxStreams     int           // of a shared connection
	maxAge         time.Duration // of a shared connection; 0 is none
	idle           time.Duration // without a byte
	tls            *targetTLS    // nil without
	guard          *guard        // the pool's
	introduces     int           // the version of the PROXY protocol; 0 is none
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
		introduces:     proxyVersions[service.ProxyProtocol],
		idleTimeout:    positive(conns.IdleTimeout.Std(), DefaultConnections().IdleTimeout.Std()),
		maxStreams:     positive(conns.MaxStreams, DefaultConnections().MaxStreams),
		maxAge:         conns.MaxAge.Std(),
		idle:           positive(pool.Timeouts.Idle.Std(), DefaultTimeouts().Idle.Std()),
	}
	t.maxInFlight = int64(t.maxConns) + int64(max(conns.MaxPending, 0))
	if address.HTTP2() || address.Secure() && service.TLS.HTTP2 {
		t.maxInFlight += int64(t.maxConns) * int64(t.maxStreams-1)
	}
	if t.expect.IsZero() {
		t.expect = DefaultHealth().ExpectStatus
	}
	path := service.Health
	if path == "" {
		path = health.Path
	}
	switch {
	case address.GRPC() && (health.GRPC || health.Service != "" || path == "" && health.Interval > 0):
		t.kind, t.path, t.content = probeGRPC, healthPath, healthRequest(health.Service)
	case path != "":
		t.kind, t.path = probeHTTP, address.BasePath+path
		t.request = probeRequest(t.path, &health, address)
	case health.Interval > 0:
		t.kind = probeTCP
	}
	if t.path != "" {
		t.block = probeBlock(t.kind, t.path, &health, address, t.timeout)
	}
	return t
}

// sameClient reports whether both suit one HostClient, and shared connections,
// whose number is the only thing that may change while they are used.
func (t *tuning) sameClient(other *tuning) bool {
	return t.introduces == other.introduces && t.pendingTimeout == other.pendingTimeout && t.idleTimeout == other.idleTimeout && t.tls.same(other.tls) &&
		t.maxStreams == other.maxStreams && t.maxAge == other.maxAge && t.idle == other.idle
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
