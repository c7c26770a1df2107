package test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestTenantsFate: a tenant that is broken, in whatever way, leaves the others
// alone at a start, at SIGHUP, and at a reload through the admin API.
func TestTenantsFate(t *testing.T) {
	t.Parallel()
	scripts := t.TempDir()
	path := func(name string) string { return filepath.Join(scripts, name) }
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path(name)), 0o700); err != nil {
			t.Fatal(err)
		}
		_ = os.RemoveAll(path(name))
		if err := os.WriteFile(path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	answer := func(version string) string {
		return fmt.Sprintf("chi.get('/', function(request, response) response:write(%q) end)", version)
	}
	config := func(a, b string) string {
		return fmt.Sprintf("access_log: {enabled: false}\nlua_routing: {enabled: true, scripts_dir: %s}\ntenants:\n"+
			"  - {name: a, domains: [a.example], lua_routes: [a.lua], lua: {timeout: 20s%s}}\n"+
			"  - {name: b, domains: [b.example], lua_routes: [b.lua], lua: {load_timeout: 20s, timeout: 20s%s}}\n", scripts, a, b)
	}
	write("a.lua", "oops(")
	write("b.lua", answer("b1"))
	write("other/secret.lua", "return 'secret'")
	g := startGateway(t, config("", ""))
	r := &reloading{gateway: g}
	get := func(host string) string {
		t.Helper()
		request, err := http.NewRequest("GET", "http://"+g.address+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = host
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		if code := response.Header.Get("X-Gateway-Error"); code != "" {
			return fmt.Sprint(response.StatusCode, " ", code)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	expect := func(what, a, b string) {
		t.Helper()
		if got := get("a.example") + ", " + get("b.example"); got != a+", "+b {
			t.Errorf("%s: %s, expected %s, %s", what, got, a, b)
		}
	}
	expect("a start", "503 tenant_misconfigured", "b1")
	if _, stderr, code := runBinary(t, "check", "-config", g.config); code != 1 || !strings.Contains(stderr, "config.yaml:9:50: a.lua:1:") {
		t.Errorf("check: %d %s", code, stderr)
	}
	if _, stderr, code := runBinary(t, "-strict", "-config", g.config); code != 1 || !strings.Contains(stderr, "a.lua:1:") {
		t.Errorf("-strict: %d %s", code, stderr)
	}
	for i, broken := range []struct {
		what string
		do   func() error
		a, b string // settings
	}{
		{"a pipe", func() error { return errors.Join(os.Remove(path("a.lua")), syscall.Mkfifo(path("a.lua"), 0o600)) }, "", ""},
		{"a link to a device", func() error { return errors.Join(os.Remove(path("a.lua")), os.Symlink("/dev/zero", path("a.lua"))) }, "", ""},
		{"a device's module", func() error {
			write("a.lua", "require 'lib'")
			return errors.Join(os.MkdirAll(path("a"), 0o700), os.Symlink("/dev/zero", path("a/lib.lua")))
		}, "", ""},
		{"another's module", func() error {
			write("a.lua", "require 'lib'")
			return errors.Join(os.Remove(path("a/lib.lua")), os.Symlink("../other/secret.lua", path("a/lib.lua")))
		}, "", ""},
		{"a wait", func() error { write("a.lua", "require('keystone.time').sleep(100)"); return nil }, ", load_timeout: 300ms", ""},
		{"a loop", func() error { write("a.lua", "while true do end"); return nil }, ", load_timeout: 300ms, max_instructions: 100000000000", ""},
		{"an error", func() error { write("a.lua", "error('boom')"); return nil }, "", ""},
		{"a wrong setting", func() error { write("a.lua", answer("a2")); return nil }, ", max_waiting: none", ", max_waiting: 10"},
	} {
		if err := broken.do(); err != nil {
			t.Fatal(err)
		}
		version := fmt.Sprint("b", i+2)
		write("b.lua", answer(version))
		g.write(t, config(broken.a, broken.b))
		if i%2 == 0 {
			status, body := r.api(t, "POST", "/reload")
			if status != 200 || !strings.Contains(body, `"ok": false`) || !strings.Contains(body, `"applied": true`) || !strings.Contains(body, `"tenant": "a"`) {
				t.Errorf("%s: %d %s", broken.what, status, body)
			}
		} else {
			if err := g.command.Process.Signal(syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
			eventually(t, patience, "b is reloaded after "+broken.what, func() bool { return get("b.example") == version })
		}
		if i > 3 {
			expect(broken.what, "a1", version)
		} else {
			expect(broken.what, "503 tenant_misconfigured", version)
		}
		if status, body := r.api(t, "GET", "/health"); status != 200 || !strings.Contains(body, `"status": "degraded"`) {
			t.Errorf("%s: health is %d %s", broken.what, status, body)
		}
		if i == 3 { // from here on it has something to be left with
			write("a.lua", "")
			_ = os.Remove(path("a/lib.lua"))
			write("a.lua", answer("a1"))
			if status, body := r.api(t, "POST", "/reload"); status != 200 || !strings.Contains(body, `"ok": true`) {
				t.Errorf("mended: %d %s", status, body)
			}
			expect("mended", "a1", version)
		}
	}
}
