package proxy

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener/acme"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/proxy/terms"
	"github.com/keystone-gateway/keystone-gateway/tenants"
	"github.com/keystone-gateway/keystone-gateway/tenants/route"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// parsed is a configuration of a text.
func parsed(t *testing.T, text string) *Config {
	t.Helper()
	config, err := Parse(filepath.Join(t.TempDir(), "c.yaml"), []byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return config
}

// loadedScripts loads a script, a.lua.
func loadedScripts(t *testing.T, text string) *lua.Scripts {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.lua"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	config := lua.DefaultConfig()
	config.Timeout, config.LoadTimeout = 60e9, 60e9
	scripts, err := lua.Load(lua.Options{Tenant: "a", Dir: dir, Scripts: []string{"a.lua"}, Config: config, Cache: lua.NewCache(), Clock: systemClock{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(scripts.Close)
	return scripts
}

// TestCompiledTenants: what requests see of a tenant's section.
func TestCompiledTenants(t *testing.T) {
	t.Parallel()
	s := newServer(&Options{File: "c.yaml"})
	for section, want := range map[string]string{
		"domains: [a.example.com]":                               "/   true false false 0s false 2s 1m0s 1m0s",
		"path_prefix: /api/v1":                                   "/api/v1 /api/v1  true false false 0s false 2s 1m0s 1m0s",
		"path_prefix: /api, strip_prefix: true":                  "/api /api /api true false false 0s false 2s 1m0s 1m0s",
		"path_prefix: /, strip_prefix: true":                     "/   true false false 0s false 2s 1m0s 1m0s",
		"path_prefix: /a, preserve_host: false, expect: forward": "/a /a  false true false 0s false 2s 1m0s 1m0s",
		"path_prefix: /a, client_tls: {allow_without_tls: true}": "/a /a  true false true 0s false 2s 1m0s 1m0s",
		"path_prefix: /a, timeouts: {connect: 3s, response_header: 4s, idle: 5s, total: 6s}, lua: {total_timeout: 7s}": "/a /a  true false false 6s false 3s 4s 5s",
	} {
		config := parsed(t, "tenants: [{name: a, "+section+", services: [{url: 'http://127.0.0.1:1'}]}]\n")
		tenant := s.compileTenant(refusedWith(&config.Tenants[0]), nil)
		u := tenant.Timeouts
		match := strings.TrimSuffix(strings.TrimPrefix(string(tenant.Logged), `,"tenant":"a","route":"`), `"`)
		got := fmt.Sprint(match, " ", tenant.Prefix, " ", tenant.StripPrefix, " ", tenant.PreserveHost, " ", tenant.Expects, " ", tenant.WithoutTLS, " ", tenant.Total, " ", tenant.Pool != nil, " ", u.Connect, " ", u.ResponseHeader, " ", u.Idle)
		if got != want || tenant.Name != "a" || tenant.Stats == nil || tenant.Stats != s.statsOf("a") || u.Total != tenant.Total || u.TotalKey != exchange.TotalKey {
			t.Errorf("%s: %q, want %q", section, got, want)
		}
		if wantTotal := map[bool]time.Duration{true: 7 * time.Second, false: time.Minute}[strings.Contains(section, "lua:")]; tenant.ScriptsTotal != wantTotal {
			t.Errorf("%s: its scripts have %v", section, tenant.ScriptsTotal)
		}
	}
	l := limitsOf(parsed(t, "server: {timeouts: {header: 1s, keepalive: 2s, half_close: 3s, linger: 4s, linger_idle: 5s}}\nrequest_limits: {max_header_size: 20KiB}\ntenants: [{name: a, path_prefix: /, services: [{url: 'http://127.0.0.1:1'}]}]\n"))
	if got := fmt.Sprint(l.Header/1e9, l.Keepalive/1e9, l.HalfClose/1e9, l.Linger/1e9, l.LingerIdle/1e9, l.MaxHeader); got != "1 2 3 4 5 20480" {
		t.Errorf("connections are held to %s", got)
	}
}

// TestEagerLoads: up to so many tenants have a VM before their first request, and what is
// only checked has none.
func TestEagerLoads(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		tenants        int
		checking, lazy bool
	}{{1, false, false}, {eagerTenants, false, false}, {eagerTenants + 1, false, true}, {1, true, true}} {
		s := newServer(&Options{File: "c.yaml"})
		s.checking = c.checking
		config := DefaultConfig()
		config.Tenants = make([]tenants.Config, c.tenants)
		config.LuaRouting.GlobalScripts, config.Tenants[0].Name, config.Tenants[0].LuaRoutes = []string{"all"}, "a", []string{"own"}
		o := s.newLoad(&config, &config.Tenants[0], "scripts").Options
		if o.Lazy != c.lazy || o.Tenant != "a" || o.Dir != "scripts" || o.Global != 1 || strings.Join(o.Scripts, " ") != "all own" || o.Stats == nil || o.Stats != s.scripts.stats["a"] || o.Shards != processors() || o.Store == nil || o.LogWriter != nil {
			t.Errorf("%+v: %+v", c, o)
		}
	}
}

// refusedWith is a section without services, which need a generation of pools.
func refusedWith(c *tenants.Config) *tenants.Config {
	own := *c
	own.Services = nil
	return &own
}

// TestRefusedConfigurations: of a tenant that isn't served, what there is to know is its
// match, its scripts' names, and whether it has certificates.
func TestRefusedConfigurations(t *testing.T) {
	t.Parallel()
	asked := &tenants.Config{Name: "a", Domains: []string{"a.example"}, PathPrefix: "/x", LuaRoutes: []string{"a.lua"}, TLS: tenants.TLSAuto, StripPrefix: true, Services: []upstream.ServiceConfig{{}}}
	got := refusedConfig(asked)
	if got.Name != "a" || got.Domains[0] != "a.example" || got.PathPrefix != "/x" || got.LuaRoutes[0] != "a.lua" || got.TLS != tenants.TLSAuto || got.StripPrefix || len(got.Services) > 0 || !got.PreserveHost {
		t.Errorf("got %+v", got)
	}
	for state, want := range map[string]string{
		Outdated: "the tenant is served as before: what the configuration asks for can't be used", Loading: "requests of the tenant are answered 503: its scripts are still being loaded",
		Misconfigured: "requests of the tenant are answered 503: what the configuration asks for can't be used, and nothing that was served before",
	} {
		if got := (&Problem{State: state}).consequence(); got != want {
			t.Errorf("%s: %s", state, got)
		}
	}
}

// TestTermsOfSections: what a section asks of clients' TLS.
func TestTermsOfSections(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		section tenants.ClientTLSConfig
		want    string
		fields  bool
	}{
		{tenants.ClientTLSConfig{MinVersion: "1.2", ClientAuth: tenants.ClientAuthNone, CAFiles: []string{"x"}}, "771 0 [] []", false}, {tenants.ClientTLSConfig{MinVersion: "1.3", ClientAuth: tenants.ClientAuthNone}, "772 0 [] []", false},
		{tenants.ClientTLSConfig{ClientAuth: tenants.ClientAuthRequest, CAFiles: []string{"a.pem", "/b.pem"}, CRLFiles: []string{"c.crl"}}, fmt.Sprint(771, terms.Request, []string{"dir/a.pem", "/b.pem"}, []string{"dir/c.crl"}), true},
		{tenants.ClientTLSConfig{ClientAuth: tenants.ClientAuthRequire}, fmt.Sprint(771, terms.Require, "[] []"), true},
	} {
		ask := termsOf(&c.section, "dir")
		got, want := strings.ReplaceAll(fmt.Sprint(ask.MinVersion, ask.Auth, ask.CAFiles, ask.CRLFiles), " ", ""), strings.ReplaceAll(c.want, " ", "")
		if got != want || (certificateFields(&c.section) != nil) != c.fields {
			t.Errorf("%+v: %s, want %s", c.section, got, want)
		}
	}
	section := tenants.ClientTLSConfig{CAFiles: []string{"a.pem", "/b.pem"}, CRLFiles: []string{"c.crl"}}
	for path, want := range map[string]any{"dir/a.pem": &section.CAFiles[0], "/b.pem": &section.CAFiles[1], "dir/c.crl": &section.CRLFiles[0], "c.crl": &section} {
		if got := fieldOfTerms(&section, "dir", &terms.Problem{Path: path}); got != want {
			t.Errorf("%s is named by %v", path, got)
		}
	}
}

// TestEntrances: what a listener's section says to requests.
func TestEntrances(t *testing.T) {
	t.Parallel()
	e := newEntrance(&listener.Config{Name: "a", TrustedProxies: []string{"10.0.0.0/8", "unix"}, HTTPSPort: 8443, RedirectExcept: []string{"/x"}})
	if e.Name != "a" || !e.TrustUnix || e.Redirect != nil {
		t.Errorf("without a redirect: %+v", e)
	}
	for port, want := range map[int]string{0: "", 8443: ":8443", 1: ":1"} {
		e := newEntrance(&listener.Config{RedirectToHTTPS: true, HTTPSPort: port})
		if e.Redirect == nil || e.Redirect.Port != want || e.Redirect.Except != nil || e.TrustUnix {
			t.Errorf("port %d: %+v", port, e.Redirect)
		}
	}
	if e = newEntrance(&listener.Config{RedirectToHTTPS: true, RedirectExcept: []string{"/x"}}); e.Redirect.Except == nil {
		t.Error("exceptions are forgotten")
	}
	first, second := new(route.Table[*exchange.Tenant]), new(route.Table[*exchange.Tenant])
	for name, want := range map[string]*route.Table[*exchange.Tenant]{"a": first, "b": second, "": second} {
		if got := (tables{"a": first, "": second}).of(name); got != want {
			t.Errorf("%q has another table", name)
		}
	}
}

// TestNumbersOfListeners: a new one gets a number that no other has, not even one that is
// leaving, and is called by what its section says.
func TestNumbersOfListeners(t *testing.T) {
	t.Parallel()
	sweeper := socket.NewSweeper()
	at := func(number int) *entry {
		l, err := listener.Listen(listener.Options{Address: "127.0.0.1:0", Number: number, Shared: &listener.Tally{}, Sweeper: sweeper, Own: &listener.Own{}, Purpose: listener.Public})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		return &entry{Listener: l, config: listener.Config{Name: fmt.Sprint("n", number), Address: "127.0.0.1:0"}}
	}
	l := &listeners{open: []*entry{at(0), at(3)}, leaving: []*entry{at(1)}}
	if got := l.freeNumber(nil); got != 2 {
		t.Errorf("the number %d is free", got)
	}
	if got := l.freeNumber([]*entry{at(2), at(4)}); got != 5 {
		t.Errorf("beside new ones, the number %d is free", got)
	}
	for number, want := range map[int]string{0: "n0", 1: "n1", 3: "n3", 2: ""} {
		if got := l.called(number); got != want {
			t.Errorf("the listener %d is called %q", number, got)
		}
	}
	for name, want := range map[string]int{"n3": 3, "n0": 0, "other": 0} {
		if got := l.find(&listener.Config{Name: name, Address: "127.0.0.1:0"}, nil); got == nil || got.Number() != want {
			t.Errorf("%s is found as %+v", name, got)
		}
	}
	if got := l.find(&listener.Config{Name: "other", Address: "127.0.0.1:0"}, l.open[:1]); got != l.open[1] {
		t.Errorf("beside one that is taken, %+v is found", got)
	}
	if l.find(&listener.Config{Address: "127.0.0.1:1"}, nil) != nil {
		t.Error("another address is found")
	}
}

// TestAskedInVain: why nobody asks what scripts declare.
func TestAskedInVain(t *testing.T) {
	t.Parallel()
	asking, silent := loadedScripts(t, "chi.tls_ask(function() return true end)"), loadedScripts(t, "chi.get('/', print)")
	const never = "a.lua:1: chi_tls_ask is never asked here: "
	for _, c := range []struct {
		scripts *lua.Scripts
		orders  bool
		tenant  tenants.Config
		want    string
	}{
		{silent, false, tenants.Config{}, ""}, {asking, false, tenants.Config{TLS: tenants.TLSAuto}, never + "no certificates are ordered for the tenant, which has no tls: auto"}, {asking, true, tenants.Config{}, never + "no certificates are ordered for the tenant, which has no tls: auto"},
		{asking, true, tenants.Config{TLS: tenants.TLSAuto}, ""}, {asking, true, tenants.Config{TLS: tenants.TLSAuto, Domains: []string{"a.example"}}, never + "the tenant's domains are spelt out, and get their certificates without"}, {asking, true, tenants.Config{TLS: tenants.TLSAuto, Domains: []string{"a.example", "*.example"}}, ""},
	} {
		config := DefaultConfig()
		if c.orders {
			config.Certificates.ACME = new(acme.Config)
		}
		if got := config.askedInVain(&c.tenant, c.scripts); got != c.want {
			t.Errorf("%+v: %q, want %q", c.tenant, got, c.want)
		}
		c.tenant.Name = "a"
		config.Tenants = []tenants.Config{{Name: "none"}, c.tenant}
		asked := config.whoIsAsked(map[string]*lua.Scripts{"a": c.scripts})
		if asked[c.scripts.TLSAskAt()] != (c.want == "") || len(asked) > 1 {
			t.Errorf("%+v: asked is %v", c.tenant, asked)
		}
	}
	c := DefaultConfig()
	for _, one := range []struct {
		enabled bool
		global  []string
		own     []string
		want    bool
	}{{true, nil, nil, false}, {true, []string{"x"}, nil, true}, {false, []string{"x"}, nil, false}, {false, nil, []string{"x"}, true}} {
		c.LuaRouting.Enabled, c.LuaRouting.GlobalScripts = one.enabled, one.global
		if c.scripted(&tenants.Config{LuaRoutes: one.own}) != one.want {
			t.Errorf("%+v: it is to have scripts: %v", one, !one.want)
		}
	}
}

// TestAskWarnings: that a name gets no certificate on demand is said where no script can
// have a say, of scripts that are new.
func TestAskWarnings(t *testing.T) {
	t.Parallel()
	asking, silent := loadedScripts(t, "chi.tls_ask(function() return true end)"), loadedScripts(t, "chi.get('/', print)")
	for _, c := range []struct {
		all, known map[string]*lua.Scripts
		unloaded   bool // the tenant is to have scripts
		want       string
	}{
		{map[string]*lua.Scripts{"a": silent}, nil, false, "own,all"}, {map[string]*lua.Scripts{"a": asking}, nil, false, ""}, {map[string]*lua.Scripts{"a": silent}, map[string]*lua.Scripts{"a": silent}, false, ""},
		{map[string]*lua.Scripts{"a": silent}, map[string]*lua.Scripts{"a": asking}, false, "own"}, {map[string]*lua.Scripts{"a": silent}, map[string]*lua.Scripts{}, false, "own"}, {nil, nil, false, "all"}, {nil, nil, true, ""}, {nil, map[string]*lua.Scripts{}, true, ""},
	} {
		config := parsed(t, "tenants: [{name: a, path_prefix: /, services: [{url: 'http://127.0.0.1:1'}]}]\n")
		config.unasked = map[string][]string{"a": {"own"}, "": {"all"}, "b": {"others"}}
		if c.unloaded {
			config.Tenants[0].LuaRoutes = []string{"a.lua"}
		}
		if got := strings.Join(config.askWarnings(c.all, c.known), ","); got != c.want {
			t.Errorf("%+v: %q, want %q", c, got, c.want)
		}
	}
}
