package upstream

import (
	"context"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/keystone-gateway/keystone-gateway/upstream/discovery"
)

// Target is one upstream address of one tenant. It outlives reloads, and with
// it its connections, its health and its counters. All methods may be called concurrently.
type Target struct {
	// Requests counts those that Begin admitted.
	Requests atomic.Uint64
	// Failures counts the requests that got no complete response.
	Failures atomic.Uint64
	// Retries counts the requests that were sent here after another target
	// had failed them.
	Retries atomic.Uint64
	// Transitions counts the changes between healthy and unhealthy.
	Transitions atomic.Uint64
	// Ejections counts the times that requests were kept from it because of how it
	// had answered.
	Ejections atomic.Uint64
	// Classes counts its answers by the first digit of their status, whole or not.
	Classes [6]atomic.Uint64
	// Cuts counts the answers of Classes that were not whole; Overflows requests that
	// found no connection in time, which is no failure; Unreachable those that could not
	// connect.
	Cuts, Overflows, Unreachable atomic.Uint64
	// InFlight is the number of requests between Begin and End.
	InFlight atomic.Int64

	key      string
	tenant   string
	address  Address
	registry *Registry
	source   discovery.Source // of its addresses
	tuned    atomic.Pointer[tuning]
	client   atomic.Pointer[fasthttp.HostClient]
	shared   atomic.Pointer[shared] // nil: requests don't share connections
	chosen   atomic.Int64           // when the target has chosen HTTP/1 (Nanotime), though HTTP/2 was offered
	spare    atomic.Pointer[Conn]   // on which it has

	introduced introduced // instead of the client, where it is told who clients are

	lastGood atomic.Pointer[netip.Addr]
	retired  atomic.Bool
	answered atomic.Bool // a head has been read from it once

	ctx    context.Context // ends when the target retires
	cancel context.CancelFunc
	health health
	gate   atomic.Uint32 // what besides its health keeps requests from it; 0 is nothing
	learnt ejection

	latency latency

	refs int // generations that use the target; guarded by the registry's lock
}

// TargetState is a target as the admin API shows it.
type TargetState struct {
	Name                string    `json:"name"`
	URL                 string    `json:"url"`
	Status              string    `json:"status"`               // "healthy" or "unhealthy"
	Weight              int       `json:"weight"`               // its share; 0: it gets no new requests
	TLS                 string    `json:"tls"`                  // "none", "verified" or "unverified"
	Probe               string    `json:"probe"`                // "http", "grpc", "tcp" or "none"
	LastCheck           time.Time `json:"last_check,omitzero"`  // end of the last probe; absent before it
	LatencyMS           float64   `json:"latency_ms"`           // of the last probe
	LastError           string    `json:"last_error,omitempty"` // empty after a successful probe
	InFlight            int64     `json:"in_flight"`
	Requests            uint64    `json:"requests"`
	Failures            uint64    `json:"failures"`
	Retries             uint64    `json:"retries"`
	Transitions         uint64    `json:"transitions"`          // changes of status
	ConsecutiveFailures int       `json:"consecutive_failures"` // failed probes and connects in a row
	Ejections           uint64    `json:"ejections"`
	Standing            string    `json:"standing"`               // "", "ejected", "trial", "slow_start", "drained" or "held"
	Ejected             string    `json:"ejected,omitempty"`      // why it is, or was last
	EjectedUntil        time.Time `json:"ejected_until,omitzero"` // of one that is
}

// newTarget is called with the registry's lock held. Health starts optimistic,
// except where a name has no address yet.
func newTarget(r *Registry, key, tenant string, address Address, tuned *tuning) *Target {
	t := &Target{key: key, tenant: tenant, address: address, registry: r}
	t.ctx, t.cancel = context.WithCancel(r.ctx)
	t.health.wake = make(chan struct{}, 1)
	t.tuned.Store(tuned)
	t.client.Store(t.newClient(tuned))
	t.shared.Store(t.newShared(tuned))
	if t.source = r.source(address); t.source.Addresses() != nil {
		t.health.up.Store(true)
		return t
	}
	t.health.unresolved = true
	t.source.Subscribe(func(err error) { t.observe(outcome{kind: resolved, err: err}) })
	return t
}

