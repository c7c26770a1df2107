package admin_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy"
)

// TestScriptMetrics: what the scripts of two tenants count is on the page, which
// stays well-formed whatever they give as labels, and survives a reload.
func TestScriptMetrics(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script := `
local metrics = require "keystone.metrics"
chi_route("GET", "/count", function(request)
  metrics.add("orders", 2, { kind = 'a"b\\c\nscript_fake 1' })
  metrics.add("hits")
  metrics.set("depth", -1.5)
end)
chi_route("GET", "/flood", function() for i = 1, 600 do metrics.add("flood", 1, { i = i }) end end)
`
	if err := os.WriteFile(filepath.Join(dir, "a.lua"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf(`lua_routing: {enabled: true, scripts_dir: %q}
tenants:
  - {name: one, domains: [one.example.com], lua_routes: [a.lua], lua: {timeout: 20s}}
  - {name: two, domains: [two.example.com], lua_routes: [a.lua], lua: {timeout: 20s}}
`, dir)
	g := startWith(t, config, proxy.Options{})
	for _, host := range []string{"one", "two", "one"} {
		if got := g.send("GET", g.public+"/count", "Host: "+host+".example.com").status; got != 200 {
			t.Fatalf("%s: %d", host, got)
		}
	}
	g.send("GET", g.public+"/flood", "Host: two.example.com")
	g.write(strings.Replace(config, "timeout: 20s", "timeout: 21s", 1)) // with the listeners of before
	g.ask("POST", "/reload", "X-Gateway-Admin: 1")
	s := parse(t, g.ask("GET", "//metrics").text)
	for series, want := range map[string]float64{
		`script_orders_total{tenant="one",kind="a\"b\\c\nscript_fake 1"}`: 4,
		`script_orders_total{tenant="two",kind="a\"b\\c\nscript_fake 1"}`: 2,
		`script_hits_total{tenant="one"}`:                                 2,
		`script_depth{tenant="two"}`:                                      -1.5,
		`keystone_lua_metrics_dropped_total{tenant="one"}`:                0,
		`keystone_lua_metrics_dropped_total{tenant="two"}`:                103,
	} {
		if got, ok := s[series]; !ok || got != want {
			t.Errorf("%s is %v (there: %v), want %v", series, got, ok, want)
		}
	}
}
