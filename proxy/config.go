package proxy

import (
	_ "embed" // the comments below are the users' documentation
	"mime"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants"
)

//go:embed config.go
var configSource string

// Config is the whole configuration file.
type Config struct {
	// Path under which the admin API answers. Default: "/admin".
	AdminBasePath string `yaml:"admin_base_path"`

	// The public listener.
	Server ServerConfig `yaml:"server"`

	// The admin listener.
	Admin AdminConfig `yaml:"admin"`

	// TLS on the public listener.
	TLS TLSConfig `yaml:"tls"`

	// Bounds of what a client may send.
	RequestLimits RequestLimitsConfig `yaml:"request_limits"`

	// Compression of responses.
	Compression CompressionConfig `yaml:"compression"`

	// Lua scripts.
	LuaRouting LuaRoutingConfig `yaml:"lua_routing"`

	// One line for each request.
	AccessLog AccessLogConfig `yaml:"access_log"`

	// The gateway's own log, on standard error.
	Log LogConfig `yaml:"log"`

	// The applications behind the gateway; at least one.
	Tenants []tenants.Config `yaml:"tenants" required:"true"`
}

// ServerConfig is the section server.
type ServerConfig struct {
	// Where to listen: "host:port", "[IPv6]:port", ":port" for all
	// addresses, or "unix:/path/to.sock". Default: "127.0.0.1:8080". A change
	// takes effect at the next start.
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

	// Whether to send Forwarded (RFC 7239) to targets, besides
	// X-Forwarded-*. Default: false.
	Forwarded bool `yaml:"forwarded"`

	// Name for the Via field (RFC 9110 §7.6.3) on requests and responses.
	// Default: none, and no Via is added.
	Via string `yaml:"via"`

	// Open connections at most; more are answered with 503 and closed.
	// 0 is no limit. Default: 65536.
	MaxConnections int `yaml:"max_connections"`

	// Open connections from one client address at most; more are answered
	// with 429 and closed. 0 is no limit. Default: 0.
	MaxConnectionsPerAddress int `yaml:"max_connections_per_address"`

	// Least average rate, in bytes a second, at which a client must send its
	// body and take its response, once it has kept the gateway waiting for
	// longer than body_idle or write_idle in all: time-outs alone let a client
	// that sends a byte now and then hold a connection to a target for ever.
	// 0 is no bound, for applications that stream events for hours.
	// Default: 64B.
	MinRate settings.Size `yaml:"min_rate"`

	// How long requests and tunnels in progress may take to finish after
	// SIGTERM or SIGINT. Default: 30s.
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

	// How long a client that has closed its sending side still gets an
	// answer. TCP doesn't tell such a client from one that is gone: after
	// this time without anything sent to it, it is taken for gone, and its
	// request is cancelled. Default: 1s.
	HalfClose settings.Duration `yaml:"half_close"`
}

// AdminConfig is the section admin.
type AdminConfig struct {
	// Where the admin API listens: "host:port" or "unix:/path/to.sock". Any
	// other address than a loopback one or a Unix socket needs a token.
	// Default: "127.0.0.1:9090". A change takes effect at the next start.
	Address string `yaml:"address"`

	// Whether there is an admin listener at all. Default: true.
	Enabled bool `yaml:"enabled"`

	// Token that requests must carry as "Authorization: Bearer TOKEN".
	// Default: none, and /debug/pprof is off.
	Token string `yaml:"token" secret:"true"`

	// Whether the health endpoints (health and tenants/{name}/health) are
	// served on the public listener too, before any tenant.
	// Default: false.
	OnPublic bool `yaml:"on_public"`
}

// TLSConfig is the section tls. The certificate is read again at a reload.
type TLSConfig struct {
	// Whether the public listener speaks TLS 1.2 and 1.3. Default: false. A
	// change takes effect at the next start.
	Enabled bool `yaml:"enabled"`

	// Certificate chain, PEM. Default: none, and tls.enabled needs it.
	CertFile string `yaml:"cert_file"`

	// Private key, PEM. Default: none, and tls.enabled needs it.
	KeyFile string `yaml:"key_file"`
}

