package tenants

import (
	_ "embed" // for Sources
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants/affinity"
	"github.com/keystone-gateway/keystone-gateway/upstream"
	"github.com/keystone-gateway/keystone-gateway/upstream/balance"
)

//go:embed balance.go
var balanceSource string

// BalanceConfig is the section balance of a tenant or a pool: a balancer, by its name
// alone or with settings.
type BalanceConfig struct {
	// Each target in turn, by weight, exactly. It has no settings. Default: not set.
	RoundRobin *PlainBalanceConfig `yaml:"round_robin"`

	// The less busy one of two that are drawn by weight. It has no settings. Default: not set.
	LeastRequest *PlainBalanceConfig `yaml:"least_request"`

	// The one of two, drawn by weight, that is expected to answer first: by how long it
	// has taken lately, and how busy it is. It has no settings. Default: not set.
	PeakEWMA *PlainBalanceConfig `yaml:"peak_ewma"`

	// Drawn by weight. It has no settings. Default: not set.
	Random *PlainBalanceConfig `yaml:"random"`

	// The same target for requests that have the same client, field, cookie or the like.
	Hash *HashConfig `yaml:"hash"`

	// The target at which a client has been before, by a cookie.
	Sticky *StickyConfig `yaml:"sticky"`

	// The targets of the first tier that has a healthy one; the others stand by.
	First *FirstConfig `yaml:"first"`
}

// OneKey says that the section has exactly one of its keys.
func (*BalanceConfig) OneKey() {}

// ByName says that a key's name alone stands for it without settings.
func (*BalanceConfig) ByName() {}

// PlainBalanceConfig is a balancer without settings.
type PlainBalanceConfig struct{}

// HashConfig is the section hash of balance.
type HashConfig struct {
	// What requests that belong together have the same of: client (its address), path,
	// "header:NAME", "cookie:NAME", "query:NAME", or key, which a script sets with
	// request:balance_key(text). What a script sets goes before the others. A request that
	// has none of it goes to any target. Default: client.
	By string `yaml:"by"`

	// How many times its share of the requests in progress a target may have, eight at
	// least, before requests go on to the next one: 1.05 to 10, or 0 for no bound.
	// Default: 2.
	BalanceFactor float64 `yaml:"balance_factor" min:"0" max:"10"`
}

// SetDefaults fills a fresh section.
func (c *HashConfig) SetDefaults() { c.By, c.BalanceFactor = "client", 2 }

// StickyConfig is the section sticky of balance.
type StickyConfig struct {
	// Name of the cookie; no two pools of a tenant may have the same. Default:
	// keystone_sticky, and keystone_sticky_NAME for a pool of that name other than default.
	Name string `yaml:"name"`

	// Path that it is for. Default: /.
	Path string `yaml:"path"`

	// Domain that it is for, all hosts below it included. Default: the host of the request
	// alone.
	Domain string `yaml:"domain"`

	// How long clients keep it, 1s to 400 days; it is given anew when half of that has
	// passed. 0 is until the browser is closed. Default: 0.
	MaxAge settings.Duration `yaml:"max_age"`

	// Whether it is sent over TLS alone. Default: false.
	Secure bool `yaml:"secure"`

	// Whether scripts of pages can't read it. Default: true.
	HTTPOnly bool `yaml:"http_only"`

	// Whether it comes along with requests that other sites have caused. none needs
	// secure. Default: lax.
	SameSite string `yaml:"same_site" enum:"lax,strict,none"`

	// Whether clients whose target was away go back to it when it is healthy again;
	// otherwise they stay where they are. Default: false.
	Return bool `yaml:"return"`

	// What the cookies are signed by, of at least 32 bytes, such as ${file:/run/secrets/sticky};
	// of several the first signs, and all are taken. Gateways that have it in common know
	// each other's cookies. Default: a secret of the process's own, so that clients are
	// shared out anew after a restart.
	Secrets []string `yaml:"secrets" single:"true" secret:"true"`

	// Balancer for clients without a target: round_robin, least_request, peak_ewma or
	// random. Default: round_robin.
	Within string `yaml:"within" enum:"round_robin,least_request,peak_ewma,random"`
}

