package proxy_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy"
)

// run starts the server and serves.
func (w *workshop) run() {
	w.t.Helper()
	if err := w.start(); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.server.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	})
}

// ask returns what a host answers: the body, or the status and the error's code.
func (w *workshop) ask(host string) string {
	w.t.Helper()
	r, err := http.NewRequest(http.MethodGet, "http://"+w.server.Addr().String()+"/v", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Host, r.Close = host+".example.com", true
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = a.Body.Close() }()
	if code := a.Header.Get("X-Gateway-Error"); code != "" {
		return fmt.Sprint(a.StatusCode, " ", code)
	}
	body, err := io.ReadAll(a.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(body)
}

// states words who isn't served as asked for.
func (w *workshop) states() string {
	var words []string
	for t := range w.server.Tenants() {
		if t.Problem != nil {
			words = append(words, t.Name+"="+t.Problem.State)
		}
	}
	return strings.Join(words, " ")
}

func answers(version string) string {
	return "chi_route('GET', '/v', function(request, response) response:write('" + version + "') end)\n"
}

// tenants writes the section: pairs of a name and what else it has.
func tenantsOf(list ...string) string {
	text := "tenants:\n"
	for i := 0; i < len(list); i += 2 {
		text += "  - {name: " + list[i] + ", " + list[i+1] + "}\n"
	}
	return text
}

// plainTenant has a script of its name, and time enough for it; settings are more
// of its section lua.
func plainTenant(name string, settings ...string) string {
	return "domains: [" + name + ".example.com], lua_routes: [" + name + ".lua], lua: {" + strings.Join(append(settings, "timeout: 20s"), ", ") + "}"
}

const (
	misconfigured = "503 tenant_misconfigured"
	nobody        = "404 no_tenant"
)

// broken are the ways in which a tenant can be broken by itself: what to write
// of its section, and files.
func brokenWays() map[string][]string {
	many := "nonsense_key: ["
	for i := range 1500 {
		many += fmt.Sprintf("{k%d: 1},", i)
	}
	flood := "domains: [a.example.com], services: ["
	for range 1500 {
		flood += "{url: 'x', weigth: 1}, "
	}
	return map[string][]string{
		"syntax":          {plainTenant("a"), "scripts/a.lua", "oops("},
		"raises":          {plainTenant("a"), "scripts/a.lua", "error('boom')"},
		"declarations":    {plainTenant("a"), "scripts/a.lua", "chi.get('/{', print)"},
		"loops":           {plainTenant("a", "load_timeout: 100ms"), "scripts/a.lua", "while true do end"},
		"no module":       {plainTenant("a"), "scripts/a.lua", "require 'nothing'"},
		"no script":       {"domains: [a.example.com], lua_routes: [absent.lua]"},
		"script outside":  {"domains: [a.example.com], lua_routes: [../c.yaml]"},
		"too large":       {plainTenant("a"), "scripts/a.lua", strings.Repeat("-", 1<<20+1)},
		"unknown key":     {plainTenant("a") + ", lua_rotues: [x]"},
		"not a number":    {plainTenant("a", "max_waiting: many")},
		"out of range":    {plainTenant("a", "max_waiting: -1")},
		"no such env":     {plainTenant("a") + ", path_prefix: '${KEYSTONE_ABSENT_VARIABLE}'"},
		"bad target":      {plainTenant("a") + ", services: [{url: 'ftp://x'}]"},
		"target twice":    {plainTenant("a") + ", services: [{url: 'http://x'}, {url: 'http://x:80/'}]"},
		"itself":          {plainTenant("a") + ", services: [{url: 'http://127.0.0.1:0'}, {url: http}]"},
		"bad timeouts":    {plainTenant("a") + ", timeouts: {connect: -1s}"},
		"duplicate key":   {plainTenant("a") + ", lua_routes: []"},
		"nothing to do":   {"domains: [a.example.com]"},
		"a list":          {plainTenant("a") + ", timeouts: [1]"},
		"bad domain too":  {"domains: [a.example.com, 'bad:80'], lua_routes: [a.lua]"},
		"no hosts":        {"domains: a.example.com, path_prefix: /, lua_routes: [a.lua]"},
		"bad prefix":      {"domains: [a.example.com], path_prefix: '/a*', lua_routes: [a.lua]"},
		"domain twice":    {"domains: [a.example.com, A.example.com], lua_routes: [a.lua]"},
		"others' match":   {"domains: [a.example.com, b.example.com], lua_routes: [a.lua]"},
		"a flood of keys": {plainTenant("a") + ", " + many + "]"},
		"a flood":         {flood + "]"},
	}
}

// TestFate: whatever is wrong with one tenant, the others are served as asked
// for, and it as before, or refused where there is no before; its requests go to
// nobody else.
func TestFate(t *testing.T) {
	t.Parallel()
	catchAll := []string{"rest", "path_prefix: /, lua_routes: [rest.lua]"}
	for name, way := range brokenWays() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broken := func(others ...string) string {
				return tenantsOf(append(append(append([]string{"b", plainTenant("b")}, others...), "a", way[0]), catchAll...)...)
			}
			good := []string{"scripts/a.lua", answers("a1"), "scripts/b.lua", answers("b1"), "scripts/rest.lua", answers("rest1"), "scripts/c.lua", answers("c1")}

			w := newWorkshop(t, append(good, "c.yaml", tenantsOf(append([]string{"a", plainTenant("a"), "b", plainTenant("b")}, catchAll...)...))...)
			w.run()
			if got := w.ask("a"); got != "a1" {
				t.Fatalf("before: %s", got)
			}
			for round := 1; round <= 2; round++ { // broken, and still broken
				w.write(way[1:]...)
				w.write("c.yaml", broken("c", plainTenant("c")), "scripts/b.lua", answers(fmt.Sprint("b", round+1)))
				result := w.server.Reload()
				if result.OK || !result.Applied || len(result.Errors) == 0 || len(result.Failed) != 1 || result.Failed[0].Tenant != "a" || len(result.Failed[0].Errors) == 0 {
					t.Fatalf("got %+v", result)
				}
				for _, line := range append(result.Errors, result.Failed[0].Errors[0]) {
					if !strings.Contains(line, "c.yaml:") && line != "…" {
						t.Errorf("an error without a place: %s", line)
					}
				}
				want := fmt.Sprint("a1 b", round+1, " c1 rest1; a=outdated")
				if got := fmt.Sprint(w.ask("a"), " ", w.ask("b"), " ", w.ask("c"), " ", w.ask("other"), "; ", w.states()); got != want {
					t.Errorf("after a reload: %s, expected %s", got, want)
				}
			}

			w = &workshop{t: t, dir: w.dir}
			w.run()
			first := misconfigured
			if name == "no hosts" { // nobody can know that they were its
				first = "rest1"
			}
			if got, want := fmt.Sprint(w.ask("a"), " ", w.ask("b"), " ", w.ask("other"), "; ", w.states()), first+" b3 rest1; a=misconfigured"; got != want {
				t.Errorf("after a start: %s, expected %s", got, want)
			}
			if w.server.LastReload().OK || len(w.server.LastReload().Failed) != 1 {
				t.Errorf("the start counts as good: %+v", w.server.LastReload())
			}
			w.write(append(good, "c.yaml", tenantsOf(append([]string{"a", plainTenant("a"), "b", plainTenant("b")}, catchAll...)...))...)
			if result := w.server.Reload(); !result.OK || w.ask("a") != "a1" || w.states() != "" {
				t.Errorf("mended: %+v", result)
			}

			w.write(way[1:]...)
			w.write("c.yaml", broken())
			if err := (&workshop{t: t, dir: w.dir, strict: true}).start(); err == nil {
				t.Error("a strict start: no error")
			}
			config, err := proxy.Load(filepath.Join(w.dir, "c.yaml"))
			if err == nil {
				_, err = proxy.CheckScripts(filepath.Join(w.dir, "c.yaml"), config)
			}
			if err == nil {
				t.Error("check: no error")
			}
		})
	}
}

