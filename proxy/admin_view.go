package proxy

import (
	"iter"
	"strings"
	"time"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/http2/streams"
	quicstreams "github.com/keystone-gateway/keystone-gateway/proxy/http3/streams"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// What the admin API sees of the data plane. None of it is on the request path.

// TenantView is a tenant of the current snapshot.
type TenantView struct {
	Name     string
	Routing  string // "host-based", "path-based" or "hybrid"
	Domains  []string
	Prefix   string
	Policies *policy.Chain  // nil without
	Scripts  []string       // as the configuration names them
	Lua      *lua.Scripts   // what is loaded; nil without
	Pool     *upstream.Pool // the default one; nil without
	Pools    []*exchange.Pool
	Named    bool // its section has pools
	Stats    *exchange.Stats
	Problem  *Problem // why it isn't served as the configuration asks for; nil: it is
}

// Refused reports whether all the tenant's requests are refused because it is
// broken.
func (t *TenantView) Refused() bool {
	return t.Problem != nil && (t.Problem.State == Misconfigured || t.Problem.State == Loading)
}

// Healthy reports whether the tenant can serve requests as far as its targets
// go: at least one of each pool is healthy, or it has none. Of several pools one is
// passed over all of whose targets have weight 0: that is meant.
func (t *TenantView) Healthy() bool {
	for _, p := range t.Pools {
		if p.Healthy() == 0 && (len(t.Pools) == 1 || !p.Drained()) {
			return false
		}
	}
	return true
}

// Targets are the targets of all pools, each once, with the first pool that has it.
func (t *TenantView) Targets() iter.Seq2[*upstream.Pool, *upstream.Target] {
	return func(yield func(*upstream.Pool, *upstream.Target) bool) {
		var seen map[*upstream.Target]bool
		if len(t.Pools) > 1 {
			seen = map[*upstream.Target]bool{}
		}
		for _, p := range t.Pools {
			for _, target := range p.Targets() {
				if seen[target] {
					continue
				}
				if seen != nil {
					seen[target] = true
				}
				if !yield(p.Pool, target) {
					return
				}
			}
		}
	}
}

// SnapshotView is the current snapshot.
type SnapshotView struct {
	Generation uint64
	Made       time.Time
	Config     *Config
	Tenants    []TenantView
}

// Snapshot returns the configuration in use and its tenants, in the order of
// the file.
func (s *Server) Snapshot() SnapshotView {
	snap := s.current.Load()
	view := SnapshotView{Generation: snap.number, Made: snap.made, Config: snap.config}
	for _, t := range snap.tenants {
		view.Tenants = append(view.Tenants, t.view())
	}
	return view
}

// Config returns the configuration in use. The caller must not change it.
func (s *Server) Config() *Config { return s.current.Load().config }

// Tenants returns the tenants of the snapshot that is current now, in the order
// of the file, without a copy of the list.
func (s *Server) Tenants() iter.Seq[TenantView] {
	list := s.current.Load().tenants
	return func(yield func(TenantView) bool) {
		for _, t := range list {
			if !yield(t.view()) {
				return
			}
		}
	}
}

// allPolicies are the tenant's, those of its routes, and those that its scripts ask for;
// nil is none.
func (t *tenant) allPolicies() *policy.Chain {
	scripted := t.Scripted.Chains()
	if t.Routes == nil && len(scripted) == 0 {
		return t.Policies
	}
	all := []*policy.Chain{t.Policies}
	if t.Routes != nil {
		for _, r := range t.Routes.Routes() {
			all = append(all, r.Policies)
		}
	}
	return policy.Joined(append(all, scripted...)...)
}

func (t *tenant) view() TenantView {
	return TenantView{
		Name: t.Name, Routing: t.Config.Routing(), Domains: t.Config.Domains, Prefix: t.Config.PathPrefix,
		Policies: t.allPolicies(), Scripts: t.Config.LuaRoutes, Lua: t.Scripts, Pool: t.Pool, Pools: t.Pools, Named: t.NamesPools, Stats: t.Stats, Problem: t.problemNow(),
	}
}

// problemNow is that with which the snapshot was made, or else that scripts which
// were accepted then can't be loaded any more.
func (t *tenant) problemNow() *Problem {
	if t.Scripts == nil || t.problem != nil {
		return t.problem
	}
	since, err := t.Scripts.LoadError()
	if err == nil {
		return nil
	}
	state := Unloadable
	if t.Scripts.VMs() == 0 {
		state = Misconfigured
	}
	return &Problem{Tenant: t.Name, State: state, Since: since, Errors: errorLines(err)}
}

// LastReload returns the outcome of the last reload, or of the start.
func (s *Server) LastReload() ReloadResult { return *s.lastLoad.Load() }

// Counters are figures of the whole server.
type Counters struct {
	InFlight, Tunnels, Connections      int64
	Accepted, Refused, Panics           uint64
	Handshakes                          uint64 // of TLS with clients, that failed
	NoHeaders                           uint64 // connections closed for want of a PROXY protocol header that is believed
	Reloads, ReloadsFailed, LogsDropped uint64
	ReloadsPartial                      uint64          // of Reloads: not every tenant was as asked for
	LogDropped                          uint64          // of the gateway's own log
	Unrouted                            *exchange.Stats // requests that reached no tenant
	HTTP2                               HTTP2Counters
	HTTP3                               HTTP2Counters // the same figures of HTTP/3
}

// HTTP2Counters are figures of clients that speak HTTP/2.
type HTTP2Counters struct {
	Connections             int64
	Streams, Refused, Given uint64            // opened; refused as too many at once; given up by clients
	Calmed                  map[string]uint64 // connections ended by what was done too often
}

func (s *Server) http2Counters() HTTP2Counters {
	c := &s.clients.Streams.Counters
	counters := HTTP2Counters{
		Connections: s.clients.Streams.Open(), Streams: c.Streams.Load(), Refused: c.Refused.Load(), Given: c.Given.Load(), Calmed: map[string]uint64{},
	}
	for kind := range streams.Kinds {
		counters.Calmed[kind.String()] = c.Calmed[kind].Load()
	}
	return counters
}

func (s *Server) http3Counters() HTTP2Counters {
	c := &s.clients.QUIC.Counters
	counters := HTTP2Counters{
		Connections: s.clients.QUIC.Open(), Streams: c.Streams.Load(), Refused: c.Refused.Load(), Given: c.Given.Load(), Calmed: map[string]uint64{},
	}
	for kind := range quicstreams.Kinds {
		counters.Calmed[kind.String()] = c.Calmed[kind].Load()
	}
	return counters
}

// Counters returns the figures of the whole server.
func (s *Server) Counters() Counters {
	open, accepted, refused := s.listeners.shared.Stats()
	return Counters{
		InFlight: s.plane.InFlight(), Tunnels: s.plane.Tunnels(), Connections: open,
		Accepted: accepted, Refused: refused, Panics: s.plane.Panics(), Handshakes: s.counters.handshakes.Load(),
		NoHeaders: s.counters.noHeaders.Load(),
		Reloads:   s.counters.reloads.Load(), ReloadsFailed: s.counters.failed.Load(), ReloadsPartial: s.counters.partial.Load(),
		LogsDropped: s.access.own.Dropped(), LogDropped: s.logWriter.Dropped(), Unrouted: &s.unrouted,
		HTTP2: s.http2Counters(), HTTP3: s.http3Counters(),
	}
}

// Compatible reports whether the file in use is one of the earlier Keystone
// Gateway.
func (s *Server) Compatible() bool { return s.current.Load().asked.Compatibility == Keystone1 }

// Draining reports whether the gateway is about to stop; it isn't if another process
// goes on in its place.
func (s *Server) Draining() bool {
	return s.leaving.Load() || s.draining.Load() && !s.handedOver()
}

// lately is how long ago what happens ten times a second has happened at most.
const lately = 5 * time.Second

// Alive reports whether the server does what nobody waits for, which takes the
// locks of all connections: time-outs are enforced.
func (s *Server) Alive() bool { return socket.Nanotime()-s.sweeper.Swept() < int64(lately) }

// HealthAnswer answers a health request on the public listener: path is below
// admin_base_path. ok is false where it is no health endpoint.
type HealthAnswer func(method, path string) (status int, body []byte, ok bool)

// SetHealthAnswer installs the answer for admin.on_public.
func (s *Server) SetHealthAnswer(f HealthAnswer) { s.health.Store(&f) }

// publicHealth answers health requests on the public listener, where the
// configuration wants that.
func (s *Server) publicHealth(c *Config) func(method, path []byte) (status int, body []byte, ok bool) {
	base, slashes := c.AdminBasePath, c.Compatibility == Keystone1 // strip_slashes was for all paths
	return func(method, path []byte) (status int, body []byte, ok bool) {
		answer := s.health.Load()
		if answer == nil || len(path) <= len(base) || string(path[:len(base)]) != base || path[len(base)] != '/' {
			return 0, nil, false
		}
		below := string(path[len(base):])
		if slashes {
			below = strings.TrimSuffix(below, "/")
		}
		return (*answer)(string(method), below)
	}
}