// SetDefaults fills a fresh section.
func (c *StickyConfig) SetDefaults() {
	*c = StickyConfig{Path: "/", HTTPOnly: true, SameSite: "lax", Within: "round_robin"}
}

// FirstConfig is the section first of balance.
type FirstConfig struct {
	// Zone of the gateway: of a tier, targets of this zone come before the others. Default:
	// none.
	Zone string `yaml:"zone"`

	// Balancer between the targets of one tier: round_robin, least_request, peak_ewma or
	// random. Default: round_robin.
	Within string `yaml:"within" enum:"round_robin,least_request,peak_ewma,random"`
}

// SetDefaults fills a fresh section.
func (c *FirstConfig) SetDefaults() { c.Within = "round_robin" }

// names are the keys that are set.
func (c *BalanceConfig) names() (list []string) {
	for i, set := range []bool{c.RoundRobin != nil, c.LeastRequest != nil, c.PeakEWMA != nil, c.Random != nil, c.Hash != nil, c.Sticky != nil, c.First != nil} {
		if set {
			list = append(list, balancers[i])
		}
	}
	return list
}

var balancers = []string{"round_robin", "least_request", "peak_ewma", "random", "hash", "sticky", "first"}

// checkNamed reports a section that names no balancer; it is only called for one that the
// file has.
func (c *BalanceConfig) checkNamed(r settings.Reporter) {
	if len(c.names()) == 0 {
		r.Errorf(c, "balance names no balancer, expected one of %s, alone or with settings", strings.Join(balancers, ", "))
	}
}

// Check reports what is wrong with the section.
func (c *BalanceConfig) Check(r settings.Reporter) {
	if names := c.names(); len(names) > 1 {
		r.Errorf(c, "balance has %s, expected one of them", strings.Join(names, " and "))
	}
	if h := c.Hash; h != nil {
		if _, err := affinity.ParseKey(h.By); err != nil {
			r.Errorf(&h.By, "%v", err)
		}
		if h.BalanceFactor != 0 && (h.BalanceFactor < 1.05 || h.BalanceFactor > 10) || math.IsNaN(h.BalanceFactor) {
			r.Errorf(&h.BalanceFactor, "balance_factor %v is out of range, expected 1.05 to 10, or 0 for no bound", h.BalanceFactor)
		}
	}
	if c.Sticky != nil {
		c.Sticky.check(r)
	}
}

func (c *StickyConfig) check(r settings.Reporter) {
	if c.Name != "" && !message.IsToken([]byte(c.Name)) || len(c.Name) > 64 {
		r.Errorf(&c.Name, "name %.100q is not that of a cookie, expected one like backend", c.Name)
	}
	if !strings.HasPrefix(c.Path, "/") || len(c.Path) > 256 || strings.ContainsAny(c.Path, ";,\\\"") || !message.IsFieldText([]byte(c.Path)) {
		r.Errorf(&c.Path, "path %.100q is not a path, expected one like /app", c.Path)
	}
	if (&http.Cookie{Name: "a", Domain: c.Domain}).Valid() != nil { //nolint:gosec // G124: it is for its domain alone
		r.Errorf(&c.Domain, "domain %.100q is not a domain, expected one like example.com", c.Domain)
	}
	if c.MaxAge < 0 || c.MaxAge != 0 && c.MaxAge.Std() < time.Second || c.MaxAge.Std() > 400*24*time.Hour {
		r.Errorf(&c.MaxAge, "max_age %s is out of range, expected 1s to 400 days, or 0", &c.MaxAge)
	}
	if c.SameSite == "none" && !c.Secure {
		r.Errorf(&c.SameSite, "same_site none needs secure: true, or browsers don't keep the cookie")
	}
	if strings.HasPrefix(c.Name, "__Secure-") && !c.Secure || strings.HasPrefix(c.Name, "__Host-") && (!c.Secure || c.Path != "/" || c.Domain != "") {
		r.Errorf(&c.Name, "name %q needs secure: true, and __Host- the path / and no domain, or browsers don't keep the cookie", c.Name)
	}
	for i := range c.Secrets {
		if len(c.Secrets[i]) < 32 {
			r.Errorf(&c.Secrets[i], "a secret has %d bytes, expected at least 32", len(c.Secrets[i]))
		}
	}
}