// TestFateOfMatches: generations of tenants are not mixed, and a match that is in
// use is not given to another.
func TestFateOfMatches(t *testing.T) {
	t.Parallel()
	files := []string{
		"scripts/a.lua", answers("a"), "scripts/b.lua", answers("b"), "scripts/c.lua", answers("c"), "scripts/d.lua", answers("d"),
		"scripts/bad.lua", "oops(",
	}
	at := func(domain, script string) string {
		return "domains: [" + domain + ".example.com], lua_routes: [" + script + ".lua]"
	}
	for _, c := range []struct {
		name, want, states string
		to                 []string
	}{
		{"a move that fails", "a b c 404 no_tenant", "a=outdated", []string{"a", at("d", "bad"), "b", at("b", "b"), "c", at("c", "c")}},
		{"a swap that fails", "a b c 404 no_tenant", "a=outdated b=outdated", []string{"a", at("b", "a"), "b", at("a", "bad"), "c", at("c", "c")}},
		{"a ring that fails", "a b c d", "a=outdated b=outdated c=outdated", []string{"a", at("b", "a"), "b", at("c", "b"), "c", at("a", "bad"), "d", at("d", "d")}},
		{"a swap", "b a c 404 no_tenant", "", []string{"a", at("b", "a"), "b", at("a", "b"), "c", at("c", "c")}},
		{"a newcomer, first in the file", "a b c 404 no_tenant", "d=misconfigured", []string{"d", at("a", "d"), "a", at("a", "a"), "b", at("b", "b"), "c", at("c", "c")}},
		{"a broken newcomer", "a b c 503 tenant_misconfigured", "d=misconfigured", []string{"d", at("d", "bad"), "a", at("a", "a"), "b", at("b", "b"), "c", at("c", "c")}},
		{"removed", "404 no_tenant b c 404 no_tenant", "", []string{"b", at("b", "b"), "c", at("c", "c")}},
		{"removed, its match taken", "d b c 404 no_tenant", "", []string{"d", at("a", "d"), "b", at("b", "b"), "c", at("c", "c")}},
		{"renamed", "a b c 404 no_tenant", "", []string{"new", at("a", "a"), "b", at("b", "b"), "c", at("c", "c")}},
		{"renamed and broken", "503 tenant_misconfigured b c 404 no_tenant", "new=misconfigured", []string{"new", at("a", "bad"), "b", at("b", "b"), "c", at("c", "c")}},
		{"removed beside a broken one", "404 no_tenant b c 404 no_tenant", "b=outdated", []string{"b", at("b", "bad"), "c", at("c", "c")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorkshop(t, append(files, "c.yaml", tenantsOf("a", at("a", "a"), "b", at("b", "b"), "c", at("c", "c")))...)
			w.run()
			w.write("c.yaml", tenantsOf(c.to...))
			result := w.server.Reload()
			if got := fmt.Sprint(w.ask("a"), " ", w.ask("b"), " ", w.ask("c"), " ", w.ask("d")); got != c.want || w.states() != c.states || !result.Applied {
				t.Errorf("got %s; %s; %+v; expected %s; %s", got, w.states(), result, c.want, c.states)
			}
		})
	}
}

