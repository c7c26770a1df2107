package proxy

import (
	"crypto/sha256"
	_ "embed" // the comments below are the users' documentation
	"slices"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener/acme"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener/certificates"
	"github.com/keystone-gateway/keystone-gateway/proxy/logs"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants"
	"github.com/keystone-gateway/keystone-gateway/tenants/store/redis"
)

//go:embed config.go
var configSource string

// Config is the whole configuration file.
type Config struct {
	// Whose file this is: "keystone-1" is one of the earlier Keystone Gateway.
	// Where such a file says nothing else, responses are compressed, health is
	// served on the public listener, which is ":8080", tenants have strip_slashes,
	// and there may be none. "keystone-gateway migrate OLD > NEW" writes it; docs/migration.md has
	// the details. Default: none, the file is of this version.
	Compatibility string `yaml:"compatibility" enum:"keystone-1"`

	// With compatibility: keystone-1, the health_interval of tenants that have
	// none. Default: not set.
	DefaultHealthInterval settings.Duration `yaml:"default_health_interval"`

	// Path under which the admin API answers. Default: "/admin".
	AdminBasePath string `yaml:"admin_base_path" restart:"true"`

	// The listener, unless there are listeners, and what is the same for all of them.
	Server ServerConfig `yaml:"server"`

	// Where clients are listened for, in several places. server.address, server.port
	// and tls.enabled are the short form of one listener, and not to be set beside it.
	// Default: none, but that one.
	Listeners []listener.Config `yaml:"listeners"`

	// The admin listener.
	Admin AdminConfig `yaml:"admin"`

	// The certificate and the sessions of all listeners with TLS, and whether the one of
	// server.address speaks it.
	TLS TLSConfig `yaml:"tls"`

	// Certificates of all listeners with TLS, besides that of tls.
	Certificates CertificatesConfig `yaml:"certificates"`

	// What is asked of clients' TLS, of those of every tenant that says nothing else.
	ClientTLS tenants.ClientTLSConfig `yaml:"client_tls"`

	// Bounds of what a client may send.
	RequestLimits tenants.RequestLimitsConfig `yaml:"request_limits"`

	// Compression of responses.
	Compression tenants.CompressionConfig `yaml:"compression"`

	// Where several gateways count and remember together.
	Store StoreConfig `yaml:"store"`

	// Lua scripts.
	LuaRouting LuaRoutingConfig `yaml:"lua_routing"`

	// Development with Lua scripts. What each tenant's scripts may use stands in
	// its own section lua.
	Lua LuaConfig `yaml:"lua"`

	// One line for each request.
	AccessLog AccessLogConfig `yaml:"access_log"`

	// The gateway's own log, on standard error.
	Log logs.Config `yaml:"log"`

	// The applications behind the gateway; at least one.
	Tenants []tenants.Config `yaml:"tenants" required:"true"`

	// Secrets are the keys outside tenants whose values have come from files.
	Secrets settings.Secrets `yaml:"-"`

	file   string                  // as given to Parse
	inputs *inputs                 // the files that it is made of besides
	sum    [sha256.Size]byte       // of its text
	places map[*string]place       // of the scripts' names and of the tenants' matches
	faults map[int]settings.Errors // what is wrong with single tenants, by index
	// redactor is for what is found wrong once the file has been read.
	redactor settings.Redactor
	// unmatched are those of them whose domains can't be read: their prefix alone
	// would be everybody's.
	unmatched map[int]bool
	// pending is what the file asks for and only the next start brings, once
	// settings.KeepUntilRestart has put back what is in use.
	pending  []string
	warnings []string // warnings with a place
	// unasked are those about certificates on demand, by tenant, that are true unless
	// its scripts say which names may have one; "" is unless those of any tenant do.
	unasked map[string][]string
	loaded  *loadedCertificates
	// listeners are those of the section, or the one of the short form, with what
	// they inherit.
	listeners []listener.Config
	besides   *Besides // who else has one; nil is nobody
}