// RequestLimitsConfig is the section request_limits.
type RequestLimitsConfig struct {
	// Largest request body; beyond, 413. 0 is the default: 10MiB.
	MaxBodySize settings.Size `yaml:"max_body_size"`

	// Largest request line and header section together; beyond, 431. It is
	// also the memory that a connection may take for them.
	// 0 is the default: 32KiB.
	MaxHeaderSize settings.Size `yaml:"max_header_size"`

	// Largest request target; beyond, 414. 0 is the default: 8KiB.
	MaxURLSize settings.Size `yaml:"max_url_size"`
}

// CompressionConfig is the section compression.
type CompressionConfig struct {
	// Whether responses are compressed with gzip for clients that accept it.
	// Default: false.
	Enabled bool `yaml:"enabled"`

	// Level from 1, the fastest, to 9, the smallest. Default: 5.
	Level int `yaml:"level"`

	// Media types that are compressed. Default: text/html, text/css,
	// text/javascript, text/plain, application/json, application/xml.
	ContentTypes []string `yaml:"content_types"`
}

// LuaRoutingConfig is the section lua_routing.
type LuaRoutingConfig struct {
	// Whether the scripts of tenants are loaded. Default: false.
	Enabled bool `yaml:"enabled"`

	// Directory of the scripts. Default: "scripts", beside the configuration
	// file.
	ScriptsDir string `yaml:"scripts_dir"`

	// Scripts that are loaded for every tenant, before its own. Default: none.
	GlobalScripts []string `yaml:"global_scripts"`
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
	Sample float64 `yaml:"sample"`
}

// LogConfig is the section log.
type LogConfig struct {
	// Lowest level that is logged. Default: info.
	Level string `yaml:"level" enum:"debug,info,warn,error"`

	// "json", "console", or "auto": console on a terminal, else json.
	// Default: auto.
	Format string `yaml:"format" enum:"auto,json,console"`
}

// Defaults of request_limits, which a 0 in the file stands for too.
const (
	defaultMaxBody   = 10 << 20
	defaultMaxHeader = 32 << 10
	defaultMaxURL    = 8 << 10
)

// DefaultConfig returns the configuration that a file is laid over.
func DefaultConfig() Config {
	return Config{
		AdminBasePath: "/admin",
		Server: ServerConfig{
			Address: "127.0.0.1:8080",
			Timeouts: ServerTimeoutsConfig{
				Header: seconds(10), BodyIdle: seconds(30), WriteIdle: seconds(30),
				Keepalive: seconds(75), HalfClose: seconds(1),
			},
			MaxConnections: 65536,
			MinRate:        64,
			DrainTimeout:   seconds(30),
		},
		Admin: AdminConfig{Enabled: true, Address: "127.0.0.1:9090"},
		RequestLimits: RequestLimitsConfig{
			MaxBodySize: defaultMaxBody, MaxHeaderSize: defaultMaxHeader, MaxURLSize: defaultMaxURL,
		},
		Compression: CompressionConfig{Level: 5, ContentTypes: []string{
			"text/html", "text/css", "text/javascript", "text/plain", "application/json", "application/xml",
		}},
		LuaRouting: LuaRoutingConfig{ScriptsDir: "scripts"},
		AccessLog:  AccessLogConfig{Enabled: true, Output: "stdout", Sample: 1},
		Log:        LogConfig{Level: "info", Format: "auto"},
	}
}

func seconds(n int) settings.Duration { return settings.Duration(time.Duration(n) * time.Second) }

// Check reports everything that can't work. dir is the configuration file's
// directory, which relative paths start from.
func (c *Config) Check(dir string, r settings.Reporter, written func(field any) bool) {
	if !validBasePath(c.AdminBasePath) {
		r.Errorf(&c.AdminBasePath, "admin_base_path %q is not a path, expected one like /admin", c.AdminBasePath)
	}
	c.Server.check(r, written)
	c.Admin.check(r)
	c.TLS.check(dir, r)
	c.RequestLimits.check(r)
	c.Compression.check(r)
	c.AccessLog.check(r)
	c.Log.check(r)
	if len(c.Tenants) == 0 {
		r.Errorf(&c.Tenants, "no tenants, expected at least one under \"tenants:\"")
	}
	tenants.CheckAll(c.Tenants, r)
	c.checkScripts(dir, r)
}

