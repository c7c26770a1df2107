package upstream

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/upstream/balance"
	"github.com/keystone-gateway/keystone-gateway/upstream/discovery"
)

// firstLookups bounds the time that Build waits for the names of new targets.
const firstLookups = 2 * time.Second

const defaultResolveEvery = 30 * time.Second

// Options is what a registry needs from outside. Zero values have defaults; the
// functions must be safe for concurrent use.
type Options struct {
	// Log receives health transitions and panics. Default: nothing is logged.
	Log zerolog.Logger
	// Lookup resolves a name to its IPv4 and IPv6 addresses. Default: the
	// system's resolver.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	// Dial connects to "ip:port" (network "tcp") or to a socket ("unix").
	// Default: a net.Dialer without keep-alive probes.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Rand returns a number in [0, 1), for jitter. Default: math/rand/v2.
	Rand func() float64
	// RootCAs verify the certificates of https targets. Default: the system's.
	RootCAs *x509.CertPool
	// ResolveEvery is the time between two lookups of a name, varied by 10 %.
	// Default: 30 s.
	ResolveEvery time.Duration
	// Sweeper enforces the expiries of connections; the caller runs it.
	// Default: one that nobody runs.
	Sweeper *socket.Sweeper
	// Places are what the connections of requests take. Default: no bound.
	Places *Places
	// MaxProbes bounds the probes that run at the same time, and apart from
	// them the probes of targets that could not be connected to. Default: 64.
	MaxProbes int
}

// DefaultPool is the name of the pool that a tenant's requests go to unless something
// else is said.
const DefaultPool = "default"

// PoolConfig is what one tenant wants of this package, for one of its pools.
type PoolConfig struct {
	Name        string // of the tenant
	Pool        string // its own name, unique in the tenant; "" is DefaultPool
	Services    []ServiceConfig
	Health      HealthConfig
	Timeouts    TimeoutsConfig
	Connections ConnectionsConfig
	GRPC        GRPCConfig
	Resilience  ResilienceConfig
	Balance     balance.Algorithm // zero: the default
	Zone        string            // targets of it come before others of their tier; "" is none
}

// Registry owns all targets, keyed by tenant and URL, and every goroutine of
// this package. A reload calls Build, then Activate or Discard.
type Registry struct {
	options    Options
	ctx        context.Context // ends with Close
	cancel     context.CancelFunc
	goroutines goroutines
	names      *discovery.Names
	prober     *prober

	mu      sync.Mutex
	targets map[string]*Target // guarded by mu
	active  *Generation        // guarded by mu
}

