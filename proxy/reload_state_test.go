package proxy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/exchange/exchangetest"
)

// serve has the server handle a GET request for a tenant's host, and returns the
// status and the code of what is wrong.
func (w *workshop) serve(tenant, path string) (status int, code string) {
	s := &exchangetest.Stream{Head: exchangetest.Request("GET", tenant+".example.com", path)}
	w.server.Serve(s)
	return s.Status, s.Field("X-Gateway-Error")
}

// stats are the counters of a tenant; nil if there is none.
func (w *workshop) stats(tenant string) *exchange.Stats {
	for t := range w.server.Tenants() {
		if t.Name == tenant {
			return t.Stats
		}
	}
	return nil
}

// TestCountersEndWithTheirTenant: counters outlive a reload as long as their tenant
// does, and no longer.
func TestCountersEndWithTheirTenant(t *testing.T) {
	t.Parallel()
	both := "tenants:\n" + tenant("a", "a.lua") + tenant("b", "b.lua")
	w := newWorkshop(t, "c.yaml", both, "scripts/a.lua", hello, "scripts/b.lua", hello)
	if err := w.start(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		w.serve("a", "/nowhere")
		w.serve("b", "/nowhere")
	}
	for _, step := range []struct {
		config string
		a, b   uint64 // responses of class 4
	}{
		{both, 3, 3},
		{"tenants:\n" + tenant("a", "a.lua"), 3, 0},
		{both, 3, 0},
	} {
		w.write("c.yaml", step.config)
		if result := w.server.Reload(); !result.OK {
			t.Fatal(result)
		}
		for name, want := range map[string]uint64{"a": step.a, "b": step.b} {
			stats := w.stats(name)
			if stats == nil && strings.Contains(step.config, "name: "+name) {
				t.Fatalf("there is no tenant %s", name)
			}
			if stats != nil && stats.Classes[4].Load() != want {
				t.Errorf("after %q, tenant %s has counted %d responses, want %d", step.config, name, stats.Classes[4].Load(), want)
			}
		}
	}
}

// TestReloadEndsQuarantines: a reload gives scripts that haven't changed a fresh
// start at once.
func TestReloadEndsQuarantines(t *testing.T) {
	t.Parallel()
	script := hello + "chi_route('GET', '/loop', function() while true do end end)\nchi_route('GET', '/fine', function() end)\n"
	settings := strings.Replace(tenant("a", "a.lua"), "name: a", "name: a, lua: {quarantine_after: 1, max_instructions: 10000, timeout: 1m}", 1)
	w := newWorkshop(t, "c.yaml", "tenants:\n"+settings, "scripts/a.lua", script)
	if err := w.start(); err != nil {
		t.Fatal(err)
	}
	scripts := w.scripts("a")
	for round := range 6 { // each quarantine is longer than the one before
		for deadline := time.Now().Add(patience); scripts.InQuarantine() == 0; {
			if status, code := w.serve("a", "/loop"); status != 500 && status != 503 || time.Now().After(deadline) {
				t.Fatalf("round %d: an endless script got %d %s, and no quarantine", round, status, code)
			}
		}
		if result := w.server.Reload(); !result.OK || w.scripts("a") != scripts {
			t.Fatalf("the reload changed something: %+v", result)
		}
		if n := scripts.InQuarantine(); n != 0 {
			t.Fatalf("round %d: %d scripts are in quarantine after a reload", round, n)
		}
		if status, code := w.serve("a", "/fine"); status != 200 {
			t.Errorf("round %d: after a reload, got %d %s", round, status, code)
		}
	}
}

// TestWhatIsNeverSampledOut: however small the sample of the access log, it has all
// that went wrong: faults of clients too, and failures of targets and of scripts.
func TestWhatIsNeverSampledOut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.lua"), []byte("chi_middleware('/skipped', function() error('x') end)\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		sample string
		answer string
		host   string
		path   string
		logged bool
	}{
		{"0", "200 OK", "example.com", "/", false},
		{"1", "200 OK", "example.com", "/", true},
		{"0", "404 x", "example.com", "/", false}, // a target's own
		{"0", "499 x", "example.com", "/", false},
		{"0", "500 x", "example.com", "/", true},
		{"0", "200 OK", "nobody.example", "/", true},
		{"0", "200 OK", "example.com", "/skipped", true},
	} {
		log := filepath.Join(t.TempDir(), "access.log")
		address := answering(t, "HTTP/1.1 "+c.answer+"\r\nContent-Length: 0\r\n\r\n")
		server := start(t, fmt.Sprintf("access_log: {output: %q, sample: %s}\nlua_routing: {enabled: true, scripts_dir: %q}\ntenants:\n"+
			"  - {name: a, domains: [example.com], lua_routes: [a.lua], lua: {on_error: continue, timeout: 1m}, services: [{url: \"http://%s\"}]}\n", log, c.sample, dir, address))
		s := &exchangetest.Stream{Head: exchangetest.Request("GET", c.host, c.path)}
		server.Serve(s)
		last := &exchangetest.Stream{Head: exchangetest.Request("GET", "nobody.example", "/last")} // of which there is a line in any case
		server.Serve(last)
		var text string
		eventually(t, "the last line is there", func() bool {
			bytes, _ := os.ReadFile(log)
			text = string(bytes)
			return strings.Contains(text, "/last")
		})
		_, stamp, _ := strings.Cut(text, `"time":"`)
		stamp, _, _ = strings.Cut(stamp, `"`)
		if at, err := time.Parse(time.RFC3339Nano, stamp); err != nil || time.Since(at).Abs() > time.Hour {
			t.Errorf("the time is %q, %v", stamp, err)
		}
		if got := strings.Count(text, "\n") > 1; got != c.logged {
			t.Errorf("sample %s, %s of %s%s: logged %v, want %v:\n%s", c.sample, c.answer, c.host, c.path, got, c.logged, text)
		}
	}
}
