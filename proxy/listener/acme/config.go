package acme

import (
	_ "embed" // for ConfigSource
	"encoding/base64"
	"net/mail"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
)

//go:embed config.go
var configSource string

// ConfigSource returns the text of this file, whose comments document the section
// in the JSON Schema and in docs/configuration.md.
func ConfigSource() string { return configSource }

// Config is the section acme of certificates.
type Config struct {
	// Address at which the authority may reach whoever runs this gateway. Default:
	// none.
	Email string `yaml:"email"`

	// Directory URL of the authority, or "letsencrypt", or "letsencrypt-staging",
	// whose certificates nobody trusts and whose limits are wide: begin with that.
	// Writing the section means that you agree to the authority's terms. Default:
	// letsencrypt.
	CA string `yaml:"ca"`

	// File with certificates, PEM, of what has signed the certificate of ca's own
	// server, besides the system's. Default: none.
	CARootsFile string `yaml:"ca_roots_file"`

	// What binds the account to one that the authority knows already, where it asks
	// for that.
	EAB EABConfig `yaml:"eab"`

	// Certificates are asked for of this kind, where the authority offers several,
	// such as shortlived of Let's Encrypt. Default: none, the authority's usual one.
	Profile string `yaml:"profile"`

	// Kind of the certificates' keys. Default: p256.
	KeyType string `yaml:"key_type" enum:"p256,p384,rsa2048,rsa4096"`

	// Directory for accounts, keys and certificates: beside the configuration file,
	// made with the first of them, readable for the gateway alone. Several gateways
	// may share one. Default: "acme".
	Storage string `yaml:"storage"`

	// Whether accounts, keys, certificates and locks are kept in the configuration's
	// store, together with all gateways that have it, and not in a directory. Default:
	// false.
	Shared bool `yaml:"shared"`

	// Ways of proving that a name is ours, in this order: tls-alpn-01 (the authority
	// connects to port 443), http-01 (to port 80), dns-01 (needs dns.command, and is
	// the only one for wildcards). What has worked last is tried first. Default:
	// dns-01 if there is dns.command, then tls-alpn-01, http-01.
	Challenges []string `yaml:"challenges"`

	// The command that sets records for dns-01.
	DNS DNSConfig `yaml:"dns"`

	// Certificates for names that no domain of a tenant spells out: those below a
	// wildcard, and those of a tenant without domains. They are ordered if ask, or the
	// tenant's scripts by chi.tls_ask, say so.
	OnDemand OnDemandConfig `yaml:"on_demand"`

	// New certificates that are ordered within an hour at most, for all tenants
	// together. Renewals aren't counted. Default: 100.
	OrdersPerHour int `yaml:"orders_per_hour" min:"1" max:"100000"`

	// And for each tenant. Default: 50.
	OrdersPerHourAndTenant int `yaml:"orders_per_hour_and_tenant" min:"1" max:"100000"`
}

// EABConfig is the section acme.eab.
type EABConfig struct {
	// Name of the key, as the authority gives it. Default: none.
	KeyID string `yaml:"key_id"`

	// The key, base64url as the authority gives it. Default: none.
	MACKey string `yaml:"mac_key" secret:"true"`
}

// DNSConfig is the section acme.dns.
type DNSConfig struct {
	// Program with its arguments, to which four are added: "present" or "cleanup",
	// the domain, the name of the TXT record and its value. It ends with status 0
	// once the record can be seen. Relative paths start from the configuration file.
	// Default: none.
	Command []string `yaml:"command" single:"true"`

	// How long it may take; then it is killed. Default: 2m.
	Timeout settings.Duration `yaml:"timeout"`

	// Pause after present, until all servers of the domain know the record. Default:
	// 0s.
	Settle settings.Duration `yaml:"settle"`
}

// OnDemandConfig is the section acme.on_demand.
type OnDemandConfig struct {
	// URL that is asked before the first certificate for such a name, and before each
	// renewal, as GET URL?domain=NAME. Status 200 is a yes, anything else a no. Where
	// the tenant's scripts have chi.tls_ask, both have to say yes. Default: none, and
	// there are certificates for such names only where scripts say so.
	Ask string `yaml:"ask"`

	// How long an answer may take. Default: 5s.
	Timeout settings.Duration `yaml:"timeout"`

	// How long a no is remembered. Default: 10m.
	Remember settings.Duration `yaml:"remember"`

	// Longest time for which a handshake waits for its certificate; what isn't there
	// by then is there for a later one. Default: 10s.
	Wait settings.Duration `yaml:"wait"`

	// Names that may have such a certificate at once, of all tenants together; those
	// of one may be half as many. Default: 1000.
	MaxNames int `yaml:"max_names" min:"2" max:"100000"`

	// Questions a second at most; names that come beyond are refused without one. One
	// tenant's may be half as many. Default: 20.
	AsksPerSecond int `yaml:"asks_per_second" min:"2" max:"10000"`
}

// The authorities that have a name.
var authorities = map[string]string{
	"letsencrypt":         "https://acme-v02.api.letsencrypt.org/directory",
	"letsencrypt-staging": "https://acme-staging-v02.api.letsencrypt.org/directory",
}

