package tenants

import (
	_ "embed" // for Sources
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/proxy/spelling"
	"github.com/keystone-gateway/keystone-gateway/tenants/route"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

//go:embed pools.go
var poolsSource string

// PoolConfig is one of a tenant's pools: an entry of tenants[].pools.
type PoolConfig struct {
	// Targets among which the pool's requests are shared. At least one.
	Services []upstream.ServiceConfig `yaml:"services" required:"true"`

	// What chooses between the pool's targets. Default: the tenant's balance.
	Balance BalanceConfig `yaml:"balance"`

	// How the pool's targets are probed. Keys that are left out are those of the
	// tenant's health.
	Health upstream.HealthConfig `yaml:"health"`

	// Time limits of the exchange with a target of the pool. Keys that are left out
	// are those of the tenant's timeouts.
	Timeouts upstream.TimeoutsConfig `yaml:"timeouts"`

	// Limits on the connections to each target of the pool. Keys that are left out are
	// those of the tenant's connections.
	Connections upstream.ConnectionsConfig `yaml:"connections"`

	upstream.ResilienceConfig `yaml:",inline"`

	// How TLS is spoken with the pool's targets whose url begins with https; services[].tls
	// has the same keys for one of them. Keys that are left out are those of the tenant's
	// target_tls.
	TargetTLS upstream.TLSConfig `yaml:"target_tls"`

	// What is done about answers of gRPC. Keys that are left out are those of the
	// tenant's grpc.
	GRPC PoolGRPCConfig `yaml:"grpc"`
}

// SetDefaults fills a fresh entry of the pools.
func (c *PoolConfig) SetDefaults() {
	*c = PoolConfig{Health: upstream.DefaultHealth(), Timeouts: upstream.DefaultTimeouts(), Connections: upstream.DefaultConnections()}
}

// PoolGRPCConfig is the section grpc of a pool.
type PoolGRPCConfig struct {
	// Statuses of gRPC after which a call is tried once more at another target of the
	// pool, as grpc.retry_on of a tenant has them. Default: the tenant's.
	RetryOn []string `yaml:"retry_on"`
}

// maxPools bounds the pools of a tenant.
const maxPools = 64

// Pool is a pool of a tenant, under its name.
type Pool struct {
	Name string
	*PoolConfig
}

// AllPools are the pools of the tenant: upstream.DefaultPool first, if there is one, which
// the tenant's own services are too, and then the others by their names. What they inherit
// they have once the configuration has been read. Their services are those of the section
// itself, so that positions are known of them.
func (c *Config) AllPools() (list []Pool) {
	if len(c.Services) > 0 {
		list = append(list, Pool{upstream.DefaultPool, &PoolConfig{
			Services: c.Services, Health: c.Health, Timeouts: c.Timeouts, Connections: c.Connections, TargetTLS: c.TargetTLS,
			GRPC: PoolGRPCConfig{c.GRPC.RetryOn}, Balance: c.Balance, ResilienceConfig: c.ResilienceConfig,
		}})
	} else if own := c.Pools[upstream.DefaultPool]; own != nil {
		list = append(list, Pool{upstream.DefaultPool, own})
	}
	for _, name := range slices.Sorted(maps.Keys(c.Pools)) {
		if name != upstream.DefaultPool {
			list = append(list, Pool{name, c.Pools[name]})
		}
	}
	return list
}

// HasDefaultPool reports whether requests have a pool to go to of which nothing else
// is said.
func (c *Config) HasDefaultPool() bool {
	return len(c.Services) > 0 || c.Pools[upstream.DefaultPool] != nil
}

// PoolIndex returns where a pool is in AllPools; -1 is that there is none of that name.
func (c *Config) PoolIndex(name string) int {
	return slices.IndexFunc(c.AllPools(), func(p Pool) bool { return p.Name == name })
}

// PoolWords says in messages which pool it is, such as: the pool "api" of tenant "shop"
func (c *Config) PoolWords(pool string) string {
	if pool == upstream.DefaultPool {
		return fmt.Sprintf("tenant %q", c.Name)
	}
	return fmt.Sprintf("the pool %q of tenant %q", pool, c.Name)
}

// InheritPools gives the pools what they leave to the tenant, key by key; see
// settings.Document.Inherit. r is for what only shows now.
func (c *Config) InheritPools(d *settings.Document, r settings.Reporter) {
	if d.Has(&c.Balance) {
		c.Balance.checkNamed(r)
	}
	for name, p := range c.Pools {
		if d.Has(&p.Balance) {
			p.Balance.checkNamed(r)
		} else {
			p.Balance = c.Balance
		}
		at := "pools." + name + "."
		section := func(key string, inner, outer any) {
			d.Inherit(settings.Section{Value: inner, Secrets: &c.Secrets, Path: at + key}, settings.Section{Value: outer, Secrets: &c.Secrets, Path: key})
		}
		section("health", &p.Health, &c.Health)
		section("timeouts", &p.Timeouts, &c.Timeouts)
		d.Inherit(settings.Section{Value: &p.ResilienceConfig, Secrets: &c.Secrets, Path: "pools." + name}, settings.Section{Value: &c.ResilienceConfig, Secrets: &c.Secrets})
		section("connections", &p.Connections, &c.Connections)
		section("target_tls", &p.TargetTLS, &c.TargetTLS)
		if !d.Has(&p.GRPC.RetryOn) {
			p.GRPC.RetryOn = c.GRPC.RetryOn
		}
		for i := range p.Services {
			d.Inherit(settings.Section{Value: &p.Services[i].TLS, Secrets: &c.Secrets, Path: fmt.Sprintf("%sservices[%d].tls", at, i)},
				settings.Section{Value: &p.TargetTLS, Secrets: &c.Secrets, Path: at + "target_tls"})
		}
	}
	for i := range c.Services {
		d.Inherit(settings.Section{Value: &c.Services[i].TLS, Secrets: &c.Secrets, Path: fmt.Sprintf("services[%d].tls", i)},
			settings.Section{Value: &c.TargetTLS, Secrets: &c.Secrets, Path: "target_tls"})
	}
}

// checkPools reports what is wrong with the pools, but for what they have from the
// tenant: that is reported there.
func (c *Config) checkPools(r settings.Reporter) {
	upstream.CheckServices(c.Services, r)
	c.Balance.Check(r)
	if len(c.Pools) > maxPools {
		r.Errorf(&c.Pools, "%d pools are too many, expected at most %d", len(c.Pools), maxPools)
	}
	if own := c.Pools[upstream.DefaultPool]; own != nil && len(c.Services) > 0 {
		r.Errorf(own, "tenant %q has services and pools.%s, which are the same pool, expected one of them", c.Name, upstream.DefaultPool)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Pools)) {
		p := c.Pools[name]
		own := placed{r, fmt.Sprintf("tenant %q, pools.%.80s", c.Name, name)}
		if wrong := wrongPoolName(name); wrong != "" {
			r.Errorf(p, "tenant %q: %s", c.Name, wrong)
		}
		if len(p.Services) == 0 {
			own.Errorf(p, "the pool has no services, expected at least one")
		}
		upstream.CheckServices(p.Services, own)
		if !reflect.DeepEqual(p.Balance, c.Balance) {
			p.Balance.Check(own)
		}
		if !reflect.DeepEqual(p.Health, c.Health) {
			p.Health.Check(own)
		}
		if resilience := &p.ResilienceConfig; !reflect.DeepEqual(*resilience, c.ResilienceConfig) {
			resilience.Check(own)
		}
		if p.Timeouts != c.Timeouts {
			p.Timeouts.Check(own)
		}
		if p.Connections != c.Connections {
			p.Connections.Check(own)
		}
		if !slices.Equal(p.GRPC.RetryOn, c.GRPC.RetryOn) {
			(&upstream.GRPCConfig{RetryOn: p.GRPC.RetryOn}).Check(own)
		}
	}
	c.checkCookies(r)
	c.checkShared(r)
}