func validBasePath(p string) bool {
	return len(p) > 1 && p[0] == '/' && !strings.HasSuffix(p, "/") && !strings.ContainsAny(p, "{}*%?#; \\") &&
		filepath.ToSlash(filepath.Clean(p)) == p
}

func (c *ServerConfig) check(r settings.Reporter, written func(any) bool) {
	if c.Port != "" {
		if port, err := strconv.ParseUint(c.Port, 10, 16); err != nil || port == 0 {
			r.Errorf(&c.Port, "port %q is not a port, expected 1 to 65535", c.Port)
		}
		if written(&c.Address) {
			r.Errorf(&c.Port, "both server.port and server.address are set, expected one of them")
		}
	}
	if err := checkListen(c.Address); err != "" {
		r.Errorf(&c.Address, "address %q %s, expected \"host:port\", \"[IPv6]:port\" or \"unix:/path\"", c.Address, err)
	}
	for i := range c.TrustedProxies {
		if _, ok := parseNetwork(c.TrustedProxies[i]); !ok && c.TrustedProxies[i] != "unix" {
			r.Errorf(&c.TrustedProxies[i], "trusted proxy %q is not a network, expected one like 10.0.0.0/8 or 192.0.2.7, or \"unix\"", c.TrustedProxies[i])
		}
	}
	if c.Via != "" && !validPseudonym(c.Via) {
		r.Errorf(&c.Via, "via %q is not a name, expected letters, digits, '-', '.' and '_'", c.Via)
	}
	nonNegative(r, &c.MaxConnections, "max_connections")
	nonNegative(r, &c.MaxConnectionsPerAddress, "max_connections_per_address")
	t := &c.Timeouts
	positive(r, &t.Header, "header")
	positive(r, &t.BodyIdle, "body_idle")
	positive(r, &t.WriteIdle, "write_idle")
	positive(r, &t.Keepalive, "keepalive")
	positive(r, &t.HalfClose, "half_close")
}

func nonNegative(r settings.Reporter, n *int, key string) {
	if *n < 0 {
		r.Errorf(n, "%s %d is negative, expected a number, or 0 for no limit", key, *n)
	}
}

func positive(r settings.Reporter, d *settings.Duration, key string) {
	if d.Std() < 10*time.Millisecond {
		r.Errorf(d, "%s %s is too short, expected at least 10ms", key, d)
	}
}

// checkListen says what is wrong with an address, or nothing.
func checkListen(address string) string {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		if !strings.HasPrefix(path, "/") {
			return "has no absolute path"
		}
		return ""
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "is not an address"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n > 65535 {
		return "has no port from 0 to 65535"
	}
	if strings.ContainsAny(host, " /") {
		return "has no valid host"
	}
	return ""
}

func parseNetwork(s string) (netip.Prefix, bool) {
	if prefix, err := netip.ParsePrefix(s); err == nil {
		return prefix.Masked(), true
	}
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		return netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()), true
	}
	return netip.Prefix{}, false
}

func validPseudonym(s string) bool {
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") == ""
}

func (c *AdminConfig) check(r settings.Reporter) {
	if !c.Enabled {
		return
	}
	if err := checkListen(c.Address); err != "" {
		r.Errorf(&c.Address, "address %q %s, expected \"host:port\" or \"unix:/path\"", c.Address, err)
		return
	}
	if c.Token == "" && !isLocalAddress(c.Address) {
		r.Errorf(&c.Address, "address %q is not a loopback one, expected admin.token to be set with it", c.Address)
	}
	if c.Token != "" && len(c.Token) < 16 {
		r.Errorf(&c.Token, "token is %d bytes long, expected at least 16", len(c.Token))
	}
}