// The challenges.
const (
	DNS01     = "dns-01"
	HTTP01    = "http-01"
	TLSALPN01 = "tls-alpn-01"
)

// SetDefaults fills a fresh section.
func (c *Config) SetDefaults() {
	*c = Config{
		CA: "letsencrypt", KeyType: "p256", Storage: "acme", OrdersPerHour: 100, OrdersPerHourAndTenant: 50,
		DNS: DNSConfig{Timeout: settings.Duration(2 * time.Minute)},
		OnDemand: OnDemandConfig{
			Timeout: settings.Duration(5 * time.Second), Remember: settings.Duration(10 * time.Minute), Wait: settings.Duration(10 * time.Second),
			MaxNames: 1000, AsksPerSecond: 20,
		},
	}
}

// Directory is the URL of the authority's directory.
func (c *Config) Directory() string {
	if known := authorities[c.CA]; known != "" {
		return known
	}
	return c.CA
}

// challenges are those that can be tried, in order.
func (c *Config) challenges() []string {
	switch {
	case len(c.Challenges) > 0:
		return c.Challenges
	case len(c.DNS.Command) > 0:
		return []string{DNS01, TLSALPN01, HTTP01}
	}
	return []string{TLSALPN01, HTTP01}
}

// Uses reports whether a challenge may be tried.
func (c *Config) Uses(challenge string) bool { return slices.Contains(c.challenges(), challenge) }

// Check reports what can't work; its files are looked at by New.
func (c *Config) Check(r settings.Reporter) {
	if c.Email != "" {
		if address, err := mail.ParseAddress(c.Email); err != nil || address.Address != c.Email {
			r.Errorf(&c.Email, "email %q is not an address, expected one like ops@example.com", c.Email)
		}
	}
	if u, err := url.Parse(c.Directory()); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "" {
		r.Errorf(&c.CA, "ca %q is not an authority, expected letsencrypt, letsencrypt-staging or the https URL of a directory", c.CA)
	}
	if (c.EAB.KeyID == "") != (c.EAB.MACKey == "") {
		r.Errorf(&c.EAB, "eab has only one of key_id and mac_key, expected both")
	}
	if _, err := base64.RawURLEncoding.DecodeString(c.EAB.MACKey); err != nil {
		r.Errorf(&c.EAB.MACKey, "eab.mac_key is not base64url, expected the key as the authority gives it, without \"=\" at its end")
	}
	if c.Storage == "" {
		r.Errorf(&c.Storage, "storage is empty, expected a directory")
	}
	limit := func(field *int, key string, least, most int) {
		if *field < least || *field > most {
			r.Errorf(field, "%s %d is out of range, expected %d to %d", key, *field, least, most)
		}
	}
	limit(&c.OrdersPerHour, "orders_per_hour", 1, 100_000)
	limit(&c.OrdersPerHourAndTenant, "orders_per_hour_and_tenant", 1, 100_000)
	c.checkChallenges(r)
	c.OnDemand.check(r, limit)
}

func (c *Config) checkChallenges(r settings.Reporter) {
	for i, name := range c.Challenges {
		switch {
		case name != DNS01 && name != HTTP01 && name != TLSALPN01:
			r.Errorf(&c.Challenges[i], "challenge %q is unknown, expected %s, %s or %s", name, TLSALPN01, HTTP01, DNS01)
		case slices.Contains(c.Challenges[:i], name):
			r.Errorf(&c.Challenges[i], "challenge %q stands there twice", name)
		case name == DNS01 && len(c.DNS.Command) == 0:
			r.Errorf(&c.Challenges[i], "challenge %s needs dns.command, expected the program that sets the record", DNS01)
		}
	}
	if len(c.DNS.Command) > 0 && strings.TrimSpace(c.DNS.Command[0]) == "" {
		r.Errorf(&c.DNS.Command, "dns.command begins with an empty name, expected that of a program")
	}
	between(r, &c.DNS.Timeout, "dns.timeout", time.Second, 30*time.Minute)
	between(r, &c.DNS.Settle, "dns.settle", 0, 30*time.Minute)
}

func (c *OnDemandConfig) check(r settings.Reporter, limit func(field *int, key string, least, most int)) {
	if c.Ask != "" {
		if u, err := url.Parse(c.Ask); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Fragment != "" {
			r.Errorf(&c.Ask, "on_demand.ask %q is not a URL, expected one like http://127.0.0.1:9000/may-have-a-certificate", c.Ask)
		}
	}
	between(r, &c.Timeout, "on_demand.timeout", 10*time.Millisecond, time.Minute)
	between(r, &c.Remember, "on_demand.remember", time.Second, 24*time.Hour)
	between(r, &c.Wait, "on_demand.wait", 0, time.Minute)
	limit(&c.MaxNames, "on_demand.max_names", 2, 100_000)
	limit(&c.AsksPerSecond, "on_demand.asks_per_second", 2, 10_000)
}

func between(r settings.Reporter, d *settings.Duration, key string, least, most time.Duration) {
	if d.Std() < least || d.Std() > most {
		r.Errorf(d, "%s %s is out of range, expected %s to %s", key, d, settings.Duration(least), settings.Duration(most))
	}
}
