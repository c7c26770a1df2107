package proxy_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/proxy"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener/acme"
	certifier "github.com/keystone-gateway/keystone-gateway/test/authority"
	"github.com/keystone-gateway/keystone-gateway/test/port"
)

// onDemand is a gateway whose tenants' scripts say which names may have certificates.
type onDemand struct {
	*proxy.Server
	ca  *certifier.Authority
	log *lockedBuffer
}

// gets reports whether clients get a certificate for a name.
func (a *onDemand) gets(t *testing.T, name string) bool {
	t.Helper()
	chain, err := shake(t, a.Server, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	return err == nil && a.ca.Issued(chain, name) == nil
}

// write puts scripts, and a configuration with %s for where they are, into use.
func (a *onDemand) write(t *testing.T, dir string, scripts map[string]string) {
	t.Helper()
	for name, text := range scripts {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// runOnDemand runs a gateway with the tenants pages, which has every name, and wild,
// which has those below example.com; extra is what on_demand has besides.
func runOnDemand(t *testing.T, extra string, scripts map[string]string) (a *onDemand, dir string) {
	t.Helper()
	address, dir := port.Reserve(t), t.TempDir()
	a = &onDemand{ca: certifier.Start(t, certifier.Options{TLSPort: portOf(t, address)}), log: &lockedBuffer{}}
	a.write(t, dir, scripts)
	a.Server = runLogged(t, fmt.Sprintf("server: {address: %q}\ntls: {enabled: true}\naccess_log: {enabled: false}\nlua_routing: {enabled: true, scripts_dir: %q}\n"+
		"certificates: {acme: {ca: %q, ca_roots_file: %q, challenges: [tls-alpn-01], on_demand: {timeout: 30s, wait: 60s%s}}}\ntenants:\n"+
		"- {name: pages, path_prefix: /, tls: auto, lua_routes: [pages.lua]}\n"+
		"- {name: wild, domains: ['*.example.com'], tls: auto, lua_routes: [wild.lua], lua: {timeout: 20s, max_instructions: 100000}}\n"+
		"- {name: other, domains: [other.example.com], services: [{url: 'http://127.0.0.1:1'}]}\n",
		address, dir, a.ca.URL, a.ca.RootsFile, extra), zerolog.New(a.log))
	return a, dir
}

// TestOnDemandByScript orders what a tenant's script allows and nothing else: a no is
// remembered, a failure and anything but true is a no, and a script has no say about
// names that aren't its tenant's.
func TestOnDemandByScript(t *testing.T) {
	t.Parallel()
	a, dir := runOnDemand(t, "", map[string]string{
		"pages.lua": "chi.tls_ask(function(name) if name == 'typed.example.org' then return 'true' end return name:match('%.org$') ~= nil end)",
		"wild.lua":  "chi.tls_ask(function(name) if name == 'loop.example.com' then while true do end end return name:match('^x') ~= nil end)",
	})
	for name, want := range map[string]bool{
		"Customer.example.org": true, "customer.example.net": false, "typed.example.org": false,
		"x.example.com": true, "y.example.com": false, "loop.example.com": false, "other.example.com": false, "x.org.example.com": true, "y.org.example.com": false,
	} {
		if have := a.gets(t, name); have != want {
			t.Errorf("%s has a certificate: %v, want %v", name, have, want)
		}
	}
	before := a.ACME().Counters()
	if want := (acme.Counters{Allowed: 3, Refused: 3, Unanswered: 2}); before.Allowed != want.Allowed || before.Refused != want.Refused || before.Unanswered != want.Unanswered {
		t.Errorf("%+v, want %+v", before, want)
	}
	for _, want := range []string{
		`"name":"loop.example.com"`, "the script's chi_tls_ask has no answer: wild.lua:1: lua.max_instructions 100000 is used up",
		`"name":"typed.example.org"`, "returned a string value, expected true or false", `"msg":"a script failed"`,
	} {
		if want = strings.ReplaceAll(want, `"msg"`, `"message"`); !strings.Contains(a.log.String(), want) {
			t.Errorf("nothing of %s in\n%s", want, a.log.String())
		}
	}
	if a.gets(t, "y.example.com") || a.ACME().Counters() != before {
		t.Errorf("a no is not remembered: %+v", a.ACME().Counters())
	}
	// A reload asks anew, and gives up what nobody has a say about any more.
	a.write(t, dir, map[string]string{"wild.lua": "chi.tls_ask(function(name) return true end)", "pages.lua": "chi.get('/', function() end)"})
	if result := a.Reload(); !result.OK || !strings.Contains(fmt.Sprint(result.Warnings), "tls: auto of tenant \"pages\" gets no certificate") {
		t.Fatalf("%+v", result)
	}
	if !a.gets(t, "y.example.com") || a.gets(t, "customer.example.org") {
		t.Error("another script's answers are not those that count")
	}
	// A broken one changes nothing.
	a.write(t, dir, map[string]string{"wild.lua": "nonsense"})
	a.Reload()
	if !a.gets(t, "y.example.com") || !a.gets(t, "z.example.com") {
		t.Error("the tenant's last good script has no say")
	}
}

// TestOnDemandByBoth asks a script and the URL: both have to say yes.
func TestOnDemandByBoth(t *testing.T) {
	t.Parallel()
	var asks atomic.Int64
	by := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asks.Add(1)
		if strings.HasPrefix(r.URL.Query().Get("domain"), "n") {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer by.Close()
	a, _ := runOnDemand(t, ", ask: '"+by.URL+"'", map[string]string{
		"pages.lua": "chi.get('/', function() end)", "wild.lua": "chi.tls_ask(function(name) return name:match('^n?x') ~= nil end)",
	})
	for name, want := range map[string]bool{"x.example.com": true, "nx.example.com": false, "y.example.com": false, "y.example.org": true, "n.example.org": false} {
		if have := a.gets(t, name); have != want {
			t.Errorf("%s has a certificate: %v, want %v", name, have, want)
		}
	}
	if asks.Load() != 4 {
		t.Errorf("the URL was asked %d times, want 4: a script's no is enough", asks.Load())
	}
}

// TestOnDemandWithoutScripts refuses all names of a tenant whose scripts can't be
// loaded, even if a URL would allow them.
func TestOnDemandWithoutScripts(t *testing.T) {
	t.Parallel()
	by := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer by.Close()
	a, _ := runOnDemand(t, ", ask: '"+by.URL+"'", map[string]string{"pages.lua": "chi.get('/', function() end)", "wild.lua": "nonsense"})
	if a.gets(t, "x.example.com") || !a.gets(t, "x.example.org") {
		t.Error("a name has a certificate about which scripts may have a say that aren't there, or none that nobody has a say about")
	}
	if want := "the tenant's scripts are not in use, which may have a say"; !strings.Contains(a.log.String(), want) {
		t.Errorf("nothing of %s in\n%s", want, a.log.String())
	}
}

// TestOnDemandDoubts demands a warning where nobody, or nobody who is asked, has a say.
func TestOnDemandDoubts(t *testing.T) {
	t.Parallel()
	const none, ask = "chi.get('/', function() end)", "chi.tls_ask(function() return true end)"
	const vain = "gets no certificate: a wildcard needs certificates.acme.dns.command, and a name below it certificates.acme.on_demand.ask or a script's chi_tls_ask"
	for _, c := range []struct{ section, tenant, script, want, not string }{
		{"", "domains: ['*.example.com'], tls: auto, lua_routes: [a.lua]", none, "config.yaml:5:23: \"*.example.com\" of tenant \"a\" " + vain, ""},
		{"", "domains: ['*.example.com'], tls: auto, lua_routes: [a.lua]", ask, "", "certificate"},
		{"", "path_prefix: /, tls: auto, lua_routes: [a.lua]", none, "it has no domains, and neither certificates.acme.on_demand.ask nor a script's chi_tls_ask says", ""},
		{"", "path_prefix: /, tls: auto, lua_routes: [a.lua]", ask, "", "certificate"},
		{"", "domains: [a.example.com], tls: auto, lua_routes: [a.lua]", ask, "a.lua:1: chi_tls_ask is never asked here: the tenant's domains are spelt out", ""},
		{"", "domains: ['*.example.com'], lua_routes: [a.lua]}\n- {name: b, domains: [b.example.com], tls: auto, services: [{url: 'http://127.0.0.1:1'}]", ask, "a.lua:1: chi_tls_ask is never asked here: no certificates are ordered for the tenant", ""},
		{", on_demand: {max_names: 7}", "domains: [a.example.com], tls: auto, lua_routes: [a.lua]", none, "certificates.acme.on_demand orders nothing: it has no ask", ""},
		{", on_demand: {max_names: 7}", "domains: [a.example.com], tls: auto, services: [{url: 'http://127.0.0.1:1'}]", none, "certificates.acme.on_demand orders nothing: it has no ask", ""},
		{", on_demand: {max_names: 7}", "domains: ['*.example.com'], tls: auto, lua_routes: [a.lua]", ask, "", "on_demand"},
		{"", "domains: ['*.example.com'], tls: auto, lua_routes: [a.lua]}\n- {name: b, domains: [b.example.com], lua_routes: [a.lua]", ask, "", "never asked"},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "a.lua"), []byte(c.script), 0o600); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, "config.yaml")
		config, err := proxy.Parse(file, fmt.Appendf(nil, "tls: {enabled: true}\ncertificates: {acme: {ca: letsencrypt-staging%s}}\nlua_routing: {enabled: true, scripts_dir: .}\ntenants:\n- {name: a, %s}\n", c.section, c.tenant))
		if err != nil {
			t.Fatal(err)
		}
		list, err := proxy.CheckScripts(file, config)
		if err != nil {
			t.Fatal(err)
		}
		if text := strings.Join(list, "\n"); !strings.Contains(text, c.want) || c.not != "" && strings.Contains(text, c.not) {
			t.Errorf("%s, %s, %s: %q, expected %q", c.section, c.tenant, c.script, bytes.TrimSpace([]byte(text)), c.want)
		}
	}
}

// TestOnDemandDocs has docs/tls.md's example of a script do what it says.
func TestOnDemandDocs(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/tls.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "chi.tls_ask`](lua.md")
	section, _, _ = strings.Cut(section, "### Several gateways")
	blocks := map[string]string{}
	for _, b := range codeBlocks(section) {
		blocks[b.language] = b.text
	}
	address, dir := port.Reserve(t), t.TempDir()
	a := &onDemand{ca: certifier.Start(t, certifier.Options{TLSPort: portOf(t, address)}), log: &lockedBuffer{}}
	a.write(t, dir, map[string]string{"names.lua": blocks["lua"]})
	a.Server = runLogged(t, strings.NewReplacer(`":443"`, fmt.Sprintf("%q", address), "scripts_dir: scripts", fmt.Sprintf("scripts_dir: %q", dir),
		"email: ops@example.com", fmt.Sprintf("ca: %q, ca_roots_file: %q, challenges: [tls-alpn-01], on_demand: {timeout: 30s, wait: 60s}", a.ca.URL, a.ca.RootsFile),
	).Replace(blocks["yaml"]), zerolog.New(a.log))
	names := regexp.MustCompile(`(?m)^-- TLS (\S+) -> (yes|no)$`).FindAllStringSubmatch(blocks["lua"], -1)
	if len(names) != 3 {
		t.Fatalf("%d names in %v", len(names), blocks)
	}
	for _, m := range names {
		if have := a.gets(t, m[1]); have != (m[2] == "yes") {
			t.Errorf("%s has a certificate: %v, want %s", m[1], have, m[2])
		}
	}
}
