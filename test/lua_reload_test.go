package test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// reloading is a gateway with one tenant, whose script is rewritten.
type reloading struct {
	*gateway
	script string // path
}

// startReloading starts a gateway whose tenant has the script and the target.
// config is put before the tenants.
func startReloading(t *testing.T, config, target, script string) *reloading {
	t.Helper()
	directory := t.TempDir()
	r := &reloading{script: filepath.Join(directory, "a.lua")}
	r.rewrite(t, script)
	r.gateway = startGateway(t, r.configuration(config, target))
	return r
}

func (r *reloading) configuration(config, target string) string {
	return fmt.Sprintf("%s\nlua_routing: {enabled: true, scripts_dir: %s}\n%s", config, filepath.Dir(r.script),
		simpleConfig(target, "    lua_routes: [a.lua]", "    lua: {"+patientLua+"}"))
}

// rewrite replaces the script as editors do: by renaming.
func (r *reloading) rewrite(t *testing.T, script string) {
	t.Helper()
	if err := os.WriteFile(r.script+"~", []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(r.script+"~", r.script); err != nil {
		t.Fatal(err)
	}
}

// ask sends a request on a connection of its own and returns the body and the
// field X-Version of the answer.
func (r *reloading) ask(method, url string) (status int, body, version string, err error) {
	request, err := http.NewRequest(method, url, nil)
	if err != nil {
		return 0, "", "", err
	}
	request.Header.Set("X-Gateway-Admin", "1")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", "", err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), response.Header.Get("X-Version"), err
}

func (r *reloading) get(t *testing.T, path string) (status int, body, version string) {
	t.Helper()
	status, body, version, err := r.ask("GET", "http://"+r.address+path)
	if err != nil {
		t.Fatal(err)
	}
	return status, body, version
}

func (r *reloading) api(t *testing.T, method, path string) (status int, body string) {
	t.Helper()
	status, body, _, err := r.ask(method, "http://"+r.admin+"/admin"+path)
	if err != nil {
		t.Fatal(err)
	}
	return status, body
}

// versioned is a script that says which version of it has run, and counts.
func versioned(version int) string {
	return fmt.Sprintf(`chi_middleware(function(request, response, next)
  shared.incr("requests", 1)
  next()
  response:header("X-Version", "%d")
end)
chi_route("GET", "/count", function(request, response) response:write(tostring(shared.get("requests"))) end)
`, version)
}

// TestScriptReloadUnderLoad: while scripts are replaced, no request fails,
// each sees one version from its beginning to its end, and what is in the
// shared dictionary stays.
func TestScriptReloadUnderLoad(t *testing.T) {
	t.Parallel()
	target := serveFunc(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "fine") })
	r := startReloading(t, "", target, versioned(0))
	const reloads, workers = 20, 4
	var sent atomic.Int64
	var wait sync.WaitGroup
	stop := make(chan struct{})
	for range workers {
		wait.Go(func() {
			last := 0
			for {
				select {
				case <-stop:
					return
				default:
				}
				sent.Add(1)
				status, body, version, err := r.ask("GET", "http://"+r.address+"/")
				n, _ := strconv.Atoi(version)
				if err != nil || status != 200 || body != "fine" || version == "" || n < last {
					t.Errorf("got %d %q, version %q after %d, %v", status, body, version, last, err)
					return
				}
				last = n
			}
		})
	}
	for version := 1; version <= reloads; version++ {
		r.rewrite(t, versioned(version))
		if status, body := r.api(t, "POST", "/reload"); status != 200 || !strings.Contains(body, `scripts of tenant \"simple\" changed`) {
			t.Errorf("reload %d: %d %s", version, status, body)
		}
		if _, _, got := r.get(t, "/"); got != strconv.Itoa(version) {
			t.Errorf("after reload %d, version %s answers", version, got)
		}
		sent.Add(1)
	}
	close(stop)
	wait.Wait()
	if _, body, _ := r.get(t, "/count"); body != strconv.FormatInt(sent.Load()+1, 10) {
		t.Errorf("the dictionary has counted %s requests, %d were sent", body, sent.Load()+1)
	}
	if _, body := r.api(t, "GET", "/tenants/simple"); !strings.Contains(body, fmt.Sprintf(`"runs": %d,`, sent.Load()+1)) {
		t.Errorf("the tenant's runs don't count on over reloads, expected %d: %s", sent.Load()+1, body)
	}
}

// TestScriptReloadInFlight: a request that waits in next finishes on the
// script, the globals and the modules with which it began.
func TestScriptReloadInFlight(t *testing.T) {
	t.Parallel()
	arrived, proceed := make(chan struct{}), make(chan struct{})
	target := serveFunc(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(arrived)
			<-proceed
		}
		_, _ = io.WriteString(w, "fine")
	})
	release := sync.OnceFunc(func() { close(proceed) })
	defer release()
	script := func(version string) string {
		return fmt.Sprintf(`version = "%s"
chi_middleware(function(request, response, next)
  local began = version
  next()
  response:header("X-Version", began .. version .. json.encode(shared.get("left") or 0))
  shared.incr("left", 1)
end)`, version)
	}
	r := startReloading(t, "", target, script("a"))
	slow := make(chan string, 1)
	go func() {
		_, body, version, err := r.ask("GET", "http://"+r.address+"/slow")
		slow <- fmt.Sprint(body, " ", version, " ", err)
	}()
	<-arrived
	for i, version := range []string{"b", "c"} {
		r.rewrite(t, script(version))
		if err := r.command.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		eventually(t, patience, "the generation counts", func() bool {
			_, body := r.api(t, "GET", "/snapshot")
			return strings.Contains(body, fmt.Sprintf(`"generation": %d,`, i+2))
		})
		if _, _, got := r.get(t, "/"); got != version+version+strconv.Itoa(i) {
			t.Errorf("new requests run version %q, expected %s", got, version)
		}
	}
	select {
	case got := <-slow:
		t.Fatalf("the slow request has ended already: %s", got)
	default:
	}
	release()
	if got := <-slow; got != "fine aa2 <nil>" {
		t.Errorf("the request in flight ended with %q, expected version a to the end", got)
	}
}

