package admin_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/test/until"
)

func TestHealth(t *testing.T) {
	t.Parallel()
	g := start(t, twoTenants(t))
	document := g.ask("GET", "/health").json(t, 200)
	if at(t, document, "status") != "healthy" || at(t, document, "version") != "1.2.3" ||
		at(t, document, "tenants", "total") != 2.0 || at(t, document, "tenants", "healthy") != 2.0 {
		t.Errorf("got %v", document)
	}
	if made, err := time.Parse(time.RFC3339Nano, document["timestamp"].(string)); err != nil || time.Since(made).Abs() > 2*patience {
		t.Errorf("timestamp %v, want now", document["timestamp"])
	}
	if up := document["uptime_seconds"].(float64); up < 0 || up > 2*patience.Seconds() {
		t.Errorf("uptime_seconds %v, want a moment", up)
	}

	if got := g.send("GET", g.public+"/down").status; got != 502 {
		t.Fatalf("request to a closed target: %d, want 502", got)
	}
	document = g.ask("GET", "/health").json(t, 503)
	if at(t, document, "status") != "unhealthy" || at(t, document, "tenants", "healthy") != 1.0 || at(t, document, "unhealthy", 0) != "down" {
		t.Errorf("got %v", document)
	}
	head := g.ask("HEAD", "/health")
	if head.status != 503 || head.text != "" || head.header.Get("Content-Length") == "0" {
		t.Errorf("HEAD: got %+v, want 503 and the length of what GET has", head)
	}
}

func TestHealthWhileDraining(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}), make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(arrived)
		<-release
	}))
	t.Cleanup(slow.Close)
	finish := sync.OnceFunc(func() { close(release) })
	defer finish()
	g := start(t, fmt.Sprintf("tenants: [{name: slow, path_prefix: /, services: [{url: %q}]}]", slow.URL))
	done := make(chan int, 1)
	go func() {
		response, err := g.client.Get(g.public + "/")
		if err != nil {
			done <- 0
			return
		}
		_ = response.Body.Close()
		done <- response.StatusCode
	}()
	<-arrived
	g.stop()
	for deadline := time.Now().Add(patience); ; {
		a := g.ask("GET", "/health")
		if a.status == 503 {
			if document := a.json(t, 503); document["status"] != "draining" {
				t.Errorf("got %v, want draining", document)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("never draining")
		}
	}
	finish()
	if got := <-done; got != 200 {
		t.Errorf("the request in progress ended with %d, want 200", got)
	}
}

var serviceKeys = []string{
	"consecutive_failures", "ejected", "ejected_until", "ejections", "failures", "in_flight", "last_check", "last_error", "latency_ms",
	"name", "probe", "requests", "retries", "standing", "status", "tls", "transitions", "url", "weight",
}

func TestTenants(t *testing.T) {
	t.Parallel()
	g := start(t, twoTenants(t)+fmt.Sprintf("  - {name: both, domains: [both.example.com], path_prefix: /x, services: [{url: %q}]}\n", target(t)))
	for range 3 {
		g.send("POST", g.public+"/", "Host: up.example.com")
	}
	g.send("GET", g.public+"/down")
	g.settle()
	document := g.ask("GET", "/tenants").json(t, 200)
	for i, want := range []struct {
		name, routing, status string
		requests              float64
	}{
		{"up", "host-based", "healthy", 3},
		{"down", "path-based", "unhealthy", 1},
		{"both", "hybrid", "healthy", 0},
	} {
		one := at(t, document, "tenants", i)
		if at(t, one, "name") != want.name || at(t, one, "routing") != want.routing ||
			at(t, one, "status") != want.status || at(t, one, "requests") != want.requests {
			t.Errorf("got %v, want %v", one, want)
		}
		if got := keys(at(t, one, "services", 0)); !slices.Equal(got, serviceKeys) {
			t.Errorf("a service has the keys %v, want %v", got, serviceKeys)
		}
	}
	up := at(t, document, "tenants", 0)
	if at(t, up, "domains", 0) != "up.example.com" || at(t, up, "path_prefix") != "" || len(at(t, up, "lua_routes").([]any)) != 0 ||
		at(t, up, "responses", "2xx") != 3.0 || at(t, up, "bytes_out") != 15.0 || at(t, up, "services", 0, "requests") != 3.0 {
		t.Errorf("got %v", up)
	}
	if at(t, document, "tenants", 1, "responses", "5xx") != 1.0 {
		t.Errorf("got %v, want one 5xx", document)
	}
}