func isLocalAddress(address string) bool {
	if strings.HasPrefix(address, "unix:") {
		return true
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

func (c *TLSConfig) check(dir string, r settings.Reporter) {
	if !c.Enabled {
		return
	}
	if c.CertFile == "" || c.KeyFile == "" {
		r.Errorf(&c.Enabled, "tls is enabled without cert_file and key_file, expected both")
		return
	}
	if _, err := loadCertificate(dir, c); err != nil {
		r.Errorf(&c.CertFile, "%v", err)
	}
}

// check also puts the defaults in the place of zeros, as the earlier
// Keystone Gateway did.
func (c *RequestLimitsConfig) check(r settings.Reporter) {
	for _, limit := range []struct {
		size          *settings.Size
		key           string
		zero, highest settings.Size
	}{
		{&c.MaxBodySize, "max_body_size", defaultMaxBody, 1 << 50},
		{&c.MaxHeaderSize, "max_header_size", defaultMaxHeader, 16 << 20},
		{&c.MaxURLSize, "max_url_size", defaultMaxURL, 1 << 20},
	} {
		if *limit.size == 0 {
			*limit.size = limit.zero
		}
		if *limit.size > limit.highest {
			r.Errorf(limit.size, "%s %s is out of range, expected at most %s", limit.key, limit.size, limit.highest)
		}
	}
	if c.MaxURLSize > c.MaxHeaderSize {
		r.Errorf(&c.MaxURLSize, "max_url_size %s is larger than max_header_size %s, which includes it", c.MaxURLSize, c.MaxHeaderSize)
	}
}

func (c *CompressionConfig) check(r settings.Reporter) {
	if c.Level < 1 || c.Level > 9 {
		r.Errorf(&c.Level, "level %d is out of range, expected 1 to 9", c.Level)
	}
	for i := range c.ContentTypes {
		media, params, err := mime.ParseMediaType(c.ContentTypes[i])
		if err != nil || len(params) > 0 || !strings.Contains(media, "/") {
			r.Errorf(&c.ContentTypes[i], "content type %q is not a media type, expected one like text/html", c.ContentTypes[i])
		}
	}
}

func (c *AccessLogConfig) check(r settings.Reporter) {
	if c.Sample < 0 || c.Sample > 1 {
		r.Errorf(&c.Sample, "sample %v is out of range, expected 0 to 1", c.Sample)
	}
	if c.Output == "" {
		r.Errorf(&c.Output, "output is empty, expected a file, \"stdout\" or \"stderr\"")
	}
}

func (c *LogConfig) check(r settings.Reporter) {
	switch c.Level {
	case "debug", "info", "warn", "error":
	default:
		r.Errorf(&c.Level, "level %q is unknown, expected debug, info, warn or error", c.Level)
	}
	switch c.Format {
	case "auto", "json", "console":
	default:
		r.Errorf(&c.Format, "format %q is unknown, expected auto, json or console", c.Format)
	}
}

// inDir makes a path of the configuration file absolute or relative to it.
func inDir(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// checkScripts reports scripts that can't be read or compiled.
func (c *Config) checkScripts(dir string, r settings.Reporter) {
	if !c.LuaRouting.Enabled {
		return
	}
	scripts := inDir(dir, c.LuaRouting.ScriptsDir)
	if info, err := os.Stat(scripts); err != nil || !info.IsDir() {
		r.Errorf(&c.LuaRouting.ScriptsDir, "scripts_dir %q can't be opened, expected a directory beside the configuration file", c.LuaRouting.ScriptsDir)
		return
	}
	check := func(field *string) {
		if err := compileScript(scripts, *field); err != nil {
			r.Errorf(field, "%v", err)
		}
	}
	for i := range c.LuaRouting.GlobalScripts {
		check(&c.LuaRouting.GlobalScripts[i])
	}
	for t := range c.Tenants {
		for i := range c.Tenants[t].LuaRoutes {
			check(&c.Tenants[t].LuaRoutes[i])
		}
	}
}