// newClient returns the pool of the target's connections. TLS is done by dial,
// so that it stays within the connect timeout: IsTLS is off, and requests go
// through it as http whatever the scheme of the target.
func (t *Target) newClient(tuned *tuning) *fasthttp.HostClient {
	addr := "unix" // dial ignores it, but HostClient would split it at commas
	if t.address.Network == "tcp" {
		addr = t.address.HostPort()
	}
	return &fasthttp.HostClient{
		Addr:                          addr,
		DialTimeout:                   t.dial,
		MaxConns:                      tuned.maxConns,
		MaxConnWaitTimeout:            tuned.pendingTimeout,
		MaxIdleConnDuration:           tuned.idleTimeout,
		MaxIdemponentCallAttempts:     1,
		ConnPoolStrategy:              fasthttp.LIFO,
		NoDefaultUserAgentHeader:      true,
		DisableHeaderNamesNormalizing: true,
		DisablePathNormalizing:        true,
		SecureErrorLogMessage:         true,
	}
}

// newShared returns what has the connections that requests share, or nil.
func (t *Target) newShared(tuned *tuning) *shared {
	if tuned.introduces != 0 {
		return nil // which would be one client's for all
	}
	if t.address.HTTP2() || tuned.tls != nil && tuned.tls.shared {
		return &shared{target: t}
	}
	return nil
}

// closeIdle closes connections that nobody uses; shared ones when nobody does
// any more.
func (t *Target) closeIdle() {
	t.Client().CloseIdleConnections()
	t.introduced.closeIdle(false)
	if p := t.shared.Load(); p != nil {
		p.drain()
	}
	if spare := t.spare.Swap(nil); spare != nil {
		_ = spare.Close()
	}
}

// Name returns the target's name, which is unique in its tenant.
func (t *Target) Name() string { return t.tuned.Load().name }

// Active returns the number of requests between Begin and End.
func (t *Target) Active() int64 { return t.InFlight.Load() }

// Tenant returns the name of the tenant that the target belongs to.
func (t *Target) Tenant() string { return t.tenant }

// Address returns the parsed URL.
func (t *Target) Address() Address { return t.address }

// Client returns the target's connections. A reload that changes their
// time-outs replaces it, so load it once per request.
func (t *Target) Client() *fasthttp.HostClient { return t.client.Load() }

// Begin admits a request: false when as many wait for a connection as may. An
// admitted request must call End once, after it has given its connection back.
func (t *Target) Begin() bool {
	if t.InFlight.Add(1) > t.tuned.Load().maxInFlight {
		t.InFlight.Add(-1)
		return false
	}
	t.Requests.Add(1)
	return true
}

// End ends what Begin began.
func (t *Target) End() {
	if t.InFlight.Add(-1) == 0 && t.retired.Load() {
		t.closeIdle()
	}
}

// State returns a snapshot for the admin API.
func (t *Target) State() TargetState {
	tuned := t.tuned.Load()
	s := TargetState{
		Name:        tuned.name,
		URL:         t.address.String(),
		Probe:       string(tuned.kind),
		Weight:      tuned.weight,
		TLS:         tuned.tls.state(),
		InFlight:    t.InFlight.Load(),
		Requests:    t.Requests.Load(),
		Failures:    t.Failures.Load(),
		Retries:     t.Retries.Load(),
		Transitions: t.Transitions.Load(),
		Ejections:   t.Ejections.Load(),
		Standing:    t.standing(),
	}
	t.describe(&s)
	return s
}

// activate lets the settings of a new generation take effect. State, counters and
// connections stay.
func (t *Target) activate(tuned *tuning) {
	old := t.tuned.Swap(tuned)
	t.tunedGate(tuned.guard)
	switch {
	case !tuned.sameClient(old):
		// Connections in use return to the old client, which closes them when
		// they have been idle for long enough.
		t.client.Swap(t.newClient(tuned)).CloseIdleConnections()
		if old := t.shared.Swap(t.newShared(tuned)); old != nil {
			old.drain()
		}
		t.chosen.Store(0)
		t.introduced.closeIdle(true)
	case tuned.maxConns != old.maxConns:
		t.Client().SetMaxConns(tuned.maxConns)
	}
	t.retune(old, tuned)
}

// retire is called when no generation uses the target any more. Requests that
// still hold it may go on; End closes the connections of the last of them.
func (t *Target) retire() {
	t.cancel()
	t.retired.Store(true)
	t.stopEjection()
	t.source.Close()
	t.closeIdle()
}
