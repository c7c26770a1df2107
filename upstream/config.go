package upstream

import (
	_ "embed" // for Source
	"math"
	"strings"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
)

//go:embed config.go
var source string

// Source returns the text of this file, whose comments document the section in
// the JSON Schema and in docs/configuration.md.
func Source() string { return source }

// Limits and defaults of the sections below.
const (
	maxWeight    = 1000
	maxTier      = 1000
	maxThreshold = 1000
	maxConns     = 1_000_000
	maxStreams   = 10_000

	defaultInterval     = 10 * time.Second
	defaultTimeout      = 2 * time.Second
	defaultHealthyAfter = 2
	defaultUnhealthy    = 3
	minInterval         = 100 * time.Millisecond
)

// ServiceConfig describes one target of a tenant: an entry of
// tenants[].services.
type ServiceConfig struct {
	// Name of the target in the admin API, the metrics and the logs.
	// Default: the host and port of url, or the path of its socket.
	Name string `yaml:"name"`

	// Address of the target: "http://host[:port][/base]",
	// "https://host[:port][/base]" (the certificate is verified, as tls says) or
	// "unix:///path/to.sock" for HTTP/1; "h2://" (with TLS) and "h2c://" (without)
	// for HTTP/2, and "grpcs://" and "grpc://" for gRPC, which is HTTP/2 whose
	// probes are gRPC's own. The path of a request is appended to /base.
	// Names are resolved to IPv4 and IPv6 addresses every 30 seconds, never
	// while a request waits. User, password, query and fragment are refused.
	URL string `yaml:"url" required:"true"`

	// Path that is probed with GET on this target, appended to the /base of
	// url, such as "/health". Default: the tenant's health.path; when that is
	// empty too, the probe is a TCP connect if an interval is set, and
	// otherwise only failing requests mark the target as down.
	Health string `yaml:"health"`

	// Share of the requests that this target gets, relative to the weights of
	// the tenant's other targets: 0 to 1000. A target of weight 0 gets no new
	// requests, but those that a script sends to it by its name; those in progress
	// go on, and it is probed on, so that a reload can drain it and bring it back.
	// Where all have weight 0, requests get 503 no_healthy_target. Default: 1.
	Weight int `yaml:"weight" min:"0" max:"1000"`

	// Tier of the target, where the pool's balance is first: 0 to 1000. Those of a lower
	// tier get all requests as long as one of them is healthy. Where no service has a tier,
	// each is one, in the order of the list. Default: 0.
	Tier int `yaml:"tier" min:"0" max:"1000"`

	// Zone that the target is in, such as a data centre, for balance: {first: {zone: …}}.
	// Default: none.
	Zone string `yaml:"zone"`

	// Whether the target is told who its client is by a header of the PROXY protocol,
	// before TLS and anything else on each connection: "v1" (a line of text) or "v2"
	// (binary, with what is known of the client's TLS). The target must expect it. A
	// connection is used for the requests of one client alone then, over HTTP/1; probes
	// say that they are nobody's (LOCAL in v2, UNKNOWN in v1). Default: none.
	ProxyProtocol string `yaml:"proxy_protocol" enum:"v1,v2"`

	// How TLS is spoken with this target, where its url begins with https, h2 or
	// grpcs. Keys that are left out are those of the tenant's target_tls.
	TLS TLSConfig `yaml:"tls"`
}

// SetDefaults fills a fresh element of a services list.
func (c *ServiceConfig) SetDefaults() { *c = ServiceConfig{Weight: 1} }

// Check reports what is wrong with the service. It doesn't see its neighbours:
// CheckServices does.
func (c *ServiceConfig) Check(r settings.Reporter) {
	if _, err := ParseAddress(c.URL); err != nil {
		r.Errorf(&c.URL, "%v", err)
	}
	if err := checkName(c.Name); err != nil {
		r.Errorf(&c.Name, "%v", err)
	}
	if c.Health != "" {
		checkPath(r, &c.Health, "health")
	}
	checkCount(r, &c.Weight, "weight", 0, maxWeight)
	checkCount(r, &c.Tier, "tier", 0, maxTier)
	if err := checkName(c.Zone); err != nil {
		r.Errorf(&c.Zone, "zone: %v", err)
	}
	if _, known := proxyVersions[c.ProxyProtocol]; !known {
		r.Errorf(&c.ProxyProtocol, "proxy_protocol %q is unknown, expected v1 or v2", c.ProxyProtocol)
	}
	if address, err := ParseAddress(c.URL); err == nil && c.ProxyProtocol != "" && (address.HTTP2() || c.TLS.HTTP2) {
		r.Errorf(&c.ProxyProtocol, "proxy_protocol is set for a target of HTTP/2, whose connections many clients share, expected a url that begins with http:// or https://, and no tls.http2")
	}
}