func TestTenantHealth(t *testing.T) {
	t.Parallel()
	g := start(t, twoTenants(t))
	up := g.ask("GET", "/tenants/up/health").json(t, 200)
	if up["tenant"] != "up" || up["status"] != "healthy" || at(t, up, "services", 0, "name") != "one" || at(t, up, "services", 0, "last_check") != nil {
		t.Errorf("got %v", up)
	}
	g.send("GET", g.public+"/down")
	down := g.ask("GET", "/tenants/down/health").json(t, 503)
	dead := at(t, down, "services", 0)
	if down["status"] != "unhealthy" || at(t, dead, "status") != "unhealthy" || at(t, dead, "failures") != 1.0 ||
		at(t, dead, "last_error") == "" || at(t, dead, "transitions") != 1.0 {
		t.Errorf("got %v", down)
	}
	if got := keys(dead); !slices.Equal(got, serviceKeys) {
		t.Errorf("a service has the keys %v, want %v", got, serviceKeys)
	}
	for deadline := time.Now().Add(patience); at(t, dead, "last_check") == nil; {
		if time.Now().After(deadline) {
			t.Fatal("never probed")
		}
		dead = at(t, g.ask("GET", "/tenants/down/health").json(t, 503), "services", 0)
	}
	g.ask("GET", "/tenants/nobody/health").refused(t, 404, "unknown_tenant")
	g.ask("GET", "/tenants//health").refused(t, 404, "unknown_tenant")
	if got := g.ask("HEAD", "/tenants/down/health"); got.status != 503 || got.text != "" {
		t.Errorf("HEAD: got %+v", got)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	const token = "a-token-nobody-may-see"
	g := start(t, "admin:\n  token: "+token+"\n"+twoTenants(t))
	a := g.ask("GET", "/config", "Authorization: Bearer "+token)
	document := a.json(t, 200)
	if at(t, document, "admin", "token") != "***" || strings.Contains(a.text, token) {
		t.Errorf("the token isn't masked: %s", a.text)
	}
	if at(t, document, "tenants", 0, "name") != "up" || at(t, document, "request_limits", "max_body_size") != "10MiB" {
		t.Errorf("got %s, want what the file says, and defaults", a.text)
	}
}

func TestReload(t *testing.T) {
	t.Parallel()
	g := start(t, twoTenants(t))
	if s := g.ask("GET", "/snapshot").json(t, 200); s["generation"] != 1.0 || s["tenants"] != 2.0 || s["targets"] != 2.0 || at(t, s, "last_reload", "ok") != true {
		t.Errorf("at the start: got %v", s)
	}

	g.write(fmt.Sprintf("tenants: [{name: other, path_prefix: /, services: [{url: %q}]}]", target(t)))
	good := g.ask("POST", "/reload").json(t, 200)
	if good["ok"] != true || good["generation"] != 2.0 || len(good["errors"].([]any)) != 0 ||
		fmt.Sprint(good["changes"]) != `[tenant "other" added tenant "up" removed tenant "down" removed]` {
		t.Errorf("got %v", good)
	}

	g.write("tenants: [{name: other, path_prefix: /, servces: []}]")
	bad := g.ask("POST", "/reload").json(t, 422)
	if bad["ok"] != false || bad["generation"] != 2.0 || len(bad["changes"].([]any)) != 0 ||
		!strings.Contains(fmt.Sprint(at(t, bad, "errors", 0)), "config.yaml:4:") {
		t.Errorf("got %v, want errors with their place", bad)
	}
	s := g.ask("GET", "/snapshot").json(t, 200)
	if s["generation"] != 2.0 || s["tenants"] != 1.0 || at(t, s, "last_reload", "ok") != false ||
		at(t, s, "reloads", "total") != 2.0 || at(t, s, "reloads", "failed") != 1.0 ||
		fmt.Sprint(at(t, s, "last_reload", "errors")) != fmt.Sprint(bad["errors"]) {
		t.Errorf("got %v, want what POST reload said", s)
	}
	if got := g.send("GET", g.public+"/").status; got != 200 {
		t.Errorf("after a bad reload: %d, want 200", got)
	}
}

// TestBrokenTenants: what is out of date is said everywhere, and the gateway as
// a whole is up.
func TestBrokenTenants(t *testing.T) {
	t.Parallel()
	tenants := func(a, b string) string {
		return fmt.Sprintf("tenants:\n  - {name: a, domains: [a.example], %sservices: [{url: %q}]}\n  - {name: b, domains: [b.example], services: [{url: %[2]q}]%s}\n", a, target(t), b)
	}
	g := start(t, tenants("lua_rotues: [], ", ""))
	said := func(what, status, state string, code int) {
		t.Helper()
		health := g.ask("GET", "/health").json(t, 200)
		if health["status"] != status {
			t.Errorf("%s: health is %v, expected %s", what, health, status)
		}
		for _, word := range []string{"misconfigured", "outdated"} {
			if got := fmt.Sprint(health[word]); (got == "[a]") != (word == state) {
				t.Errorf("%s: %s is %s", what, word, got)
			}
		}
		if live := g.ask("GET", "/live"); live.status != 200 {
			t.Errorf("%s: live is %d", what, live.status)
		}
		snapshot, one := g.ask("GET", "/snapshot"), g.ask("GET", "/tenants/a/health")
		if state == "" {
			if len(snapshot.json(t, 200)["tenants_failed"].([]any)) != 0 || one.json(t, 200)["problem"] != nil || strings.Contains(g.ask("GET", "/metrics").text, "keystone_tenant_broken{") {
				t.Errorf("%s: %s %s", what, snapshot.text, one.text)
			}
			return
		}
		failed := at(t, snapshot.json(t, 200), "tenants_failed", 0)
		for _, p := range []any{failed, one.json(t, code)["problem"], at(t, g.ask("GET", "/tenants").json(t, 200), "tenants", 0, "problem")} {
			if at(t, p, "tenant") != "a" || at(t, p, "state") != state || !strings.Contains(fmt.Sprint(at(t, p, "errors", 0)), "config.yaml:5:") {
				t.Errorf("%s: the problem is %v, expected %s", what, p, state)
			}
		}
		metrics := g.ask("GET", "/metrics").text
		for _, want := range []string{
			"keystone_tenants_broken{state=\"" + state + "\"} 1\n", "keystone_tenant_broken{tenant=\"a\",state=\"" + state + "\"} 1\n", "keystone_last_reload_successful 0\n",
		} {
			if !strings.Contains(metrics, want) {
				t.Errorf("%s: the metrics have no %s", what, want)
			}
		}
	}
	said("a start", "degraded", "misconfigured", 503)

	g.write(tenants("", ""))
	g.ask("POST", "/reload").json(t, 200)
	said("mended", "healthy", "", 200)

	g.write(tenants("lua_rotues: [], ", ", timeouts: {connect: 1s}"))
	partial := g.ask("POST", "/reload").json(t, 200)
	if partial["ok"] != false || partial["applied"] != true || at(t, partial, "tenants_failed", 0, "state") != "outdated" ||
		fmt.Sprint(partial["changes"]) != `[tenant "b" changed]` || !strings.Contains(fmt.Sprint(partial["errors"]), `did you mean "lua_routes"`) {
		t.Errorf("got %v", partial)
	}
	said("a reload", "degraded", "outdated", 200)
	if got := at(t, g.ask("GET", "/snapshot").json(t, 200), "reloads"); fmt.Sprint(got) != "map[failed:0 partial:1 total:2]" {
		t.Errorf("got %v", got)
	}
	if !strings.Contains(g.ask("GET", "/metrics").text, "keystone_reloads_total{result=\"partial\"} 1\n") {
		t.Error("the metrics don't count it")
	}

	g.write(tenants("lua_rotues: [], ", ", lua_rotues: []"))
	if refused := g.ask("POST", "/reload").json(t, 422); refused["ok"] != false || refused["applied"] != false {
		t.Errorf("got %v", refused)
	}
}

func TestMethodsAndPaths(t *testing.T) {
	t.Parallel()
	g := start(t, twoTenants(t))
	const read, act = "GET, HEAD, OPTIONS", "OPTIONS, POST"
	for _, c := range []struct {
		method, path string
		status       int
		code, allow  string
	}{
		{"POST", "/health", 405, "method_not_allowed", read},
		{"DELETE", "/tenants", 405, "method_not_allowed", read},
		{"PUT", "/tenants/up/health", 405, "method_not_allowed", read},
		{"BREW", "/config", 405, "method_not_allowed", read},
		{"POST", "/snapshot", 405, "method_not_allowed", read},
		{"POST", "//metrics", 405, "method_not_allowed", read},
		{"GET", "/reload", 405, "method_not_allowed", act},
		{"HEAD", "/reload", 405, "", act},
		{"OPTIONS", "/reload", 204, "", act},
		{"OPTIONS", "/health", 204, "", read},
		{"GET", "", 404, "not_found", ""},
		{"GET", "/", 404, "not_found", ""},
		{"GET", "/health/", 404, "not_found", ""},
		{"GET", "/HEALTH", 404, "not_found", ""},
		{"GET", "/tenants/a/b/health", 404, "not_found", ""},
		{"GET", "//health", 404, "not_found", ""},
		{"GET", "//debug/pprof", 404, "pprof_off", ""},
		{"GET", "//debug/pprof/heap", 404, "pprof_off", ""},
		{"GET", "//debug/vars", 404, "not_found", ""},
		{"POST", "/nothing", 404, "not_found", ""},
	} {
		a := g.ask(c.method, c.path)
		if a.status != c.status || a.header.Get("Allow") != c.allow || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s: got %d, Allow %q, Cache-Control %q; want %d, %q, no-store",
				c.method, c.path, a.status, a.header.Get("Allow"), a.header.Get("Cache-Control"), c.status, c.allow)
		}
		if c.code != "" {
			a.refused(t, c.status, c.code)
		}
	}
}

