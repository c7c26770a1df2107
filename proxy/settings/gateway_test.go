package settings_test

import (
	_ "embed"
	"errors"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
)

//go:embed gateway_test.go
var source string

// gateway is a configuration with a field of every kind.
type gateway struct {
	// Address is where the gateway listens.
	Address string `yaml:"address"`
	// Port is the TCP port.
	//
	// 0 picks a free one | any.
	Port uint16 `yaml:"port"`
	// Level says how much is logged.
	Level string `yaml:"level" enum:"debug,info,error"`
	// Levels of the parts.
	Levels map[string]string `yaml:"levels" enum:"debug,info,error"`
	Limits limits            `yaml:"limits"` // Limits bound each request.
	// TLS turns encryption on.
	TLS *tls `yaml:"tls"`
	// Tenants are the applications.
	Tenants []tenant `yaml:"tenants" required:"true"`
	// Pools by name.
	Pools map[string]*pool `yaml:"pools"`
	// Ratio of requests that are logged.
	Ratio float64 `yaml:"ratio"`
	// Token opens the admin API.
	Token string `yaml:"token" secret:"true"`
	// Pin opens the door.
	Pin int `yaml:"pin" secret:"true"`
	// Redis is the URL of the store.
	Redis string `yaml:"redis" secret:"url"`
	// Secrets are named.
	Secrets map[string]string `yaml:"secrets" secret:"true"`
	common  `yaml:",inline"`
	ignored int
	Runtime int `yaml:"-"`
}

type common struct {
	// Verbose prints more.
	Verbose bool `yaml:"verbose"`
}

type limits struct {
	// Body is the largest body.
	Body settings.Size `yaml:"body"`
	// Wait is how long a request may take.
	Wait settings.Duration `yaml:"wait"`
	// Tries is how often.
	Tries int8 `yaml:"tries"`
}

type tls struct {
	// Cert is a file.
	Cert string `yaml:"cert"`
}

type tenant struct {
	// Name identifies the tenant.
	Name string `yaml:"name" required:"true"`
	// Domains are its hosts.
	Domains []string `yaml:"domains"`
	// Scripts may be one.
	Scripts []string `yaml:"scripts" single:"true"`
	// Weight is its share.
	Weight int `yaml:"weight"`
	// Match is upper-cased text.
	Match shout `yaml:"match"`
}

func (t *tenant) SetDefaults() { t.Weight = 1 }

type pool struct {
	// Size is a number.
	Size int `yaml:"size"`
}

func (p *pool) SetDefaults() { p.Size = 7 }

// shout is a type that reads itself.
type shout string

func (s *shout) UnmarshalText(text []byte) error {
	if strings.Contains(string(text), "!") {
		return errors.New("expected a calm word")
	}
	*s = shout(strings.ToUpper(string(text)))
	return nil
}

func defaults() gateway {
	return gateway{
		Address: "127.0.0.1", Port: 8080, Level: "info", ignored: 1,
		Limits: limits{Body: 10 << 20, Wait: settings.Duration(5e9), Tries: 2},
		Levels: map[string]string{"lua": "error"},
	}
}

// check is what a section's Check method does.
func check(c *gateway, r settings.Reporter) {
	if len(c.Tenants) == 0 {
		r.Errorf(&c.Tenants, "expected at least one tenant")
	}
	for i := range c.Tenants {
		t := &c.Tenants[i]
		if t.Name == "" {
			r.Errorf(&t.Name, "expected a name")
		}
		for j, domain := range t.Domains {
			if !strings.Contains(domain, ".") {
				r.Errorf(&t.Domains[j], "expected a domain with a dot, got %q", domain)
			}
		}
	}
}

func environment(name string) (string, bool) {
	value, ok := map[string]string{
		"PORT": "9000", "EMPTY": "", "HOST": "example.com", "YES": "true", "WAIT": "2s",
		"INJECT": "x\nport: 1", "NESTED": "${HOST}", "NULL": "null",
	}[name]
	return value, ok
}

func decode(src string) (*gateway, *settings.Document) {
	c := defaults()
	return &c, settings.Decode("f.yaml", []byte(src), &c, environment)
}

func errorsOf(doc *settings.Document) string {
	if err := doc.Err(); err != nil {
		return err.Error()
	}
	return ""
}
