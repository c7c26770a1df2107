package test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/test/port"
)

// noisy is a script that writes as much as it can to the log, in all ways.
const noisy = `
local long = ("\1"):rep(8000)
chi_route("GET", "/log", function(_, response)
  for i = 1, 100 do log.error(long, { a = long, b = long }) end
  response:write("ok")
end)
chi_route("GET", "/print", function(_, response)
  for i = 1, 100 do print(long, long) end
  response:write("ok")
end)
chi_route("GET", "/fail", function() error(long) end)
chi_route("GET", "/deep", function() local function f(n) if n == 0 then error(long) end f(n - 1) return 1 end f(100) end)
`

// noisyConfig is that of a gateway with a tenant of that script, and one without.
func noisyConfig(t *testing.T, rest string) string {
	t.Helper()
	directory := t.TempDir()
	if err := os.WriteFile(filepath.Join(directory, "noisy.lua"), []byte(noisy), 0o600); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`%s
lua_routing: {enabled: true, scripts_dir: %q}
tenants:
  - {name: noisy, domains: [noisy.example], lua_routes: [noisy.lua], lua: {%s, log_rate: 16KiB, log_burst: 64KiB, quarantine_after: 0}}
  - {name: quiet, domains: [quiet.example], services: [{url: "http://%s"}]}
`, rest, directory, patientLua, serveFunc(t, echoFields))
}