// cookieName is the name of the cookie of a pool with sticky.
func (p *Pool) cookieName() string {
	switch s := p.Balance.Sticky; {
	case s.Name != "":
		return s.Name
	case p.Name == upstream.DefaultPool:
		return "keystone_sticky"
	}
	return "keystone_sticky_" + p.Name
}

// checkCookies reports pools whose cookies would take each other's place.
func (c *Config) checkCookies(r settings.Reporter) {
	seen := map[string]string{}
	for _, p := range c.AllPools() {
		if p.Balance.Sticky == nil {
			continue
		}
		name := p.cookieName()
		if other, taken := seen[name]; taken {
			r.Errorf(&p.Balance.Sticky.Name, "tenant %q: the pools %q and %q have sticky cookies of one name, %q, expected another name for each: without name, each has its own", c.Name, other, p.Name, name)
		}
		seen[name] = p.Name
	}
}

// warnOfTiers tells of tiers and zones that nobody asks for.
func (p *Pool) warnOfTiers(warn func(field any, format string, args ...any)) {
	for i := range p.Services {
		s := &p.Services[i]
		switch {
		case s.Tier != 0 && p.Balance.First == nil:
			warn(&s.Tier, "tier is set, and the pool's balance isn't first: it makes no difference; expected balance: first")
		case s.Zone != "" && (p.Balance.First == nil || p.Balance.First.Zone == ""):
			warn(&s.Zone, "zone is set, and the pool's balance names none: it makes no difference; expected balance: {first: {zone: %s}}", s.Zone)
		}
	}
}

// Algorithm is the balancer.
func (c *BalanceConfig) Algorithm() balance.Algorithm {
	switch {
	case c.Hash != nil:
		return balance.Hash(c.Hash.BalanceFactor, nil)
	case c.Sticky != nil:
		return balance.Sticky(plainly(c.Sticky.Within))
	case c.First != nil:
		return balance.First(plainly(c.First.Within))
	}
	if names := c.names(); len(names) > 0 {
		return plainly(names[0])
	}
	return balance.RoundRobin()
}

// plainly is the balancer of that name, without settings.
func plainly(name string) balance.Algorithm {
	list := balance.Algorithms()
	return list[max(0, slices.IndexFunc(list, func(a balance.Algorithm) bool { return a.Name == name }))]
}

// Key is what requests that belong together have the same of; nil is nothing.
func (c *BalanceConfig) Key() *affinity.Key {
	if c.Hash == nil {
		return nil
	}
	key, _ := affinity.ParseKey(c.Hash.By)
	return &key
}

// NewSticky is what gives cookies; nil is none. own is the process's secret.
func (p *Pool) NewSticky(own []byte) (*affinity.Sticky, error) {
	s := p.Balance.Sticky
	if s == nil {
		return nil, nil //nolint:nilnil // nil is none
	}
	var secrets [][]byte
	for _, text := range s.Secrets {
		secrets = append(secrets, []byte(text))
	}
	if len(secrets) == 0 {
		secrets = [][]byte{own}
	}
	sticky, err := affinity.NewSticky(affinity.Cookie{
		Name: p.cookieName(), Path: s.Path, Domain: s.Domain, MaxAge: s.MaxAge.Std(), Secure: s.Secure, HTTPOnly: s.HTTPOnly,
		SameSite: map[string]http.SameSite{"lax": http.SameSiteLaxMode, "strict": http.SameSiteStrictMode, "none": http.SameSiteNoneMode}[s.SameSite],
	}, s.Return, secrets...)
	if err != nil {
		return nil, fmt.Errorf("cannot sign cookies of balance.sticky: %w", err)
	}
	return sticky, nil
}

// Zone is that of the gateway; "" is none.
func (c *BalanceConfig) Zone() string {
	if c.First == nil {
		return ""
	}
	return c.First.Zone
}
