package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSentPaths: a target gets a path as the client wrote it where that is
// safe, and scripts judge the canonical one whatever the spelling.
func TestSentPaths(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script := `chi_middleware(function(request, response, next)
		if request.path:find("^/admin") then response:status(403) return end
		if request.path == "/set" then request:set_path("/%3a%7e//x") end
		request:set_header("X-Path", request.path)
		next()
	end)`
	if err := os.WriteFile(filepath.Join(dir, "guard.lua"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	m := startMock(t, "paths", nil)
	config := strings.Builder{}
	fmt.Fprintf(&config, "lua_routing: {enabled: true, scripts_dir: %q}\ntenants:\n", dir)
	for name, lines := range map[string][]string{
		"plain":   nil,
		"slashes": {"normalize_path: {merge_slashes: false}"},
		"both":    {"normalize_path: {merge_slashes: false, decode_unreserved: false}"},
		"guarded": {"normalize_path: {merge_slashes: false, decode_unreserved: false}", "lua_routes: [guard.lua]"},
		"default": {"lua_routes: [guard.lua]"},
	} {
		tenantConfig(&config, name, "domains: ["+name+".example]", m, lines...)
	}
	tenantConfig(&config, "stripped", "path_prefix: /s3\n    domains: [stripped.example]", m, "strip_prefix: true",
		"normalize_path: {merge_slashes: false, decode_unreserved: false}")
	g := startGateway(t, config.String())
	for _, c := range []struct{ tenant, sent, want, path string }{
		{"plain", "/c/%3fx", "/c/%3fx", ""},
		{"plain", "/c/%3Fx%e2%82%ac?a=%3f//%7e", "/c/%3Fx%e2%82%ac?a=%3f//%7e", ""},
		{"plain", "/@scope%2fname;v%3b1", "/@scope%2fname;v%3b1", ""},
		{"plain", "/%7Euser//%61/../b%3a", "/~user/b%3a", ""},
		{"plain", "/p/https://h/a//b", "/p/https:/h/a/b", ""},
		{"slashes", "/p/https://h/a//b?c//d", "/p/https://h/a//b?c//d", ""},
		{"slashes", "/bucket//%7Ekey%2f/", "/bucket//~key%2f/", ""},
		{"slashes", "//evil.example//a", "/evil.example//a", ""},
		{"slashes", "/a/../b//c", "/b//c", ""},
		{"slashes", "/a//../b", "400", ""},
		{"slashes", "/a//%2e%2e/b", "400", ""},
		{"both", "/p/%68ttps://h/%7Ea|b", "/p/%68ttps://h/%7Ea%7Cb", ""},
		{"both", "/%2e%2e/b", "400", ""},
		{"both", "/a/%2e%2e/b", "/b", ""},
		{"stripped", "/s3/key//a%3a", "/key//a%3a", ""},
		{"stripped", "/s3//key", "/key", ""},
		{"stripped", "/%733//%7ekey", "/%7ekey", ""},
		{"guarded", "/x//%7e%3a", "/x//%7e%3a", "/x/~%3A"},
		{"guarded", "/%61dmin", "403", ""},
		{"guarded", "//admin", "403", ""},
		{"guarded", "/x/..//admin//y", "403", ""},
		{"guarded", "/set", "/%3a%7e//x", "/%3A~/x"},
		{"default", "/set", "/%3a~/x", "/%3A~/x"},
		{"default", "/x%2fy//%7e", "/x%2fy/~", "/x%2Fy/~"},
	} {
		client := dial(t, g.address)
		client.send(t, lined("GET "+c.sent+" HTTP/1.1", "Host: "+c.tenant+".example"))
		answer := client.answer(t, "GET")
		got := fmt.Sprint(answer.status)
		if answer.status == 200 {
			got = answer.values("X-Answer-To")[0]
		}
		if got != c.want {
			t.Errorf("%s: %s reached the target as %s, want %s", c.tenant, c.sent, got, c.want)
		}
		if seen := m.seen(); c.path != "" && strings.Join(seen[len(seen)-1].values("X-Path"), "|") != c.path {
			t.Errorf("%s: scripts saw %q of %s, want %s", c.tenant, seen[len(seen)-1].values("X-Path"), c.sent, c.path)
		}
	}
}
