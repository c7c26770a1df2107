package redis

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	_ "embed" // for Source
	"net"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
)

//go:embed config.go
var source string

// Source returns the text of this file, whose comments document the section in the JSON
// Schema and in docs/configuration.md.
func Source() string { return source }

// Config is the section store.redis.
type Config struct {
	// Where Redis or Valkey listens: "host:port", "[IPv6]:port" or "unix:/path". Of
	// several the first that answers is used; with sentinel they are Sentinels', with
	// cluster some of the cluster's nodes. Default: 127.0.0.1:6379.
	Address []string `yaml:"address" single:"true"`

	// User of the server's ACL. Default: none, which is its user "default".
	Username string `yaml:"username"`

	// Password, such as ${REDIS_PASSWORD} or ${file:redis.password}. Default: none.
	Password string `yaml:"password" secret:"true"`

	// Number of the database; a cluster has only 0. Default: 0.
	Database int `yaml:"database" min:"0" max:"1000000"`

	// TLS with the server, and with Sentinels.
	TLS TLSConfig `yaml:"tls"`

	// Sentinels, which know which server is the master. Default: none.
	Sentinel *SentinelConfig `yaml:"sentinel"`

	// Whether the addresses are of a cluster. Default: false.
	Cluster bool `yaml:"cluster"`

	// How long one answer may take. What takes longer isn't waited for: limits go on by
	// their on_store_error. After three failures in a row nobody waits any more, until
	// the server answers in time again. 1ms to 5s. Default: 20ms.
	Timeout settings.Duration `yaml:"timeout"`

	// What all keys begin with: gateways with the same prefix, tenant and limit count
	// together. Letters, digits, dots, hyphens and underscores. Default: keystone.
	Prefix string `yaml:"prefix"`

	// Which share of what is left of a limit one gateway may take at once, to decide by
	// itself about as many requests as that is, and whether it refuses by itself what the
	// store has refused a moment ago; 0 asks for each request. Limits of many are asked
	// for less often then, and each gateway may be wrong by that share: ten of them, with
	// 0.001, by 1 %. From 0 to 0.1. Default: 0.001.
	LocalShare float64 `yaml:"local_share" min:"0" max:"0.1"`

	material material
}

// TLSConfig is the section store.redis.tls.
type TLSConfig struct {
	// Whether TLS is spoken, 1.2 or 1.3. Default: false.
	Enabled bool `yaml:"enabled"`

	// Name in the server's certificate. Default: the host of its address.
	ServerName string `yaml:"server_name"`

	// File with certificates, PEM, of what may have signed the server's. Default: the
	// system's.
	CAFile string `yaml:"ca_file"`

	// Certificate chain, PEM, that is shown to the server. Default: none.
	CertFile string `yaml:"cert_file"`

	// Private key, PEM, of cert_file. Default: none.
	KeyFile string `yaml:"key_file"`
}

// SentinelConfig is the section store.redis.sentinel.
type SentinelConfig struct {
	// Name by which Sentinels know the master.
	Master string `yaml:"master" required:"true"`

	// User of the Sentinels' ACL. Default: none.
	Username string `yaml:"username"`

	// Password of the Sentinels. Default: none.
	Password string `yaml:"password" secret:"true"`
}

// SetDefaults fills a fresh section.
func (c *Config) SetDefaults() {
	c.Address = []string{"127.0.0.1:6379"}
	c.Timeout, c.Prefix, c.LocalShare = settings.Duration(20*time.Millisecond), "keystone", 0.001
}

// material is what the section's files hold.
type material struct {
	sum   []byte // of all, to compare by
	roots *x509.CertPool
	pair  *tls.Certificate
}

const (
	longestTimeout = 5 * time.Second
	maxPrefix      = 64
	maxPEM         = 1 << 20
)

// Check reports what is wrong with the section.
func (c *Config) Check(r settings.Reporter) {
	if len(c.Address) == 0 {
		r.Errorf(&c.Address, "store.redis has no address, expected one like 127.0.0.1:6379")
	}
	for i := range c.Address {
		switch wrong := wrongAddress(c.Address[i]); {
		case wrong == "":
		case strings.ContainsAny(c.Address[i], "@/?") && !strings.HasPrefix(c.Address[i], "unix:"): // it may have a password
			r.Errorf(&c.Address[i], "address %d of store.redis is a URL, expected host:port, [IPv6]:port or unix:/path; username, password, database and tls are settings of their own", i+1)
		default:
			r.Errorf(&c.Address[i], "address %.300q %s, expected host:port, [IPv6]:port or unix:/path", c.Address[i], wrong)
		}
	}
	if c.Timeout.Std() < time.Millisecond || c.Timeout.Std() > longestTimeout {
		r.Errorf(&c.Timeout, "timeout %s is out of range, expected 1ms to 5s", c.Timeout)
	}
	if c.Prefix == "" || len(c.Prefix) > maxPrefix || strings.Trim(c.Prefix, prefixBytes) != "" {
		r.Errorf(&c.Prefix, "prefix %.80q is none, expected 1 to %d letters, digits, dots, hyphens and underscores", c.Prefix, maxPrefix)
	}
	if !(c.LocalShare >= 0 && c.LocalShare <= 0.1) {
		r.Errorf(&c.LocalShare, "local_share %v is out of range, expected 0 to 0.1", c.LocalShare)
	}
	if c.Database < 0 || c.Database > 1_000_000 {
		r.Errorf(&c.Database, "database %d is out of range, expected 0 to 1000000", c.Database)
	}
	if c.Cluster && c.Database != 0 {
		r.Errorf(&c.Database, "database %d can't be had of a cluster, expected 0", c.Database)
	}
	if c.Sentinel != nil && c.Cluster {
		r.Errorf(&c.Cluster, "both cluster and sentinel are set, expected one of them")
	}
	if c.Sentinel != nil && c.Sentinel.Master == "" {
		r.Errorf(&c.Sentinel.Master, "sentinel has no master, expected the name by which Sentinels know it")
	}
	if c.Username != "" && c.Password == "" {
		r.Errorf(&c.Username, "username %q has no password, expected one", c.Username)
	}
	c.checkWords(r)
	c.TLS.check(r)
}

