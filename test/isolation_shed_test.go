package test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestShedConnections: where a tenant's clients hold more memory than there is,
// although its scripts and its new requests have been refused, those that hold
// most are cut, the admin API says so, and when that has passed, it is served as
// before. Another tenant notices nothing.
func TestShedConnections(t *testing.T) {
	t.Parallel()
	scripts := t.TempDir()
	for name, text := range map[string]string{"heavy.lua": heavyScript, "light.lua": lightScript} {
		if err := os.WriteFile(filepath.Join(scripts, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g := startGateway(t, fmt.Sprintf(`server:
  max_memory: 12MiB
  min_rate: 0
  timeouts: {write_idle: 10m, body_idle: 10m}
access_log: {enabled: false}
lua_routing: {enabled: true, scripts_dir: %s}
tenants:
  - {name: heavy, domains: [heavy.test], lua_routes: [heavy.lua], max_client_memory: 1GiB, lua: {%s}}
  - {name: middle, domains: [middle.test], lua_routes: [heavy.lua], lua: {%s}}
  - {name: light, domains: [light.test], lua_routes: [light.lua], lua: {%s}}
`, scripts, patientLua, patientLua, patientLua))
	const clients = 16 // that send nearly all of a megabyte each
	body := strings.Repeat("x", 950_000)
	var conns []net.Conn
	for range clients {
		conn := dial(t, g.address)
		go func() {
			_, _ = io.WriteString(conn, "POST /echo HTTP/1.1\r\nHost: heavy.test\r\nContent-Length: 1000000\r\n\r\n"+body)
		}() // some is never taken
		conns = append(conns, conn)
	}
	type shedding struct {
		Tenant, Reason string
		Since          time.Time
		Connections    bool
	}
	var memory struct {
		Memory struct {
			Requests int64
			Shedding []shedding
		}
		Status string
	}
	ask := func(path string, into any) string {
		response, err := http.Get("http://" + g.admin + path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		if into != nil {
			if err := json.Unmarshal(body, into); err != nil {
				t.Fatal(err)
			}
		}
		return string(body)
	}
	ended := make(chan error, clients)
	for _, conn := range conns {
		go func() {
			_, err := conn.Read(make([]byte, 1))
			ended <- err
		}()
	}
	eventually(t, patience, "the heavy tenant's clients hold what there is", func() bool {
		ask("/admin/snapshot", &memory)
		return memory.Memory.Requests > 9<<20
	})
	for range 4 { // a megabyte each
		if got := askHost(t, g.address, "middle.test", "/keep"); got != 200 && !raceEnabled { // with which the heap itself is nearly all that there is
			t.Errorf("the tenant in the middle: %d", got)
		}
	}
	seen := shedding{}
	eventually(t, patience, "connections of the heavy tenant are cut", func() bool {
		if err := askLight(g.address); err != nil {
			t.Errorf("meanwhile: %v", err)
		}
		ask("/admin/snapshot", &memory)
		for _, s := range memory.Memory.Shedding {
			if s.Connections {
				seen = s
			}
		}
		// It may have passed between two looks.
		return seen.Connections || !strings.Contains(ask("/admin/metrics", nil), "\nkeystone_memory_cut_connections_total 0\n")
	})
	if s := seen; s.Connections && (s.Tenant != "heavy" || !strings.Contains(s.Reason, "of server.max_memory 12582912, and this tenant most of it") || time.Since(s.Since) > 2*patience) {
		t.Errorf("got %+v", s)
	}
	if err := <-ended; err == nil { // some are answered that there is no memory, others are cut
		t.Log("a connection was answered")
	}
	for _, conn := range conns {
		_ = conn.Close()
	}
	eventually(t, patience, "the heavy tenant is served as before", func() bool {
		ask("/admin/health", &memory)
		return memory.Status == "healthy" && askHost(t, g.address, "heavy.test", "/keep") == 200
	})
	metrics := ask("/admin/metrics", nil)
	for _, name := range []string{"keystone_memory_cut_connections_total", "keystone_memory_sheds_total"} {
		if !strings.Contains(metrics, "\n"+name+" ") || strings.Contains(metrics, "\n"+name+" 0\n") {
			t.Errorf("metrics don't count %s", name)
		}
	}
}

func askHost(t *testing.T, address, host, path string) int {
	t.Helper()
	request, err := http.NewRequest("GET", "http://"+address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = host
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}