// NewRegistry returns an empty registry. Close must be called in the end.
func NewRegistry(options Options) *Registry {
	if options.Lookup == nil {
		options.Lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if options.Dial == nil {
		options.Dial = (&net.Dialer{KeepAlive: -1}).DialContext
	}
	if options.Rand == nil {
		options.Rand = rand.Float64
	}
	if options.Sweeper == nil {
		options.Sweeper = socket.NewSweeper()
	}
	options.ResolveEvery = positive(options.ResolveEvery, defaultResolveEvery)
	options.MaxProbes = positive(options.MaxProbes, maxProbes)
	r := &Registry{options: options, prober: newProber(options.MaxProbes), targets: map[string]*Target{}}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.goroutines.crashed = r.logPanic
	r.names = discovery.NewNames(discovery.Options{
		Context: r.ctx, Log: options.Log, Lookup: options.Lookup,
		Start: r.goroutines.start, Recover: r.recoverInto,
		Pace: func() time.Duration { return jitter(options.ResolveEvery, options.Rand()) },
	})
	return r
}

// Close stops all probes and lookups, waits for every goroutine and closes idle
// connections. Targets can still be used, but their health stays as it is.
func (r *Registry) Close() {
	r.cancel()
	r.goroutines.close()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range r.targets {
		t.closeIdle()
	}
}

// Build makes a generation of pools, with the targets that exist already where
// tenant and URL are the same. It changes nothing about the active generation
// and waits up to 2 seconds for the names of new targets; a target whose name
// can't be resolved starts unhealthy and is resolved again each second. Pass
// the generation to Activate or Discard. The error names the tenant and the
// service.
func (r *Registry) Build(list []PoolConfig) (*Generation, error) {
	g := &Generation{byName: make(map[poolName]*Pool, len(list)), tuned: map[*Target]*tuning{}}
	for i := range list {
		if err := r.addPool(g, &list[i]); err != nil {
			r.Discard(g)
			return nil, fmt.Errorf("cannot build the pool%s of tenant %q: %w", list[i].named(), list[i].Name, err)
		}
	}
	g.tuned = nil
	g.awaitNames(firstLookups)
	for _, p := range g.pools {
		p.rebuildPicker()
	}
	return g, nil
}

// Activate makes g the active generation, after the caller has swapped to it:
// its settings take effect and its probes start; then the previous generation
// is released, and the targets that only that one used retire.
func (r *Registry) Activate(g *Generation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if g == r.active || g.released {
		return
	}
	old := r.active
	r.active = g
	for _, m := range g.members() {
		m.target.activate(m.tuned)
	}
	if old != nil {
		r.releaseLocked(old)
	}
}

// Discard releases a generation that was built and not activated.
func (r *Registry) Discard(g *Generation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if g != r.active {
		r.releaseLocked(g)
	}
}

func (r *Registry) addPool(g *Generation, c *PoolConfig) error {
	name := poolName{c.Name, c.pool()}
	if g.byName[name] != nil {
		return errors.New("the name is taken, expected unique ones")
	}
	if len(c.Services) > math.MaxUint16 {
		return fmt.Errorf("%d services, expected at most %d", len(c.Services), math.MaxUint16)
	}
	p := &Pool{name: name, timeouts: c.Timeouts, retryOn: c.GRPC.retried(), algorithm: c.Balance}
	resilience := c.Resilience.resolved()
	p.retry, p.guard = resilience.Retry.rules(r.budgetOf(name)), resilience.guard(p)
	if p.algorithm.New == nil {
		p.algorithm = balance.Algorithms()[0]
	}
	members, err := r.acquireAll(g, c)
	for _, m := range members {
		p.introduces = p.introduces || m.tuned.introduces != 0
		if m.tuned.guard == nil { // of the first pool that has the target
			m.tuned.guard = p.guard
		}
	}
	p.state.Store(&state{members: members}) // Build's rebuildPicker makes the picker
	g.pools = append(g.pools, p)
	g.byName[name] = p
	if err != nil {
		return err
	}
	for _, m := range members { // from here on the pool is complete
		m.target.addPool(p)
	}
	return nil
}

// budgetOf is the budget of the pool of that name, which goes on across generations.
func (r *Registry) budgetOf(name poolName) *budget {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.active != nil {
		if p := r.active.byName[name]; p != nil && p.retry != nil {
			return p.retry.budget
		}
	}
	return new(budget)
}

// pool is the name of the pool within its tenant.
func (c *PoolConfig) pool() string { return cmp.Or(c.Pool, DefaultPool) }

// named says in messages which pool it is, where its tenant may have others.
func (c *PoolConfig) named() string {
	if c.pool() == DefaultPool {
		return ""
	}
	return fmt.Sprintf(" %q", c.Pool)
}

// acquireAll returns the targets of a pool; with an error too, those before it. A
// target that another pool of the generation has is as that one has it, but for its
// weight and tier.
func (r *Registry) acquireAll(g *Generation, c *PoolConfig) (members []member, err error) {
	seen, tiers := make(map[*Target]bool, len(c.Services)), c.tiers()
	for i := range c.Services {
		service := &c.Services[i]
		address, err := ParseAddress(service.URL)
		if err != nil {
			return members, fmt.Errorf("services[%d]: %w", i, err)
		}
		tuned := newTuning(c, service, address)
		if tuned.tls, err = newTargetTLS(&service.TLS, address, r.options.RootCAs); err != nil {
			return members, fmt.Errorf("services[%d].tls: %w", i, err)
		}
		t := r.acquire(c.Name, address, tuned)
		if first := g.tuned[t]; first != nil {
			tuned = first
		}
		g.tuned[t] = tuned
		if c.Balance.Times {
			t.latency.watched.Store(true)
		}
		members = append(members, member{target: t, tuned: tuned, weight: min(max(service.Weight, 0), maxWeight), tier: tiers[i]})
		if seen[t] {
			return members, fmt.Errorf("services[%d]: url %q appears twice, expected each target once", i, service.URL)
		}
		seen[t] = true
	}
	return members, nil
}

// source returns what says where a target is: here one chooses between sources.
func (r *Registry) source(a Address) discovery.Source {
	switch {
	case a.Network == "unix":
		return discovery.Static{} // its path is all there is to know
	case a.IP.IsValid():
		return discovery.Static{a.IP}
	}
	return r.names.Acquire(a.Host)
}

// acquire returns the target of that key, made if there is none. Released by
// releaseLocked.
func (r *Registry) acquire(tenant string, address Address, tuned *tuning) *Target {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := tenant + "\x00" + address.String()
	t := r.targets[key]
	if t == nil {
		t = newTarget(r, key, tenant, address, tuned)
		r.targets[key] = t
	} else if known := t.tuned.Load().tls; known.same(tuned.tls) {
		tuned.tls = known // with the sessions that it has
	}
	t.refs++
	return t
}

func (r *Registry) releaseLocked(g *Generation) {
	if g.released {
		return
	}
	g.released = true
	for p, m := range g.members() {
		m.target.removePool(p)
		if m.target.refs--; m.target.refs == 0 {
			delete(r.targets, m.target.key)
			m.target.retire()
		}
	}
}

// recoverInto is deferred around code that may panic and turns that into an
// error, logged with its stack.
func (r *Registry) recoverInto(err *error, what string) {
	if cause := recover(); cause != nil {
		r.logPanic(cause)
		*err = fmt.Errorf("%s panicked: %v", what, cause)
	}
}

func (r *Registry) logPanic(cause any) {
	r.options.Log.Error().Str("panic", fmt.Sprint(cause)).Bytes("stack", debug.Stack()).Msg("BUG: a probe, a lookup or the connecting to a target has panicked, the others go on")
}
