package proxy

import (
	"cmp"
	"crypto/rand"
	"sync"
	"time"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/clients"
	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener/acme"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener/certificates"
	"github.com/keystone-gateway/keystone-gateway/proxy/loads"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/terms"
	"github.com/keystone-gateway/keystone-gateway/proxy/tickets"
	"github.com/keystone-gateway/keystone-gateway/tenants"
	"github.com/keystone-gateway/keystone-gateway/tenants/route"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// snapshot is one immutable generation of everything that the configuration
// determines. A request loads it once and sees no other.
type snapshot struct {
	exchange.Generation // what requests see of it

	number  uint64
	made    time.Time
	asked   *Config // as the file has it
	config  *Config // in use: that, with what was kept of tenants that are broken there
	tenants []*tenant
	scripts map[string]*lua.Scripts // by tenant
	failed  map[string]*loads.Load  // by tenant: why its scripts could not be loaded, or what is still loading them
	wrong   error                   // why not all is as asked for: settings.Errors, or nil
	pools   *upstream.Generation

	tables       tables
	certificates *certificates.Set // when it was made: the store takes up files that change
	terms        *terms.Set        // of clients' TLS, by the names that they ask for
	tickets      tickets.Shared    // what keys of sessions are made of; nil: the process's own
	acme         *acme.Plan        // what is to be ordered; nil is nothing
}

// tenant is one tenant of a snapshot.
type tenant struct {
	exchange.Tenant
	problem   *Problem // nil: it is as the configuration asks for
	listeners []string // those that it is in the table of; none is all
}

// build compiles a checked configuration. It changes nothing that is in use. With
// patience, tenants whose scripts take longer are late: see loadScripts.
func (s *Server) build(c *Config, patience time.Duration) (snap *snapshot, late []*loads.Load, err error) {
	snap = &snapshot{
		made: time.Now(), asked: c, config: c,
		Generation: exchange.Generation{
			Bounds:    exchange.NewBounds(&c.RequestLimits, c.serverTimeouts(), &c.Compression),
			Identity:  message.NewNameSet(c.Server.IdentityFields),
			Forwarded: c.Server.Forwarded, Via: c.Server.Via, AddDate: c.Server.AddDate, HeaderTimeout: c.Server.Timeouts.Header,
			Logging: c.AccessLog.Enabled, Sample: c.AccessLog.Sample,
		},
	}
	if c.Admin.OnPublic {
		snap.Health = s.publicHealth(c)
	}
	if c.speaksTLS() {
		if snap.certificates, err = s.loadCertificates(c); err != nil {
			return nil, nil, err
		}
	}
	var roots []byte
	if c.orders() {
		if roots, err = c.authorityRoots(s.dir); err != nil {
			return nil, nil, err
		}
	}
	list := s.candidates(c)
	others, err := s.findTerms(snap, list)
	if err != nil {
		return nil, nil, err
	}
	if err = s.readTickets(snap); err != nil {
		return nil, nil, err
	}
	late = s.loadScripts(c, list, patience)
	if err = s.compose(snap, list); err != nil {
		snap = nil
	} else {
		snap.nameTerms(others)
		if c.orders() {
			snap.acme = acme.NewPlan(c.Certificates.ACME, s.dir, roots, snap.names(), s.shared.Vault("acme"))
		}
	}
	s.closeUnused(list, snap)
	return snap, late, err
}

func (s *Server) compileTenant(c *tenants.Config, generation *upstream.Generation) *tenant {
	t := &tenant{Tenant: exchange.Tenant{
		Name: c.Name, Config: c, Stats: s.statsOf(c.Name), PreserveHost: c.PreserveHost, Spelling: c.NormalizePath.Spelling(), Expects: c.Expect == tenants.ExpectForward, Total: c.Timeouts.Total.Std(),
		Logged: loggedTenant(c.Name, cmp.Or(c.PathPrefix, "/")), WithoutTLS: c.ClientTLS.AllowWithoutTLS, ScriptsTotal: c.Lua.TotalTimeout.Std(), GRPCWeb: c.GRPC.Web,
		Timeouts: timeoutsOf(&c.Timeouts, exchange.TotalKey),
	}}
	for _, p := range c.AllPools() { // of those that are refused there are none
		t.Pools = append(t.Pools, s.compilePool(&p, generation.Named(c.Name, p.Name)))
	}
	if t.NamesPools = len(c.Pools) > 0; c.HasDefaultPool() {
		first := t.Pools[0]
		t.Timeouts, t.Total = first.Timeouts, first.Timeouts.Total
		if t.Pool = first.Pool; first.Key != nil || first.Sticky != nil {
			t.Default = first
		}
	}
	if c.PathPrefix != "" {
		t.Prefix, _ = route.CanonicalPrefix(c.PathPrefix) // Check has refused what fails here
	}
	if c.StripPrefix {
		t.StripPrefix = t.Prefix
	}
	return t
}

func (s *Server) compilePool(c *tenants.Pool, built *upstream.Pool) *exchange.Pool {
	key := exchange.TotalKey
	if c.Name != upstream.DefaultPool {
		key = "pools." + c.Name + "." + key
	}
	sticky, err := c.NewSticky(s.stickySecret())
	if err != nil {
		panic("BUG: secrets that were checked can't sign: " + err.Error())
	}
	return &exchange.Pool{Pool: built, Timeouts: timeoutsOf(&c.Timeouts, key), Key: c.Balance.Key(), Sticky: sticky}
}

// stickySecret signs cookies of balance.sticky where no secret is set.
func (s *Server) stickySecret() []byte {
	s.sticky.once.Do(func() {
		s.sticky.secret = make([]byte, 32)
		_, _ = rand.Read(s.sticky.secret) // which never fails
	})
	return s.sticky.secret
}

// ownSecret is one of the process's own, made when it is needed.
type ownSecret struct {
	once   sync.Once
	secret []byte
}

// timeoutsOf are the time-outs of a section; total is the key of that setting.
func timeoutsOf(c *upstream.TimeoutsConfig, total string) upstream.Timeouts {
	return upstream.Timeouts{
		Connect: c.Connect.Std(), ResponseHeader: c.ResponseHeader.Std(), Idle: c.Idle.Std(), Total: c.Total.Std(), TotalKey: total,
	}
}

// limitsOf are what connections need before a request has a snapshot.
func limitsOf(c *Config) *clients.Limits {
	t := &c.Server.Timeouts
	return &clients.Limits{
		Header: int64(t.Header), Keepalive: int64(t.Keepalive), HalfClose: int64(t.HalfClose),
		Linger: int64(t.Linger), LingerIdle: int64(t.LingerIdle),
		MaxHeader: int(c.RequestLimits.MaxHeaderSize),
	}
}