// wrongPoolName says what is wrong with a pool's name, or nothing: it is a label of
// metrics, and stands in the log.
func wrongPoolName(name string) string {
	if name == "" || len(name) > maxName {
		return fmt.Sprintf("a pool's name has %d bytes, expected 1 to %d letters, digits, dots, hyphens and underscores", len(name), maxName)
	}
	for i := range len(name) {
		if !route.IsNameByte(name[i]) {
			return fmt.Sprintf("the name of the pool %.80q has a character other than letters, digits, dots, hyphens and underscores", name)
		}
	}
	return ""
}

// checkShared holds targets that several pools have to one set of settings: there is
// one target of a URL, with one state, whatever pools it is in.
func (c *Config) checkShared(r settings.Reporter) {
	type use struct {
		pool    Pool
		service *upstream.ServiceConfig
	}
	seen := map[string]use{}
	for _, p := range c.AllPools() {
		for i := range p.Services {
			s := &p.Services[i]
			address, err := upstream.ParseAddress(s.URL)
			if err != nil {
				continue
			}
			first, known := seen[address.String()]
			switch {
			case !known:
				seen[address.String()] = use{p, s}
			case first.pool.Name == p.Name: // which CheckServices has reported
			default:
				if key := differ(first.pool, p, first.service, s); key != "" {
					r.Errorf(&s.URL, "tenant %q: url %q is in the pools %q and %q with another %s, expected the same: it is one target, with one state, in both", c.Name, s.URL, first.pool.Name, p.Name, key)
				}
			}
		}
	}
}