// ServerConfig is the section server.
type ServerConfig struct {
	// Where to listen: "host:port", "[IPv6]:port", ":port" for all
	// addresses, or "unix:/path/to.sock", whose mode the process's umask
	// decides. listeners is for several of them. Default: "127.0.0.1:8080".
	Address string `yaml:"address"`

	// Port to listen on, on all addresses: the earlier form of address, which
	// is ":port". Set one of the two. Default: none.
	Port string `yaml:"port"`

	// How long clients may take.
	Timeouts ServerTimeoutsConfig `yaml:"timeouts"`

	// Networks, such as "10.0.0.0/8" or "192.0.2.7", whose X-Forwarded-*,
	// Forwarded and X-Request-Id fields are believed and extended; "unix"
	// stands for clients on a Unix socket. From anyone else these fields are
	// replaced. Default: none.
	TrustedProxies []string `yaml:"trusted_proxies"`

	// Load balancers in front that say by a header of the PROXY protocol who their
	// client is. Default: none.
	ProxyProtocol listener.ProxyProtocolConfig `yaml:"proxy_protocol"`

	// Fields that are removed from requests unless they come from a trusted
	// proxy, since applications take a proxy's word from them: who the client
	// is, over what it came, what it has asked for. Underscores are taken for
	// hyphens, and a name that ends with * is all that begin so, such as X-Auth-*.
	// X-Forwarded-* and Forwarded needn't be listed. Default:
	// X-Real-IP, True-Client-IP, CF-Connecting-IP, X-Scheme, Front-End-Https,
	// X-Original-URL, Client-Cert and others of their kind, which docs/http.md
	// lists; a list in the file takes the place of all of them.
	IdentityFields []string `yaml:"identity_fields"`

	// Whether to send Forwarded (RFC 7239) to targets, besides
	// X-Forwarded-*. Default: false.
	Forwarded bool `yaml:"forwarded"`

	// Name for the Via field (RFC 9110 §7.6.3) on requests and responses. A
	// request that has it in its Via already has gone in a circle and gets 508.
	// Default: none, and no Via is added.
	Via string `yaml:"via"`

	// Whether a response that a target has sent without Date gets one, as RFC
	// 9110 §6.6.1 asks of who passes it on; caches reckon its age from it. Most
	// servers send it. Default: false, a response gets nothing that its target
	// hasn't sent.
	AddDate bool `yaml:"add_date"`

	// Open connections at most; more are answered with 503 and closed. On Linux
	// one counts from its first bytes on, or from its second second. It is lowered
	// at the start, with a warning, to what the limit on open files (ulimit -n)
	// leaves besides a quarter for targets and scripts, and some for the gateway
	// itself. 0 is as many as that allows. What it leaves besides clients bounds
	// the connections to all targets and of all scripts together, and three
	// quarters of that those of one tenant; a request that needs another one gets
	// 503. Default: 65536.
	MaxConnections int `yaml:"max_connections" min:"0" restart:"true"`

	// Open connections from one client address at most, so that none can use up
	// all; more are answered with 429 and closed. The addresses of an IPv6 network
	// /64 count as one, since one client has them all. Peers in trusted_proxies
	// and on Unix sockets are not limited: list a load balancer there, whose
	// address all of its clients have. 0 is no limit. Default: seven eighths of
	// max_connections.
	MaxConnectionsPerAddress int `yaml:"max_connections_per_address" min:"0" restart:"true"`

	// Least rate, in bytes a second, at which a client must send its body and
	// take its response, over the last body_idle or write_idle in which it has
	// kept the gateway waiting, whatever it did before that: time-outs alone let
	// a client that sends a byte now and then hold what it likes for ever. Time
	// in which the gateway waits for the target doesn't count.
	// 0 is no bound, for applications that stream events for hours.
	// Default: 64B.
	MinRate settings.Size `yaml:"min_rate"`

	// Memory that requests, connections and scripts may hold together. Beyond it
	// the tenants that hold most are relieved of it, one after the other: their
	// requests with a body or a script get 503 script_memory, their VMs are
	// dropped, and the connections that hold most are cut; all others go on. 0 is
	// five eighths of GOMEMLIMIT, of what the control group allows, or of the
	// machine's memory; Go needs the rest to collect garbage. Default: 0.
	MaxMemory settings.Size `yaml:"max_memory"`

	// How long after SIGTERM or SIGINT the gateway goes on as before, new
	// connections included, while live and health of the admin API, and of
	// admin.on_public, answer 503 with the status "draining": time for a load
	// balancer to see it and to send nobody here any more. Then it stops accepting,
	// and drain_timeout begins. A second signal ends the process at once. At most
	// 1h. Default: 0s.
	DrainNotice settings.Duration `yaml:"drain_notice"`

	// How long requests and tunnels in progress may take to finish after
	// SIGTERM or SIGINT, and drain_notice. Default: 30s.
	DrainTimeout settings.Duration `yaml:"drain_timeout"`

	// How a new process takes the place of this one, on SIGUSR2.
	Upgrade UpgradeConfig `yaml:"upgrade"`
}

