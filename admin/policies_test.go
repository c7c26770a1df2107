package admin_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestPolicies looks for what policies have decided, before and after a reload, in
// the metrics, among the tenants and in the effective configuration.
func TestPolicies(t *testing.T) {
	t.Parallel()
	config := fmt.Sprintf(`tenants:
  - name: open
    domains: [open.example.com]
    policies: [{headers: {response: {set: {X-A: '${host}'}}}}, {ip: {allow: 127.0.0.0/8}}, {headers: {request: {set: {Authorization: '${file:%%s}'}}}}]
    services: [{url: %[1]q}]
  - name: closed
    domains: [closed.example.com]
    policies: [{ip: {deny: 127.0.0.1}}]
    services: [{url: %[1]q}]
  - {name: plain, domains: [plain.example.com], services: [{url: %[1]q}]}
`, target(t))
	g := start(t, strings.ReplaceAll(config, "${file:%s}", "x"))
	ask := func(host string, status int) {
		t.Helper()
		if got := g.send("GET", g.public+"/", "Host: "+host+".example.com").status; got != status {
			t.Errorf("%s: got %d, want %d", host, got, status)
		}
	}
	ask("open", 200)
	ask("closed", 403)
	g.write(strings.ReplaceAll(config, "${file:%s}", "y"))
	g.ask("POST", "/reload").json(t, 200)
	ask("open", 200)
	ask("closed", 403)
	ask("plain", 200)
	g.settle()
	s := parse(t, g.ask("GET", "//metrics").text)
	for series, want := range map[string]float64{
		`keystone_policy_decisions_total{tenant="open",policy="headers",decision="passed"}`: 4,
		`keystone_policy_decisions_total{tenant="open",policy="ip",decision="passed"}`:      2,
		`keystone_policy_decisions_total{tenant="open",policy="ip",decision="answered"}`:    0,
		`keystone_policy_decisions_total{tenant="closed",policy="ip",decision="answered"}`:  2,
		`keystone_policy_decisions_total{tenant="closed",policy="ip",decision="failed"}`:    0,
		`keystone_errors_total{tenant="closed",code="ip_denied"}`:                           2,
	} {
		if got, ok := s[series]; !ok || got != want {
			t.Errorf("%s is %v %v, want %v", series, got, ok, want)
		}
	}
	document := g.ask("GET", "/tenants").json(t, 200)
	if got := fmt.Sprint(at(t, document, "tenants", 0, "policies")); got != "[map[answered:0 failed:0 passed:4 policy:headers] map[answered:0 failed:0 passed:2 policy:ip]]" {
		t.Errorf("got %s", got)
	}
	if got := fmt.Sprint(at(t, document, "tenants", 2, "policies")); got != "[]" {
		t.Errorf("of a tenant without policies, got %s", got)
	}
}

// TestMaintenance switches a tenant's maintenance, until a reload.
func TestMaintenance(t *testing.T) {
	t.Parallel()
	config := fmt.Sprintf(`tenants:
  - {name: shop, domains: [shop.example.com], policies: [{maintenance: {enabled: false}}], services: [{url: %[1]q}]}
  - {name: plain, domains: [plain.example.com], services: [{url: %[1]q}]}
`, target(t))
	g := start(t, config)
	ask := func(status int) {
		t.Helper()
		if got := g.send("GET", g.public+"/", "Host: shop.example.com").status; got != status {
			t.Errorf("got %d, want %d", got, status)
		}
	}
	post := func(tenant, body string, status int) any {
		t.Helper()
		return g.sendBody("POST", g.base+"/tenants/"+tenant+"/maintenance", body).json(t, status)
	}
	ask(200)
	post("shop", `{"enabled": true}`, 200)
	ask(503)
	if got := fmt.Sprint(g.ask("GET", "/tenants/shop/maintenance").json(t, 200)); got != "map[enabled:true tenant:shop]" {
		t.Errorf("got %s", got)
	}
	post("shop", `{"enabled": false}`, 200)
	ask(200)
	post("shop", `{"enabled": true}`, 200)
	for _, body := range []string{"", "{}", `{"enabled": 1}`, `{"enabled": true, "x": 1}`, `{"enabled": false}{}`, `[]`, `{"enabled": false, "tenant": "plain"}`} {
		post("shop", body, 400)
	}
	post("plain", `{"enabled": true}`, 409)
	post("nobody", `{"enabled": true}`, 404)
	ask(503)
	g.write(config + "# changed\n")
	g.ask("POST", "/reload").json(t, 200)
	ask(200)
}
