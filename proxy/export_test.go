package proxy

import (
	"slices"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/loads"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// SleepSoon has every idle connection sleep as soon as one of very many would.
func (s *Server) SleepSoon() { s.clients.Awake.Store(0) }

// Asleep returns the number of connections that sleep.
func (s *Server) Asleep() (n int) { return s.clients.Asleep() }

// Open returns the number of open connections from clients.
func (s *Server) Open() int {
	return int(s.connections())
}

// HintWords returns what is said instead of keys that aren't known.
func HintWords() (list []string) {
	for i := range hints {
		list = append(list, hints[i].words)
	}
	return list
}

// Spoil has the gateway itself fail at requests of a tenant from now on, at a
// certain stage. Nothing may have been asked of the tenant before.
func (s *Server) Spoil(name, stage string) {
	snap := s.current.Load()
	for _, t := range snap.tenants {
		if t.Name != name {
			continue
		}
		switch stage {
		case "route":
			t.Stats = nil // and so does the ending
		case "forward":
			t.Pool = new(upstream.Pool)
		case "respond":
			t.Bounds = exchange.NewBounds(&t.Config.RequestLimits, t.Config.ClientTimeouts, &tenants.CompressionConfig{
				Enabled: true, Level: 1000, Encodings: t.Config.Compression.Encodings, ContentTypes: t.Config.Compression.ContentTypes, MinSize: t.Config.Compression.MinSize,
			})
		}
	}
	s.current.Store(snap) // requests that come now see it as it has become
}

// Police gives a tenant other policies. Nothing may have been asked of it before.
func (s *Server) Police(name string, list ...policy.Policy) {
	snap := s.current.Load()
	for _, t := range snap.tenants {
		if t.Name != name {
			continue
		}
		var sections []policy.Named
		for i := range list {
			sections = append(sections, policy.Named{Name: "trying", Section: built{list[i]}})
		}
		t.Policies, _ = policy.Build(sections, policy.Deps{}, t.Stats.PolicyCounter)
	}
	s.current.Store(snap)
}

// built is the section of a policy that there is already.
type built struct{ policy policy.Policy }

func (b built) New(policy.Deps) (policy.Policy, error) { return b.policy, nil }
func (built) Check(settings.Reporter)                  {}
func (built) About() policy.About                      { return policy.About{} }

// InFlight returns the number of requests under way.
func (s *Server) InFlight() int64 { return s.plane.InFlight() }

// BeginLoad loads a tenant's scripts as a retry does. end puts what it has brought
// into use, as far as it is still wanted.
func (s *Server) BeginLoad(tenant string) (end func()) {
	s.reloadMu.Lock()
	defer s.reloadMu.Unlock()
	config := s.current.Load().asked
	list := s.candidates(config)
	s.scripts.cache.Begin(config.names())
	at := slices.IndexFunc(list, func(c candidate) bool { return c.asked.Name == tenant })
	begun := []*loads.Load{s.newLoad(config, list[at].asked, config.scriptsDir(s.dir))}
	s.beginLoads(begun)
	begun[0].Wait()
	return func() { s.useLaterLoads(config, begun) }
}

// Serve handles one request of a client that doesn't come over a connection.
func (s *Server) Serve(stream exchange.Stream) { s.plane.Serve(stream) }

// Handshakes returns how many are in flight at the n-th listener.
func (s *Server) Handshakes(n int) int { return s.Listeners()[n].Handshakes }

// HandshakeFailures returns how many have failed at the n-th listener, by their kind.
func (s *Server) HandshakeFailures(n int) map[string]uint64 {
	counts := map[string]uint64{}
	for kind, failed := range s.Listeners()[n].Failures {
		counts[cause.Handshakes[kind]] = failed
	}
	return counts
}

// File returns the path of the configuration file.
func (s *Server) File() string { return s.file }

// HeldByLoads is how many bytes are held by scripts that are not in use yet.
func (s *Server) HeldByLoads() int64 { return s.loads.Held() }

// Mirrors are the copies of requests that are under way.
func (s *Server) Mirrors() *exchange.Mirrors { return &s.plane.Mirrors }