// UpgradeConfig is the section server.upgrade.
type UpgradeConfig struct {
	// How long the new process may take until it can serve, with all scripts
	// loaded. Then it is ended, and the old one goes on. At most 1h. Default: 1m.
	ReadyTimeout settings.Duration `yaml:"ready_timeout"`

	// How long the old process then goes on with the requests, the tunnels and the
	// idle connections that it has; each connection ends with its next response.
	// Then they are cut. Several old processes may be at that at once. SIGTERM has
	// drain_timeout count instead. At most 168h. Default: 1h.
	DrainTimeout settings.Duration `yaml:"drain_timeout"`
}

// ServerTimeoutsConfig is the section server.timeouts. All are enforced to
// within 100 ms.
type ServerTimeoutsConfig struct {
	// From a request's first byte to the end of its header section; also
	// from connecting to the first byte. Then 408. Default: 10s.
	Header settings.Duration `yaml:"header"`

	// Longest pause within a request body. Then 408. Default: 30s.
	BodyIdle settings.Duration `yaml:"body_idle"`

	// Longest time in which a client takes nothing of its response. Then the
	// connection is cut. Default: 30s.
	WriteIdle settings.Duration `yaml:"write_idle"`

	// How long a connection may idle between two requests. Default: 75s.
	Keepalive settings.Duration `yaml:"keepalive"`

	// How long after a client has closed its sending side, with nothing sent
	// to it meanwhile, it is asked whether it is still there. TCP doesn't tell
	// such a client from one that is gone. The question is an interim
	// response, 100 Continue; where it can't be asked (HTTP/1.0, TLS, a
	// response that has begun), it is taken for gone, and its request is
	// cancelled. Default: 1s.
	HalfClose settings.Duration `yaml:"half_close"`

	// How long a client that is still sending, although its answer ends the
	// connection (an upload that was refused, say), is listened to, what it
	// sends being dropped: closing at once would destroy the answer before it
	// has read it (RFC 9112 §9.6). In a drain it is a second. 0 closes at once.
	// Default: 30s.
	Linger settings.Duration `yaml:"linger"`

	// Longest pause of such a client. Default: 5s.
	LingerIdle settings.Duration `yaml:"linger_idle"`
}

// AdminConfig is the section admin.
type AdminConfig struct {
	// Where the admin API listens: "host:port" or "unix:/path/to.sock". Any
	// other address than a loopback one or a Unix socket needs a token.
	// Default: "127.0.0.1:9090".
	Address string `yaml:"address" restart:"true"`

	// Whether there is an admin listener at all. Default: true.
	Enabled bool `yaml:"enabled" restart:"true"`

	// Token of at least 16 bytes that requests must carry as
	// "Authorization: Bearer TOKEN".
	// Default: none, and /debug/pprof is off.
	Token string `yaml:"token" secret:"true"`

	// Whether the health endpoints (live, health and tenants/{name}/health) are
	// served to clients too, by all listeners, before any tenant.
	// Default: false.
	OnPublic bool `yaml:"on_public"`
}

// TLSConfig is the section tls.
type TLSConfig struct {
	// Whether the listener of server.address speaks TLS 1.2 and 1.3; those of listeners
	// say it themselves. Default: false.
	Enabled bool `yaml:"enabled"`

	// Certificate chain, PEM: the default of all certificates. Default: none, and
	// tls.enabled needs it or certificates.
	CertFile string `yaml:"cert_file"`

	// Private key, PEM, of cert_file. Default: none.
	KeyFile string `yaml:"key_file"`

	// Tickets by which clients resume sessions.
	Tickets TicketsConfig `yaml:"tickets"`
}

