package proxy_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/proxy"
	"github.com/keystone-gateway/keystone-gateway/tenants/store/redis/redistest"
	"github.com/keystone-gateway/keystone-gateway/test/until"
)

const counting = `
local limit = require("keystone.limit")
local loaded = shared.add("loaded", true)
chi_route("GET", "/", function(request, response)
	local n, wrong = shared.incr("visits")
	local allowed, state = limit.allow("all", 0.001, 3)
	response:write(tostring(n), " ", tostring(allowed), " ", wrong or "", type(state) == "string" and state or "")
end)
chi_route("GET", "/loaded", function(request, response) response:write(tostring(shared.get("loaded"))) end)
`

// TestScriptsShare: what scripts remember is the same at all gateways that have the
// store, but for tenants that have it by themselves, and apart for each tenant. While the
// store is away, scripts are told so.
func TestScriptsShare(t *testing.T) {
	t.Parallel()
	store, folder := redistest.Start(t), t.TempDir()
	file := filepath.Join(folder, "c.yaml")
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tenant := func(name, more string) string {
		return "  - {name: " + name + ", domains: [" + name + ".example.com], lua_routes: [a.lua], lua: {" + more + "}}\n"
	}
	config := "access_log: {enabled: false}\nserver: {address: '127.0.0.1:0'}\nlua_routing: {enabled: true, scripts_dir: .}\ntenants:\n" +
		tenant("a", "") + tenant("b", "store: redis") + tenant("alone", "store: local")
	write("a.lua", counting)
	write("c.yaml", storeLine(store.Address)+config)
	first, second := runFile(t, file, zerolog.Nop()), runFile(t, file, zerolog.Nop())
	ask := func(server *proxy.Server, host, path string) string {
		_, body := askRaw(t, server.Addr().String(), "GET "+path+" HTTP/1.1\r\nHost: "+host+".example.com\r\n\r\n")
		return body
	}
	for _, host := range []string{"a", "b"} {
		for i, want := range []string{"1 true ", "2 true ", "3 true ", "4 false ", "5 false "} {
			if got := ask([]*proxy.Server{first, second}[i%2], host, "/"); got != want {
				t.Errorf("%s, %d: got %q, want %q", host, i, got, want)
			}
		}
		if got := ask(second, host, "/loaded"); got != "true" {
			t.Errorf("%s: what loading has left: %s", host, got)
		}
	}
	for _, server := range []*proxy.Server{first, second} {
		if got := ask(server, "alone", "/"); got != "1 true " {
			t.Errorf("a tenant by itself: %q", got)
		}
	}
	store.Kill()
	until.True(t, "the store is away", func() bool { return !hereAt(first) })
	if got := ask(first, "a", "/"); got != "nil nil the store is awaythe store is away" {
		t.Errorf("away: %q", got)
	}
	if got := ask(first, "alone", "/"); got != "2 true " {
		t.Errorf("away, a tenant by itself: %q", got)
	}
	write("c.yaml", strings.Replace(config, "store: redis", "", 1))
	if result := first.Reload(); !result.OK {
		t.Fatalf("%+v", result)
	}
	if got := ask(first, "a", "/"); got != "1 true " {
		t.Errorf("without a store: %q", got)
	}
	wrong, err := proxy.Parse("c.yaml", []byte(config))
	if err == nil {
		err = wrong.Err()
	}
	if err == nil || !strings.Contains(err.Error(), `lua.store of tenant "b" is redis, and there is none`) {
		t.Errorf("a store that there isn't: %v", err)
	}
}