// CheckServices checks every service of one tenant, and that no two of them
// have the same address or the same name.
func CheckServices(list []ServiceConfig, r settings.Reporter) {
	if len(list) > math.MaxUint16 {
		r.Errorf(&list[0].URL, "there are %d services, expected at most %d", len(list), math.MaxUint16)
	}
	urls, names := map[string]int{}, map[string]int{}
	for i := range list {
		c := &list[i]
		c.Check(r)
		address, err := ParseAddress(c.URL)
		if err != nil {
			continue
		}
		if first, taken := urls[address.String()]; taken {
			r.Errorf(&c.URL, "url %q is already services[%d], expected each target once (use weight for a larger share)", c.URL, first)
			continue
		}
		urls[address.String()] = i
		name := c.displayName(address)
		if first, taken := names[name]; taken {
			r.Errorf(&c.Name, "name %q is already the name of services[%d], expected unique names", name, first)
			continue
		}
		names[name] = i
	}
}

// TLSConfig is the section target_tls of a tenant, and tls of a service: how TLS
// is spoken with targets, for requests and probes alike. The files are read again
// at each reload.
type TLSConfig struct {
	// Certificates of the authorities, PEM, one of which must have signed the
	// target's certificate; those of the system don't count then. Default: the
	// system's, or those in the file that SSL_CERT_FILE names.
	CAFile string `yaml:"ca_file"`

	// Name that the certificate must be for, and by which the target is asked for
	// it (SNI). Default: the host of the service's url.
	ServerName string `yaml:"server_name"`

	// Certificate by which the gateway shows the target who it is.
	ClientCertificate ClientCertificateConfig `yaml:"client_certificate"`

	// Whether the target may have any certificate: expired, for another name,
	// signed by anybody. Then whoever is between the gateway and the target can
	// read and change everything; check, the start and the admin API say so.
	// Default: false.
	InsecureSkipVerify bool `yaml:"insecure_skip_verify"`

	// Whether a target whose url begins with https is offered HTTP/2 (ALPN): then
	// requests share a connection with it if it chooses that. One that chooses
	// HTTP/1 isn't asked again for ten minutes. Default: false.
	HTTP2 bool `yaml:"http2"`

	material tlsMaterial // what the files hold
}

// ClientCertificateConfig is the section client_certificate of targets' TLS.
type ClientCertificateConfig struct {
	// Certificate chain, PEM. Default: none.
	CertFile string `yaml:"cert_file"`

	// Private key, PEM. Default: none, and cert_file needs it.
	KeyFile string `yaml:"key_file"`
}