// TestFateOfAll: what is nobody's own is refused as a whole, and so is what no
// tenant could be served with.
func TestFateOfAll(t *testing.T) {
	t.Parallel()
	good := tenantsOf("a", plainTenant("a"), "b", plainTenant("b"))
	changed := tenantsOf("a", plainTenant("a", "max_body: 2MiB"), "b", plainTenant("b"))
	for name, text := range map[string]string{
		"not YAML":                   "tenants: [{",
		"its own section":            "log: {level: loud}\n" + changed,
		"unknown key":                "looog: {}\n" + changed,
		"no tenants":                 "log: {level: info}\n",
		"unknown alias":              strings.Replace(changed, "2MiB", "*nothing", 1),
		"a name that isn't":          strings.Replace(changed, "name: a", "name: 'a b'", 1),
		"no name":                    strings.Replace(changed, "name: a,", "", 1),
		"a name twice":               strings.Replace(changed, "name: b", "name: a", 1),
		"not a tenant":               good + "  - 5\n",
		"tls":                        "tls: {enabled: true, cert_file: no.pem, key_file: no.pem}\n" + changed,
		"a log that can't be opened": "access_log: {output: nowhere/x.log}\n" + changed,
		"all are broken":             strings.ReplaceAll(changed, "lua_routes", "lua_rotues"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorkshop(t, "c.yaml", good, "scripts/a.lua", answers("a"), "scripts/b.lua", answers("b"))
			w.run()
			w.write("c.yaml", text)
			if name == "a log that can't be opened" {
				w.write("c.yaml", text)
				whole, err := os.ReadFile(filepath.Join(w.dir, "c.yaml"))
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(w.dir, "c.yaml"), bytes.Replace(whole, []byte("access_log: {enabled: false}\n"), nil, 1), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			result := w.server.Reload()
			if result.OK || result.Applied || result.Generation != 1 || len(result.Errors) == 0 {
				t.Errorf("got %+v", result)
			}
			if got := w.ask("a") + w.ask("b"); got != "ab" {
				t.Errorf("after it: %s", got)
			}
			if err := (&workshop{t: t, dir: w.dir}).start(); err == nil {
				t.Error("a start: no error")
			}
		})
	}
}