// differ names a setting that a target has in one pool and not in the other.
func differ(a, b Pool, in, also *upstream.ServiceConfig) string {
	switch {
	case in.Name != also.Name:
		return "name"
	case in.Health != also.Health || !reflect.DeepEqual(a.Health, b.Health):
		return "health"
	case in.ProxyProtocol != also.ProxyProtocol:
		return "proxy_protocol"
	case !reflect.DeepEqual(in.TLS, also.TLS):
		return "tls"
	case a.Connections != b.Connections:
		return "connections"
	case a.Timeouts.Connect != b.Timeouts.Connect:
		return "timeouts.connect"
	case a.Timeouts.Idle != b.Timeouts.Idle:
		return "timeouts.idle"
	}
	return ""
}

// checkPoolName reports a name of a pool that there isn't.
func (c *Config) checkPoolName(r settings.Reporter, field any, name string) {
	names := c.poolNames()
	switch {
	case slices.Contains(names, name):
	case len(names) == 0:
		r.Errorf(field, "there is no pool %.100q: the tenant has none, expected pools with one of that name", name)
	default:
		meant := ""
		if near := spelling.Nearest(name, names); near != "" {
			meant = fmt.Sprintf("; did you mean %q?", near)
		}
		r.Errorf(field, "there is no pool %.100q, expected one of %s%s", name, strings.Join(names, ", "), meant)
	}
}

func (c *Config) poolNames() (names []string) {
	for _, p := range c.AllPools() {
		names = append(names, p.Name)
	}
	return names
}

// WarnOfPools tells of what pools that have passed their checks have in vain, and of those
// that nothing leads to. Scripts may: what they choose isn't known.
func (c *Config) WarnOfPools(warn func(field any, format string, args ...any)) {
	for _, p := range c.AllPools() {
		p.warnOfTiers(warn)
	}
	if len(c.LuaRoutes) > 0 {
		return
	}
	used := map[string]bool{upstream.DefaultPool: true}
	for i := range c.Routes {
		for _, name := range c.Routes[i].PoolNames() {
			used[name] = true
		}
		if m := c.Routes[i].Mirror; m != nil {
			used[m.Pool] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Pools)) {
		if !used[name] {
			warn(c.Pools[name], "tenant %q: no route leads to the pool %q, which gets no requests; expected routes: [{path: …, pool: %s}]", c.Name, name, name)
		}
	}
}