// getStatus asks for a path of a host.
func (g *gateway) getStatus(t *testing.T, host, path string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+g.address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = host
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

// metric returns one of the gateway's metrics.
func (g *gateway) metric(t *testing.T, name string) float64 {
	t.Helper()
	response, err := http.Get("http://" + g.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			value, _ := strconv.ParseFloat(text, 64)
			return value
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

// TestLogBudget: however much a tenant's scripts log, print and fail, the log
// gets what lua.log_rate and log_burst allow, and says what it hasn't got.
func TestLogBudget(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "log")
	file, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	g := &gateway{address: port.Reserve(t), admin: port.Reserve(t), output: &tail{}, config: filepath.Join(t.TempDir(), "config.yaml")}
	g.write(t, noisyConfig(t, "access_log: {enabled: false}"))
	g.launchInto(t, file)
	g.awaitOpen(t)
	began := time.Now()
	for _, path := range []string{"/log", "/print", "/fail", "/deep"} {
		for range 20 {
			g.getStatus(t, "noisy.example", path)
		}
	}
	const dropped = `keystone_lua_log_dropped_total{tenant="noisy"}`
	if n := g.metric(t, dropped); n < 1000 {
		t.Errorf("%v lines were dropped, want most of 4040", n)
	}
	eventually(t, patience, "a line says what was dropped", func() bool {
		g.getStatus(t, "noisy.example", "/fail")
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(text), "lua.log_rate was used up")
	})
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	text = text[:bytes.LastIndexByte(text, '\n')+1] // the last line may still be on its way
	const lines = 4 << 10                           // of the gateway's own
	longest := 128 << 10                            // what may go beyond once something is left
	if most := 64<<10 + longest + int(time.Since(began).Seconds()+1)*(16<<10) + lines; len(text) > most {
		t.Errorf("the log has %d bytes, want at most %d", len(text), most)
	}
	for line := range strings.Lines(string(text)) {
		if !json.Valid([]byte(line)) {
			t.Errorf("no line of JSON: %.200q", line)
		}
	}
}

// awaitOpen returns when the gateway accepts connections.
func (g *gateway) awaitOpen(t *testing.T) {
	t.Helper()
	eventually(t, patience, "the gateway listens", func() bool {
		select {
		case <-g.exited:
			t.Fatalf("the gateway ended: %v", g.command.ProcessState)
		default:
		}
		conn, err := net.Dial("tcp", g.address)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

// TestStalledOutput: nobody reads what the gateway writes. Requests, reloads
// and SIGTERM go on; what is lost is counted.
func TestStalledOutput(t *testing.T) {
	t.Parallel()
	for _, output := range []string{"stdout", "stderr"} {
		t.Run(output, func(t *testing.T) {
			t.Parallel()
			reader, writer, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = reader.Close() }()
			defer func() { _ = writer.Close() }()
			g := &gateway{address: port.Reserve(t), admin: port.Reserve(t), output: &tail{}, config: filepath.Join(t.TempDir(), "config.yaml")}
			text := strings.ReplaceAll(noisyConfig(t, "access_log: {output: "+output+"}\nlog: {level: debug}"), "log_rate: 16KiB, log_burst: 64KiB", "log_rate: 0")
			g.write(t, text)
			g.launchInto(t, writer)
			g.awaitOpen(t)
			eventually(t, patience, "the log's buffer is full", func() bool {
				if status := g.getStatus(t, "noisy.example", "/log"); status != 200 {
					t.Fatalf("a request while nobody reads the log: %d", status)
				}
				return g.metric(t, "keystone_log_dropped_total") > 0
			})
			for range 100 {
				if status := g.getStatus(t, "quiet.example", "/"); status != 200 {
					t.Fatalf("a request while nobody reads the log: %d", status)
				}
			}
			before := g.metric(t, "keystone_config_generation")
			if err := g.command.Process.Signal(syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
			eventually(t, patience, "the gateway reloads", func() bool { return g.metric(t, "keystone_config_generation") > before })
		}) // stop demands that SIGTERM ends it, with status 0
	}
}

// TestClosedOutput: whoever read the log has gone. That doesn't end the gateway.
func TestClosedOutput(t *testing.T) {
	t.Parallel()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{address: port.Reserve(t), admin: port.Reserve(t), output: &tail{}, config: filepath.Join(t.TempDir(), "config.yaml")}
	g.write(t, noisyConfig(t, ""))
	g.launchInto(t, writer)
	_ = writer.Close()
	_ = reader.Close()
	g.awaitOpen(t)
	for range 20 {
		g.getStatus(t, "noisy.example", "/fail")
	}
	eventually(t, patience, "lines are lost", func() bool { return g.metric(t, "keystone_log_dropped_total") > 0 })
	if status := g.getStatus(t, "quiet.example", "/"); status != 200 {
		t.Errorf("a request after the log's reader has gone: %d", status)
	}
}

// TestFullDisk: the access log's file takes nothing. That costs its lines, and
// the gateway's own log says so.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/full"); err != nil {
		missing(t, "/dev/full")
	}
	g := startGateway(t, noisyConfig(t, "access_log: {output: /dev/full}"))
	eventually(t, patience, "the log says that lines are lost", func() bool {
		if status := g.getStatus(t, "quiet.example", "/"); status != 200 {
			t.Fatalf("a request with a full disk: %d", status)
		}
		return strings.Contains(g.output.String(), "the disk is full")
	})
	if n := g.metric(t, "keystone_access_log_dropped_total"); n < 1 {
		t.Errorf("%v lines counted as lost", n)
	}
}

// TestFaultsAreLogged: what a sample leaves out of the access log are requests
// that were answered as they should be; faults stand in it, those of clients too.
func TestFaultsAreLogged(t *testing.T) {
	t.Parallel()
	f := startFlow(t, "access_log: {sample: 0}\n", nil)
	client := dial(t, f.gateway.address)
	for _, c := range []struct {
		request string
		status  int
	}{
		{f.expand(get("/fine")), 200},
		{lined("GET /nobody HTTP/1.1", "Host: nobody.example"), 404},
		{f.expand(lined("POST /large HTTP/1.1", "Host: {host}", fmt.Sprintf("Content-Length: %d", bodyLimit+1))), 413},
	} {
		client.send(t, c.request)
		if answer := client.answer(t, "GET"); answer.status != c.status {
			t.Errorf("%q: got %d, want %d", c.request, answer.status, c.status)
		}
	}
	f.gateway.logged(t, `"path":"/nobody"`, `"status":404`, `"error":"no_tenant"`)
	f.gateway.logged(t, `"path":"/large"`, `"status":413`, `"error":"body_too_large"`)
	if strings.Contains(f.gateway.output.String(), "/fine") {
		t.Error("a request that isn't in the sample is logged")
	}
}
