package admin_test

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestOnPublic(t *testing.T) {
	t.Parallel()
	text := twoTenants(t)
	g := start(t, "admin:\n  on_public: true\n  token: "+token+"\n"+text)
	down := g.send("GET", g.public+"/down")
	if down.status != 502 {
		t.Fatalf("request to a closed target: %d, want 502", down.status)
	}

	up := g.send("GET", g.public+"/admin/tenants/up/health").json(t, 200)
	if up["tenant"] != "up" || up["status"] != "healthy" {
		t.Errorf("got %v", up)
	}
	a := g.send("GET", g.public+"/admin/tenants/down/health", "Host: up.example.com") // whatever the host
	dead := a.json(t, 503)
	if at(t, dead, "status") != "unhealthy" || !slices.Equal(keys(at(t, dead, "services", 0)), []string{"name", "status"}) {
		t.Errorf("got %s, want nothing but names and states", a.text)
	}
	h := g.send("GET", g.public+"/admin/health")
	for deadline := time.Now().Add(patience); h.status == 200 && time.Now().Before(deadline); {
		h = g.send("GET", g.public+"/admin/health") // it may be 100 ms old
	}
	health := h.json(t, 503)
	if _, named := health["unhealthy"]; named || health["status"] != "unhealthy" || at(t, health, "tenants", "healthy") != 1.0 {
		t.Errorf("got %v, want numbers and no names", health)
	}
	for _, text := range []string{a.text, h.text} {
		if strings.Contains(text, "127.0.0.1") || strings.Contains(text, "http") {
			t.Errorf("%s shows where targets are", text)
		}
	}

	head := g.send("HEAD", g.public+"/admin/health")
	if head.status != 503 || head.text != "" {
		t.Errorf("HEAD: got %+v", head)
	}
	post := g.send("POST", g.public+"/admin/health")
	post.refused(t, 405, "method_not_allowed")
	if got := post.header.Get("Allow"); got != "GET, HEAD" {
		t.Errorf("Allow %q, want GET, HEAD", got)
	}
	g.send("GET", g.public+"/admin/tenants/nobody/health").refused(t, 404, "unknown_tenant")
	// All else is the tenants'.
	for _, path := range []string{"/admin", "/admin/", "/admin/config", "/admin/metrics", "/admin/tenants", "/admin/snapshot", "/metrics", "/admin/tenants//health", "/admin/tenants/a/b/health", "/admin/health/"} {
		if got := g.send("GET", g.public+path, "Host: up.example.com"); got.text != "hello" {
			t.Errorf("%s: got %d %s, want the tenant's answer", path, got.status, got.text)
		}
	}
	if got := g.send("POST", g.public+"/admin/reload", "Host: up.example.com"); got.text != "hello" {
		t.Errorf("reload: got %d %s, want the tenant's answer", got.status, got.text)
	}

	g.write("admin:\n  token: " + token + "\n" + text)
	g.ask("POST", "/reload", "Authorization: Bearer "+token).json(t, 200)
	if got := g.send("GET", g.public+"/admin/health", "Host: up.example.com"); got.text != "hello" {
		t.Errorf("after on_public was switched off: got %d %s, want the tenant's answer", got.status, got.text)
	}
}

// TestCompatibleHealth: with compatibility: keystone-1, health on the public
// listener is what the earlier Keystone Gateway told there, and no more.
func TestCompatibleHealth(t *testing.T) {
	t.Parallel()
	g := start(t, "compatibility: keystone-1\nadmin:\n  token: "+token+"\n"+twoTenants(t))
	if down := g.send("GET", g.public+"/down"); down.status != 502 {
		t.Fatalf("request to a closed target: %d, want 502", down.status)
	}
	for _, path := range []string{"/admin/health", "/admin/health/"} {
		h := g.send("GET", g.public+path, "Host: up.example.com")
		for deadline := time.Now().Add(patience); strings.Contains(h.text, `"down":"1/1`) && time.Now().Before(deadline); {
			h = g.send("GET", g.public+path) // it may be 100 ms old
		}
		health := h.json(t, 200)
		if !slices.Equal(keys(health), []string{"status", "tenants", "uptime", "version"}) || health["status"] != "healthy" ||
			at(t, health, "tenants", "up") != "1/1 healthy" || at(t, health, "tenants", "down") != "0/1 healthy" {
			t.Errorf("%s: got %s", path, h.text)
		}
	}
	for _, path := range []string{"/admin/tenants", "/admin/config", "/admin/metrics", "/admin/reload"} {
		for _, method := range []string{"GET", "POST"} {
			if got := g.send(method, g.public+path, "Host: up.example.com"); got.text != "hello" {
				t.Errorf("%s %s: got %d %s, want the tenant's answer", method, path, got.status, got.text)
			}
		}
	}
}
