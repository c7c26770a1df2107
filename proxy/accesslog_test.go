package proxy_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLogNamesScripts demands of the access log that it says which function or route
// answered, and that a request went on without a script that failed.
func TestLogNamesScripts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "auth.lua"), []byte(`
chi_middleware("/private", function(request, response, next)
	response:status(401)
end)
chi_route("GET", "/route", function(request, response) response:write("hello") end)
chi_middleware("/broken", function(request, response, next) error("no key") end)
`), 0o600); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(dir, "access.log")
	target := answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	server := start(t, fmt.Sprintf("access_log: {output: %q}\nlua_routing: {enabled: true, scripts_dir: %q}\ntenants:\n"+
		"  - {name: a, domains: [example.com], lua_routes: [auth.lua], lua: {on_error: continue, timeout: 20s}, routes: [{path: /moved, redirect: {to: /x}}, {path: /passed}], services: [{url: \"http://%s\"}]}\n", log, dir, target))
	wants := map[string]string{
		"/private": `"answered_by":"script","script":"auth.lua:2"`,
		"/route":   `"answered_by":"script","script":"auth.lua:5"`,
		"/moved":   `"config_route":"routes[0]","answered_by":"route"`,
		"/passed":  `"config_route":"routes[1]","target":"`,
		"/broken":  `"error":"script_skipped","cause":"auth.lua:6: no key"`,
	}
	for path := range wants {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+server.Addr().String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = "example.com"
		response, err := http.DefaultTransport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
	}
	var lines []string
	eventually(t, "there is a line for each request", func() bool {
		text, _ := os.ReadFile(log)
		lines = strings.Split(strings.TrimSpace(string(text)), "\n")
		return len(lines) == len(wants)
	})
	for path, want := range wants {
		if all := strings.Join(lines, "\n"); !strings.Contains(all, want) {
			t.Errorf("%s: the log lacks %s:\n%s", path, want, all)
		}
	}
}
