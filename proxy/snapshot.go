package proxy

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/files"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
	"github.com/keystone-gateway/keystone-gateway/tenants"
	"github.com/keystone-gateway/keystone-gateway/tenants/network"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
	"github.com/keystone-gateway/keystone-gateway/tenants/route"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// snapshot is one immutable generation of everything that the configuration
// determines. A request loads it once and sees no other.
type snapshot struct {
	number  uint64
	made    time.Time
	asked   *Config // as the file has it
	config  *Config // in use: that, with what was kept of tenants that are broken there
	table   *route.Table[*tenant]
	tenants []*tenant
	scripts map[string]*lua.Scripts // by tenant
	failed  map[string]*scriptsLoad // by tenant: why its scripts could not be loaded, or what is still loading them
	wrong   error                   // why not all is as asked for: settings.Errors, or nil
	pools   *upstream.Generation

	bounds       bounds // until a tenant is known
	trusted      network.Set
	trustUnix    bool
	identity     fieldSet
	forwarded    bool
	via          string
	addDate      bool
	logging      bool
	sample       float64
	certificate  *tls.Certificate
	introduction *listener.Introduction // by the PROXY protocol; nil is none
	healthPath   string                 // under which public health is served; "" is not
}

// tenant is one tenant, compiled.
type tenant struct {
	name         string
	route        string // its match, for the log
	config       *tenants.Config
	pool         *upstream.Pool // nil without services
	stats        *Stats
	timeouts     upstream.Timeouts
	total        time.Duration
	stripPrefix  string // canonical; "" strips nothing
	preserveHost bool
	expects      bool // Expect is the target's to answer
	spelling     route.Spelling
	prefix       string        // of path_prefix, in its comparison form
	policies     *policy.Chain // nil without
	scripts      *lua.Scripts  // nil without
	scriptsTotal time.Duration
	bounds       bounds
	refuse       *Fault   // what all its requests are answered with; nil: they are served
	problem      *Problem // nil: it is as the configuration asks for
}

// limits are what a client connection needs before a request has a snapshot;
// durations are in nanoseconds.
type limits struct {
	header, keepalive, halfClose int64
	linger, lingerIdle           int64
	maxHeader                    int
}

// build compiles a checked configuration. It changes nothing that is in use. With
// patience, tenants whose scripts take longer are late: see loadScripts.
func (s *Server) build(c *Config, patience time.Duration) (snap *snapshot, late []*scriptsLoad, err error) {
	snap = &snapshot{
		made: time.Now(), asked: c, config: c,
		bounds:    boundsOf(c),
		identity:  newFieldSet(c.Server.IdentityFields),
		forwarded: c.Server.Forwarded, via: c.Server.Via, addDate: c.Server.AddDate,
		logging: c.AccessLog.Enabled, sample: c.AccessLog.Sample,
	}
	snap.trusted, snap.trustUnix = network.ParseSet(c.Server.TrustedProxies)
	snap.introduction = c.Server.ProxyProtocol.Introduction()
	if c.Admin.OnPublic {
		snap.healthPath = c.AdminBasePath
	}
	if c.TLS.Enabled {
		certificate, err := loadCertificate(s.dir, &c.TLS)
		if err != nil {
			return nil, nil, err
		}
		snap.certificate = certificate
	}
	list := s.candidates(c)
	late = s.loadScripts(c, list, patience)
	err = s.compose(snap, list)
	if err != nil {
		snap = nil
	}
	s.closeUnused(list, snap)
	return snap, late, err
}

func (s *Server) compileTenant(c *tenants.Config, generation *upstream.Generation) *tenant {
	t := &tenant{
		name: c.Name, config: c, stats: s.statsOf(c.Name), preserveHost: c.PreserveHost, spelling: c.NormalizePath.Spelling(), expects: c.Expect == tenants.ExpectForward, total: c.Timeouts.Total.Std(),
		route: c.PathPrefix, scriptsTotal: c.Lua.TotalTimeout.Std(),
		timeouts: upstream.Timeouts{
			Connect: c.Timeouts.Connect.Std(), ResponseHeader: c.Timeouts.ResponseHeader.Std(), Idle: c.Timeouts.Idle.Std(),
			Total: c.Timeouts.Total.Std(), TotalKey: totalKey,
		},
	}
	if t.route == "" {
		t.route = "/"
	}
	if len(c.Services) > 0 { // of those that are refused there are none
		t.pool = generation.Pool(c.Name)
	}
	if c.PathPrefix != "" {
		t.prefix, _ = route.CanonicalPrefix(c.PathPrefix) // Check has refused what fails here
	}
	if c.StripPrefix {
		t.stripPrefix = t.prefix
	}
	return t
}

// trusts reports whether the forwarded fields of a peer are believed; the
// zero Addr is a peer on a Unix socket.
func (s *snapshot) trusts(peer netip.Addr) bool {
	if !peer.IsValid() {
		return s.trustUnix
	}
	return s.trusted.Contains(peer)
}

func newLimits(c *Config) *limits {
	t := &c.Server.Timeouts
	return &limits{
		header: int64(t.Header), keepalive: int64(t.Keepalive), halfClose: int64(t.HalfClose),
		linger: int64(t.Linger), lingerIdle: int64(t.LingerIdle),
		maxHeader: int(c.RequestLimits.MaxHeaderSize),
	}
}

// maxPEM bounds a file with a certificate or a key, in bytes.
const maxPEM = 1 << 20

func loadCertificate(dir string, c *TLSConfig) (*tls.Certificate, error) {
	chain, err := files.Read(filepath.Clean(inDir(dir, c.CertFile)), maxPEM)
	if err == nil {
		var key []byte
		if key, err = files.Read(filepath.Clean(inDir(dir, c.KeyFile)), maxPEM); err == nil {
			var certificate tls.Certificate
			if certificate, err = tls.X509KeyPair(chain, key); err == nil {
				return &certificate, nil
			}
		}
	}
	return nil, fmt.Errorf("cannot load cert_file %q with key_file %q: %w", c.CertFile, c.KeyFile, err)
}