// checkWords finds what has got into words by mistake, such as the end of a file's line.
func (c *Config) checkWords(r settings.Reporter) {
	words := []struct {
		name string
		word *string
	}{{"username", &c.Username}, {"password", &c.Password}}
	if s := c.Sentinel; s != nil {
		words = append(words, []struct {
			name string
			word *string
		}{{"sentinel.master", &s.Master}, {"sentinel.username", &s.Username}, {"sentinel.password", &s.Password}}...)
	}
	for _, w := range words {
		if strings.ContainsFunc(*w.word, unicode.IsControl) {
			r.Errorf(w.word, "%s of store.redis has a line break, or another control character, expected none", w.name)
		}
	}
}

// check finds files for a TLS that isn't spoken.
func (t *TLSConfig) check(r settings.Reporter) {
	if t.Enabled {
		return
	}
	for _, set := range []struct {
		name  string
		value *string
	}{{"server_name", &t.ServerName}, {"ca_file", &t.CAFile}, {"cert_file", &t.CertFile}, {"key_file", &t.KeyFile}} {
		if *set.value != "" {
			r.Errorf(set.value, "store.redis.tls has %s, and TLS isn't spoken, expected enabled: true beside it, or no %s", set.name, set.name)
		}
	}
}

const prefixBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._"

func wrongAddress(address string) string {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		if path == "" {
			return "has no path"
		}
		return ""
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" || len(host) > 255 || strings.ContainsAny(address, "/ @?") || strings.ContainsFunc(address, unicode.IsControl) {
		return "is none"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "has no port from 1 to 65535"
	}
	return ""
}

// ReadFile returns the content of a regular file of at most limit bytes. Its error says
// why not, without the path.
type ReadFile func(path string, limit int64) ([]byte, error)

// Load reads the files that the section names, and reports what is wrong with them.
func (c *Config) Load(read ReadFile, r settings.Reporter) {
	t := &c.TLS
	c.material = material{}
	if t.CAFile != "" {
		content, err := read(t.CAFile, maxPEM)
		roots := x509.NewCertPool()
		switch {
		case err != nil:
			r.Errorf(&t.CAFile, "ca_file %q can't be used: %v", t.CAFile, err)
		case !roots.AppendCertsFromPEM(content):
			r.Errorf(&t.CAFile, "ca_file %q holds no certificate, expected some as PEM", t.CAFile)
		}
		c.material.roots, c.material.sum = roots, append(c.material.sum, content...)
	}
	if (t.CertFile == "") != (t.KeyFile == "") {
		r.Errorf(&t.CertFile, "store.redis.tls has one of cert_file and key_file, expected both")
	}
	if t.CertFile == "" || t.KeyFile == "" {
		return
	}
	cert, err := read(t.CertFile, maxPEM)
	if err != nil {
		r.Errorf(&t.CertFile, "cert_file %q can't be used: %v", t.CertFile, err)
		return
	}
	key, err := read(t.KeyFile, maxPEM)
	if err != nil {
		r.Errorf(&t.KeyFile, "key_file %q can't be used: %v", t.KeyFile, err)
		return
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		r.Errorf(&t.CertFile, "cert_file %q with key_file %q can't be used: %v", t.CertFile, t.KeyFile, err)
		return
	}
	c.material.pair, c.material.sum = &pair, append(append(c.material.sum, cert...), key...)
}

// same reports whether both ask for the same.
func (c *Config) same(as *Config) bool {
	if c == nil || as == nil {
		return c == as
	}
	sentinels := func(c *Config) SentinelConfig {
		if c.Sentinel == nil {
			return SentinelConfig{}
		}
		return *c.Sentinel
	}
	return strings.Join(c.Address, " ") == strings.Join(as.Address, " ") && c.Username == as.Username && c.Password == as.Password &&
		c.Database == as.Database && c.TLS == as.TLS && sentinels(c) == sentinels(as) && c.Cluster == as.Cluster &&
		c.Timeout == as.Timeout && c.Prefix == as.Prefix && c.LocalShare == as.LocalShare && bytes.Equal(c.material.sum, as.material.sum)
}

// tls is nil without TLS.
func (c *Config) tls(address string) *tls.Config {
	if !c.TLS.Enabled {
		return nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.material.roots, ServerName: c.TLS.ServerName}
	if t.ServerName == "" {
		t.ServerName, _, _ = net.SplitHostPort(address)
	}
	if c.material.pair != nil {
		t.Certificates = []tls.Certificate{*c.material.pair}
	}
	return t
}