// HealthConfig says how the targets of a tenant are probed: tenants[].health.
type HealthConfig struct {
	// Path that is probed with GET on every target without a health path of
	// its own, such as "/health". Default: none.
	Path string `yaml:"path"`

	// Time between two probes of a target, varied by 10 % either way.
	// At least 100ms. Default: 10s where a path is set. Where none is set,
	// setting the interval turns on TCP connect probes.
	Interval settings.Duration `yaml:"interval"`

	// Longest time of one probe, from connecting to the end of the answer.
	// Default: 2s.
	Timeout settings.Duration `yaml:"timeout"`

	// Successful probes in a row after which a target that failed its probes
	// gets requests again: 1 to 1000. Default: 2. A target that could not be
	// connected to returns with its first successful probe.
	HealthyAfter int `yaml:"healthy_after" min:"1" max:"1000"`

	// Failed probes in a row after which a target gets no more requests:
	// 1 to 1000. Default: 3. A request that cannot connect takes its target
	// down at once.
	UnhealthyAfter int `yaml:"unhealthy_after" min:"1" max:"1000"`

	// Whether targets whose url begins with grpc:// or grpcs:// are asked by gRPC's
	// health protocol (grpc.health.v1.Health/Check), whatever paths are set; they
	// are so where an interval and no path is set. Others are probed as ever.
	// Default: false.
	GRPC bool `yaml:"grpc"`

	// Name of the gRPC service that is asked for, such as "shop.v1.Cart"; it turns
	// grpc on. Default: none, which asks for the server as a whole.
	Service string `yaml:"service"`

	// Status codes of a healthy answer: codes and ranges, separated by commas,
	// such as "200-299,404". Default: "200-399".
	ExpectStatus StatusSet `yaml:"expect_status"`

	// Host field of the probes, for targets that serve several hosts, such as
	// "shop.example.com". Default: the host of the service's url.
	Host string `yaml:"host"`

	// Further fields of the probes, such as an Authorization or a User-Agent that
	// takes the place of "keystone-gateway-probe": at most 32. What they hold is
	// shown nowhere. Default: none.
	Headers map[string]string `yaml:"headers" secret:"true"`
}

// DefaultHealth returns the documented defaults. Interval stays zero, which
// means that it was not set.
func DefaultHealth() HealthConfig {
	return HealthConfig{
		Timeout:        settings.Duration(defaultTimeout),
		HealthyAfter:   defaultHealthyAfter,
		UnhealthyAfter: defaultUnhealthy,
		ExpectStatus:   statusRange(200, 399),
	}
}

// SetDefaults fills c with DefaultHealth.
func (c *HealthConfig) SetDefaults() { *c = DefaultHealth() }

// Check reports what is wrong with the section.
func (c *HealthConfig) Check(r settings.Reporter) {
	if c.Path != "" {
		checkPath(r, &c.Path, "path")
	}
	if c.Interval != 0 && c.Interval.Std() < minInterval {
		r.Errorf(&c.Interval, "interval %v is too short, expected at least %v", c.Interval.Std(), minInterval)
	}
	checkPositive(r, &c.Timeout, "timeout")
	checkCount(r, &c.HealthyAfter, "healthy_after", 1, maxThreshold)
	checkCount(r, &c.UnhealthyAfter, "unhealthy_after", 1, maxThreshold)
	if c.ExpectStatus.IsZero() {
		r.Errorf(&c.ExpectStatus, `expect_status is empty, expected codes and ranges like "200-299,404"`)
	}
	if err := checkName(c.Service); err != nil {
		r.Errorf(&c.Service, "service: %v", err)
	}
	checkProbeFields(r, c)
}

// TimeoutsConfig bounds the exchange with a target: tenants[].timeouts.
type TimeoutsConfig struct {
	// Longest time to connect to a target, TLS handshake included.
	// Default: 2s. The request is then sent to another target if there is one,
	// and otherwise answered with 504.
	Connect settings.Duration `yaml:"connect"`

	// Longest time from the end of the request to the response's header.
	// Default: 60s. The request is then answered with 504.
	ResponseHeader settings.Duration `yaml:"response_header"`

	// Longest time without a byte in either direction while a body is
	// transferred or a tunnel (such as a WebSocket) is open. Default: 60s.
	Idle settings.Duration `yaml:"idle"`

	// Longest time of the whole exchange, bodies included; tunnels are exempt.
	// Default: 0, which means no limit.
	Total settings.Duration `yaml:"total"`
}

// DefaultTimeouts returns the documented defaults.
func DefaultTimeouts() TimeoutsConfig {
	return TimeoutsConfig{
		Connect:        settings.Duration(2 * time.Second),
		ResponseHeader: settings.Duration(time.Minute),
		Idle:           settings.Duration(time.Minute),
	}
}

// SetDefaults fills c with DefaultTimeouts.
func (c *TimeoutsConfig) SetDefaults() { *c = DefaultTimeouts() }

// Check reports what is wrong with the section.
func (c *TimeoutsConfig) Check(r settings.Reporter) {
	checkPositive(r, &c.Connect, "connect")
	checkPositive(r, &c.ResponseHeader, "response_header")
	checkPositive(r, &c.Idle, "idle")
	if c.Total < 0 {
		r.Errorf(&c.Total, "total %v is negative, expected a duration like 5m, or 0 for no limit", c.Total.Std())
	}
}

