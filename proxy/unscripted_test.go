package proxy_test

import (
	"testing"
)

// TestScriptsThatDontRun: a tenant whose script doesn't run since lua_routing is off is
// refused, however few it has; one that has none is served.
func TestScriptsThatDontRun(t *testing.T) {
	t.Parallel()
	target := answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	pool := "services: [{url: 'http://" + target + "'}]}\n"
	w := newWorkshop(t, "c.yaml", "tenants:\n  - {name: one, domains: [one.example.com], lua_routes: [a.lua], "+pool+
		"  - {name: two, domains: [two.example.com], lua_routes: [a.lua, b.lua], "+pool+"  - {name: none, domains: [none.example.com], "+pool,
		"scripts/a.lua", hello, "scripts/b.lua", "local b = 1\n")
	w.replace("c.yaml", "lua_routing: {enabled: true", "lua_routing: {enabled: false")
	if err := w.start(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"one": "scripts_unavailable", "two": "scripts_unavailable", "none": ""} {
		if status, code := w.serve(name, "/"); code != want || (status == 200) != (want == "") {
			t.Errorf("%s: got %d %s, want %s", name, status, code, want)
		}
	}
	w.replace("c.yaml", "lua_routing: {enabled: false", "lua_routing: {enabled: true")
	if result := w.server.Reload(); !result.OK {
		t.Fatal(result)
	}
	if status, _ := w.serve("one", "/"); status != 200 {
		t.Errorf("with its script it is answered %d", status)
	}
	w.replace("c.yaml", "lua_routing: {enabled: true", "lua_routing: {enabled: false")
	if result := w.server.Reload(); !result.OK {
		t.Fatal(result)
	}
	if _, code := w.serve("one", "/"); code != "scripts_unavailable" {
		t.Errorf("without its script it is answered %q", code)
	}
}

// TestCountersOfScriptsGoOn: what scripts have counted goes on when they have changed.
func TestCountersOfScriptsGoOn(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t, "c.yaml", "tenants:\n"+tenant("a", "a.lua"), "scripts/a.lua", "chi_route('GET', '/x', function() error('x') end)\n")
	if err := w.start(); err != nil {
		t.Fatal(err)
	}
	_, _ = w.serve("a", "/x")
	before := w.scripts("a")
	w.replace("scripts/a.lua", "error('x')", "error('y')")
	if result := w.server.Reload(); !result.OK || w.scripts("a") == before {
		t.Fatalf("%+v", result)
	}
	_, _ = w.serve("a", "/x")
	if n := w.scripts("a").View().Failures; n != 2 {
		t.Errorf("%d failures are counted, want 2", n)
	}
}

// TestLateLoadsAreFreed: what a load has brought that nobody wants any more is freed,
// also if that is nothing.
func TestLateLoadsAreFreed(t *testing.T) {
	t.Parallel()
	for _, script := range []string{"local x = 1\n", "error('broken')\n"} {
		w := newWorkshop(t, "c.yaml", "tenants:\n"+tenant("a", "a.lua"), "scripts/a.lua", hello)
		if err := w.start(); err != nil {
			t.Fatal(err)
		}
		w.write("scripts/a.lua", script+"KEPT = ('x'):rep(200000)\n")
		end := w.server.BeginLoad("a")
		w.write("scripts/a.lua", hello+"\n")
		if result := w.server.Reload(); !result.OK {
			t.Fatal(result)
		}
		end()
		eventually(t, "nothing is held by loads after all have ended", func() bool { return w.server.HeldByLoads() == 0 }) // VMs may still be made
		if status, _ := w.serve("a", "/hello"); status != 200 {
			t.Errorf("the tenant is answered %d", status)
		}
	}
}