// TestBrokenFiles: a file of client_tls that breaks while the gateway runs shows in
// snapshot, health and the metrics, until it is good again.
func TestBrokenFiles(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "ca.pem")
	good := authority(t)
	write := func(content []byte) {
		t.Helper()
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(good)
	g := start(t, fmt.Sprintf("client_tls: {client_auth: request, ca_files: %q}\n", file)+twoTenants(t))
	said := func(broken bool) bool {
		snapshot, health, metrics := g.ask("GET", "/snapshot").json(t, 200), g.ask("GET", "/health").json(t, 200), g.ask("GET", "/metrics").text
		files, listed := snapshot["files_failed"].([]any), health["files_failed"].([]any)
		if !broken {
			return len(files) == 0 && len(listed) == 0 && health["status"] == "healthy" && strings.Contains(metrics, `keystone_files_broken{purpose="client_tls"} 0`)
		}
		return len(files) == 1 && at(t, snapshot, "files_failed", 0, "file") == file && at(t, snapshot, "files_failed", 0, "purpose") == "client_tls" &&
			strings.Contains(at(t, snapshot, "files_failed", 0, "error").(string), "it holds no certificate") &&
			len(listed) == 1 && listed[0] == file && health["status"] == "degraded" &&
			strings.Contains(metrics, `keystone_files_broken{purpose="client_tls"} 1`) && strings.Contains(metrics, `keystone_files_broken{purpose="tickets"} 0`)
	}
	if !said(false) {
		t.Error("a good file is broken")
	}
	write([]byte("nonsense"))
	until.True(t, "the file is told to be broken", func() bool { return said(true) })
	write(good)
	until.True(t, "the file is told to be good", func() bool { return said(false) })
}

// authority is the certificate of one, PEM.
func authority(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