// TestBadScriptReload: a broken script keeps everything as it was, and log,
// admin API and check say where it is broken.
func TestBadScriptReload(t *testing.T) {
	t.Parallel()
	target := serveFunc(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "fine") })
	r := startReloading(t, "", target, versioned(1))
	config, err := os.ReadFile(r.config)
	if err != nil {
		t.Fatal(err)
	}
	before, _, _ := strings.Cut(string(config), "lua_routes")
	place := fmt.Sprintf("%s:%d:18: ", r.config, strings.Count(before, "\n")+1) // of the script's name
	for _, broken := range []struct{ script, want string }{
		{"chi_middleware(function(request, response, next)\n  next(\nend)\n", "a.lua:3:"},
		{"local t = nil\n\nt.x = 1\n", "a.lua:3: attempt to index"},
		{"chi_route('GET', '/{', function() end)", "a.lua:1: "},
		{"chi_route('GET', '/x', function() end)\n\nchi_route('GET', '/x', function() end)", "a.lua:3: pattern"},
	} {
		r.rewrite(t, broken.script)
		want := place + broken.want
		status, body := r.api(t, "POST", "/reload")
		if status != 422 || !strings.Contains(body, want) {
			t.Errorf("reload: %d %s, expected %s", status, body, want)
		}
		if _, body := r.api(t, "GET", "/snapshot"); !strings.Contains(body, want) {
			t.Errorf("snapshot: %s, expected %s", body, want)
		}
		eventually(t, patience, "the log holds "+want, func() bool { return strings.Contains(r.output.String(), want) })
		if stdout, stderr, code := runBinary(t, "check", "-config", r.config); code != 1 || !strings.Contains(stderr, want) || stdout != "" {
			t.Errorf("check: %d %q %q, expected %s", code, stdout, stderr, want)
		}
		if status, body, version := r.get(t, "/"); status != 200 || body != "fine" || version != "1" {
			t.Errorf("after a bad reload: %d %q, version %q; expected what was there before", status, body, version)
		}
	}
	if _, stderr, code := runBinary(t, "-config", r.config); code != 1 || !strings.Contains(stderr, place+"a.lua:3: pattern") {
		t.Errorf("a start: %d %q", code, stderr)
	}
	r.rewrite(t, versioned(2)+"\n\nlocal x = nonsense\n")
	if status, body := r.api(t, "POST", "/reload"); status != 200 || !strings.Contains(body, `a.lua:9: the global \"nonsense\" is not defined anywhere`) {
		t.Errorf("a good reload: %d %s, expected a warning", status, body)
	}
	stdout, _, code := runBinary(t, "check", "-config", r.config)
	if code != 0 || !strings.Contains(stdout, " is fine: 1 tenant, 1 target\nwarning: a.lua:9: the global \"nonsense\" is not defined anywhere") {
		t.Errorf("check: %d %q", code, stdout)
	}
	if _, _, version := r.get(t, "/"); version != "2" {
		t.Errorf("version %q, expected 2", version)
	}
}

// TestLuaWatch: saving a script, or the configuration, is enough.
func TestLuaWatch(t *testing.T) {
	t.Parallel()
	target := serveFunc(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "fine") })
	r := startReloading(t, "lua: {watch: true}", target, versioned(1))
	awaitVersion := func(want string) {
		t.Helper()
		eventually(t, patience, "version "+want+" answers", func() bool {
			_, _, version := r.get(t, "/")
			return version == want
		})
	}
	r.rewrite(t, versioned(2))
	awaitVersion("2")
	r.rewrite(t, "nonsense(\n")
	eventually(t, patience, "the bad script is logged", func() bool {
		return strings.Contains(r.output.String(), "a.lua:2:1: unexpected symbol near '<eof>'")
	})
	awaitVersion("2")
	if err := os.WriteFile(r.script, []byte(versioned(30)), 0o600); err != nil {
		t.Fatal(err)
	}
	awaitVersion("30")
	library := filepath.Join(filepath.Dir(r.script), "simple", "lib")
	if err := os.MkdirAll(library, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(library, "v.lua"), []byte("return {version = 4}"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.rewrite(t, strings.ReplaceAll(versioned(0), `"0"`, "tostring(require_version)")+"\nrequire_version = require('lib.v').version")
	awaitVersion("4")
	if err := os.WriteFile(filepath.Join(library, "v.lua"), []byte("return {version = 5}"), 0o600); err != nil {
		t.Fatal(err)
	}
	awaitVersion("5")
	r.write(t, strings.Replace(r.configuration("lua: {watch: true}", target), "lua_routes", "preserve_host: false\n    lua_routes", 1))
	eventually(t, patience, "the configuration is reloaded", func() bool {
		_, body := r.api(t, "GET", "/config")
		return strings.Contains(body, `"preserve_host": false`)
	})
	awaitVersion("5")
}