// TicketsConfig is the section tls.tickets.
type TicketsConfig struct {
	// File with a secret of at least 32 bytes that several gateways have, so that they
	// resume each other's sessions; keys are made of it anew every 12 hours. It is
	// taken up when it changes, and sessions of before begin anew. Whoever has the
	// secret can read them, and make up sessions with clients' certificates. Default:
	// none, and keys are this process's own.
	SecretFile string `yaml:"secret_file"`

	// Whether gateways that have the same store.redis resume each other's sessions: they
	// make a secret there for every 12 hours. Whoever can read the store can read the
	// sessions, as with secret_file; use TLS with it. While the store is away, keys are
	// this process's own. Default: false.
	Shared bool `yaml:"shared"`
}

// CertificatesConfig is the section certificates.
type CertificatesConfig struct {
	certificates.Config `yaml:",inline"`

	// Certificates that are ordered by ACME, for the tenants with tls: auto. Default:
	// none are.
	ACME *acme.Config `yaml:"acme"`
}

// StoreConfig is the section store.
type StoreConfig struct {
	// A server of Redis or Valkey that gateways share. Default: none, each gateway counts
	// and remembers by itself.
	Redis *redis.Config `yaml:"redis"`
}

// LuaRoutingConfig is the section lua_routing.
type LuaRoutingConfig struct {
	// Whether scripts are loaded. A tenant that has lua_routes is never served
	// without them: while this is false, its requests are answered with 503.
	// Default: false.
	Enabled bool `yaml:"enabled"`

	// Directory of the scripts: beside the configuration file or, where there is
	// none, below the working directory. Default: "scripts".
	ScriptsDir string `yaml:"scripts_dir"`

	// Scripts that are loaded for every tenant, before its own; one that a tenant
	// names again is loaded once. They are found as those of lua_routes are, but
	// never in a directory that bears a tenant's name. Default: none.
	GlobalScripts []string `yaml:"global_scripts" single:"true"`
}

// LuaConfig is the section lua.
type LuaConfig struct {
	// Whether the gateway reloads by itself, as on SIGHUP, when a Lua file below
	// lua_routing.scripts_dir, the configuration file or one that it names as
	// ${file:PATH} or for the TLS of targets has changed and then
	// been left alone for 100 ms, or kept changing for 2 s. It looks four times
	// a second, but never spends more than 1 % of a processor on that. The flag
	// -demo turns it on. Default: false.
	Watch bool `yaml:"watch"`
}

// AccessLogConfig is the section access_log.
type AccessLogConfig struct {
	// Whether requests are logged. Default: true.
	Enabled bool `yaml:"enabled"`

	// File that the lines are appended to; it is opened again at a reload.
	// "stdout" and "stderr" are the standard streams. Default: "stdout".
	Output string `yaml:"output"`

	// Share of the requests that are logged, from 0 to 1; those that end with
	// 5xx or an error code always are. Default: 1.
	Sample float64 `yaml:"sample" min:"0" max:"1"`
}

// DefaultConfig returns the configuration that a file is laid over.
func DefaultConfig() Config {
	return Config{
		AdminBasePath: "/admin",
		Server: ServerConfig{
			Address: "127.0.0.1:8080",
			Timeouts: ServerTimeoutsConfig{
				Header: seconds(10), BodyIdle: seconds(30), WriteIdle: seconds(30),
				Keepalive: seconds(75), HalfClose: seconds(1), Linger: seconds(30), LingerIdle: seconds(5),
			},
			ProxyProtocol:  listener.DefaultProxyProtocol(),
			IdentityFields: slices.Clone(defaultIdentityFields),
			MaxConnections: 65536, MaxConnectionsPerAddress: shareOfOne(65536),
			MinRate:      64,
			DrainTimeout: seconds(30),
			Upgrade:      UpgradeConfig{ReadyTimeout: seconds(60), DrainTimeout: seconds(3600)},
		},
		Admin:     AdminConfig{Enabled: true, Address: "127.0.0.1:9090"},
		ClientTLS: tenants.DefaultClientTLS(), RequestLimits: tenants.DefaultRequestLimits(), Compression: tenants.DefaultCompression(),
		LuaRouting: LuaRoutingConfig{ScriptsDir: "scripts"},
		AccessLog:  AccessLogConfig{Enabled: true, Output: "stdout", Sample: 1},
		Log:        logs.Default(),
	}
}

func seconds(n int) settings.Duration { return settings.Duration(time.Duration(n) * time.Second) }