// TestFateOfGlobals: a script that all share and that is broken leaves all as
// they are.
func TestFateOfGlobals(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t, "c.yaml", "", "scripts/all.lua", "", "scripts/a.lua", answers("a"), "scripts/b.lua", answers("b"))
	write := func(text string) {
		t.Helper()
		all := "server: {address: '127.0.0.1:0'}\nadmin: {enabled: false}\naccess_log: {enabled: false}\nlua_routing: {enabled: true, global_scripts: [all.lua]}\n" + text
		if err := os.WriteFile(filepath.Join(w.dir, "c.yaml"), []byte(all), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	both := tenantsOf("a", plainTenant("a"), "b", plainTenant("b"))
	write(both)
	w.run()
	w.write("scripts/all.lua", "oops(")
	if result := w.server.Reload(); result.Applied || len(result.Errors) != 1 || w.ask("a")+w.ask("b") != "ab" {
		t.Errorf("got %+v", result)
	}
	write(both + "  - {name: c, domains: [c.example.com], services: [{url: 'http://127.0.0.1:1'}]}\n")
	if result := w.server.Reload(); result.Applied {
		t.Errorf("a tenant without scripts of its own has the global ones: got %+v", result)
	}
}

// TestProblemsAreLogged: once a generation, with their places.
func TestProblemsAreLogged(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	w := newWorkshop(t, "c.yaml", tenantsOf("a", plainTenant("a"), "b", plainTenant("b")), "scripts/a.lua", "oops(", "scripts/b.lua", answers("b"))
	w.log = &log
	w.run()
	for i := 1; i <= 2; i++ {
		text := log.String()
		if n := strings.Count(text, `"state":"misconfigured"`); n != i || strings.Count(text, `"misconfigured":1`) != i || !strings.Contains(text, "c.yaml:6:") || !strings.Contains(text, "a.lua:1:") {
			t.Errorf("%d: got %s", i, text)
		}
		for range 3 {
			w.ask("a")
		}
		w.server.Reload()
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