// ConnectionsConfig bounds the connections to each target of a tenant:
// tenants[].connections.
type ConnectionsConfig struct {
	// Most connections that are open to one target at a time: 1 to 1000000.
	// Default: 1024.
	MaxPerTarget int `yaml:"max_per_target" min:"1" max:"1000000"`

	// Most requests that wait for a connection to one target: 0 to 1000000.
	// Default: 1024. Further ones are answered with 503 at once.
	MaxPending int `yaml:"max_pending" min:"0" max:"1000000"`

	// Longest time that a request waits for a connection. Default: 1s. It is
	// then answered with 503.
	PendingTimeout settings.Duration `yaml:"pending_timeout"`

	// Time after which a kept connection that nobody uses is closed.
	// Default: 30s. Keep it below the target's own keep-alive time, so that
	// the gateway and not the target is the one that closes. Where a target says
	// its time (Keep-Alive: timeout=5), a connection isn't used after that less
	// a second.
	IdleTimeout settings.Duration `yaml:"idle_timeout"`

	// Most requests that share one connection to a target of HTTP/2, if the target
	// itself doesn't allow fewer: 1 to 10000. Default: 256. Another connection is
	// opened when all have so many.
	MaxStreams int `yaml:"max_streams" min:"1" max:"10000"`

	// Time after which a connection to a target of HTTP/2 takes no more requests,
	// varied by 10 % either way; those that it has go on. New connections go where
	// the target's name points by then. Default: 10m; 0 is no limit.
	MaxAge settings.Duration `yaml:"max_age"`
}

// DefaultConnections returns the documented defaults.
func DefaultConnections() ConnectionsConfig {
	return ConnectionsConfig{
		MaxPerTarget:   1024,
		MaxPending:     1024,
		PendingTimeout: settings.Duration(time.Second),
		IdleTimeout:    settings.Duration(30 * time.Second),
		MaxStreams:     256,
		MaxAge:         settings.Duration(10 * time.Minute),
	}
}

// SetDefaults fills c with DefaultConnections.
func (c *ConnectionsConfig) SetDefaults() { *c = DefaultConnections() }

// Check reports what is wrong with the section.
func (c *ConnectionsConfig) Check(r settings.Reporter) {
	checkCount(r, &c.MaxPerTarget, "max_per_target", 1, maxConns)
	checkCount(r, &c.MaxPending, "max_pending", 0, maxConns)
	checkPositive(r, &c.PendingTimeout, "pending_timeout")
	checkPositive(r, &c.IdleTimeout, "idle_timeout")
	checkCount(r, &c.MaxStreams, "max_streams", 1, maxStreams)
	if c.MaxAge < 0 {
		r.Errorf(&c.MaxAge, "max_age %v is negative, expected a duration like 10m, or 0 for no limit", c.MaxAge.Std())
	}
}

// GRPCConfig is the section grpc of a tenant.
type GRPCConfig struct {
	// Whether requests of gRPC-Web, as browsers send them, become gRPC for the services,
	// and their responses gRPC-Web: POST with the type application/grpc-web or
	// application/grpc-web-text, with or without a format such as +proto. What browsers
	// ask for beforehand is the policy cors's. Default: false.
	Web bool `yaml:"web"`

	// Statuses of gRPC after which a call is tried once more at another target, if
	// there is one: names in lower case, such as "unavailable" or
	// "resource_exhausted". Only answers count that have nothing but a status, and
	// only calls are sent again of which all had come when the target was chosen; the
	// target may have begun with them all the same. Default: none.
	RetryOn []string `yaml:"retry_on"`
}

// Check reports what is wrong with the section.
func (c *GRPCConfig) Check(r settings.Reporter) {
	for i, name := range c.RetryOn {
		if _, ok := grpcNumber(name); !ok {
			r.Errorf(&c.RetryOn[i], "retry_on has %q, which is no status of a gRPC call that has failed, expected one of %s", name, strings.Join(grpcNames[1:], ", "))
		}
	}
}
