package admin_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy"
)

// stillClock is the scripts' time: no quarantine ends by itself.
type stillClock struct{}

func (stillClock) Now() time.Time                       { return time.Unix(1_800_000_000, 0) }
func (stillClock) Sleep(context.Context, time.Duration) {}

// TestScripts: what scripts do, and what becomes of them, is seen in tenants,
// tenants/{name} and the metrics.
func TestScripts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(script string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "a.lua"), []byte(script), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	script := "chi_route('GET', '/fine', function() end)\n" +
		"chi_route('GET', '/raise', function(request)\n  error('no <' .. request:query_param('n'))\nend)\n" +
		"chi_route('GET', '/loop', function() while true do end end)\n"
	write(script)
	g := startWith(t, fmt.Sprintf(`lua_routing: {enabled: true, scripts_dir: %q}
tenants:
  - {name: plain, path_prefix: /plain, services: [{url: %q}]}
  - {name: lua, path_prefix: /, lua_routes: [a.lua], lua: {max_instructions: 10000, quarantine_after: 2, timeout: 20s}}
`, dir, target(t)), proxy.Options{Clock: stillClock{}})
	for _, c := range []struct {
		path   string
		status int
	}{{"/fine", 200}, {"/raise?n=1", 500}, {"/raise?n=2", 500}, {"/loop", 500}, {"/loop", 500}, {"/fine", 503}} {
		if got := g.send("GET", g.public+c.path).status; got != c.status {
			t.Errorf("%s: %d, want %d", c.path, got, c.status)
		}
	}
	g.settle()

	one := at(t, g.ask("GET", "/tenants/lua").json(t, 200), "lua")
	want := []string{"exhausted", "failures", "last_errors", "log_dropped", "quarantined", "recycled", "runs", "scripts", "timers", "vms"}
	if got := keys(one); !slices.Equal(got, want) {
		t.Errorf("lua has the keys %v, want %v", got, want)
	}
	for key, want := range map[string]float64{"runs": 6, "failures": 4, "exhausted": 2, "quarantined": 1, "recycled": 0, "vms": 1} {
		if got := at(t, one, key); got != want {
			t.Errorf("%s is %v, want %v", key, got, want)
		}
	}
	if at(t, one, "scripts", 0, "name") != "a.lua" || at(t, one, "scripts", 0, "quarantined_until") == nil {
		t.Errorf("got %v, want a.lua in quarantine", at(t, one, "scripts"))
	}
	failures, _ := at(t, one, "last_errors").([]any)
	if len(failures) != 4 || at(t, failures[0], "kind") != "instructions" || at(t, failures[3], "message") != "a.lua:3: no <1" ||
		at(t, failures[3], "kind") != "error" || at(t, failures[3], "script") != "a.lua" || len(at(t, failures[3], "request_id").(string)) != 32 ||
		!strings.Contains(at(t, failures[3], "stack").(string), "a.lua:3:") {
		t.Errorf("got %v, want four errors, the newest first", failures)
	}

	list := g.ask("GET", "/tenants").json(t, 200)
	if at(t, list, "tenants", 0, "lua") != nil {
		t.Errorf("got %v, want null for a tenant without scripts", at(t, list, "tenants", 0))
	}
	if got, _ := at(t, list, "tenants", 1, "lua", "last_errors").([]any); len(got) != 1 || at(t, got[0], "kind") != "instructions" {
		t.Errorf("the list has the errors %v, want the newest", got)
	}
	g.ask("GET", "/tenants/nobody").refused(t, 404, "unknown_tenant")

	metrics := g.ask("GET", "/metrics").text
	for _, line := range []string{
		`keystone_lua_runs_total{tenant="lua"} 6`, `keystone_lua_failures_total{tenant="lua"} 4`, `keystone_lua_exhausted_total{tenant="lua"} 2`,
		`keystone_lua_quarantined_total{tenant="lua"} 1`, `keystone_lua_recycled_total{tenant="lua"} 0`, `keystone_lua_vms{tenant="lua"} 1`, `keystone_lua_in_quarantine{tenant="lua"} 1`,
	} {
		if !strings.Contains(metrics, "\n"+line+"\n") {
			t.Errorf("metrics lack %s", line)
		}
	}
	if strings.Contains(metrics, `keystone_lua_runs_total{tenant="plain"}`) {
		t.Error("a tenant without scripts has figures of scripts")
	}

	write(script + "-- mended\n")
	g.ask("POST", "/reload").json(t, 200)
	if got := g.send("GET", g.public+"/fine").status; got != 200 {
		t.Errorf("after a reload: %d, want 200", got)
	}
	g.settle()
	one = at(t, g.ask("GET", "/tenants/lua").json(t, 200), "lua")
	if at(t, one, "runs") != 7.0 || len(at(t, one, "last_errors").([]any)) != 0 || at(t, one, "scripts", 0, "quarantined_until") != nil {
		t.Errorf("after a reload: got %v, want counters that go on and no errors", one)
	}
}
