package test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// heavyScript is the tenant that attacks, with its clients' help.
const heavyScript = `
KEEP = {}
chi_route("POST", "/echo", function(request, response) response:write(request.body) end)
chi_route("GET", "/big", function(request, response) response:write(string.rep("x", 1000000)) end)
chi_route("GET", "/keep", function(request, response)
  for i = 1, 10 do KEEP[#KEEP + 1] = string.rep("x", 100000) .. #KEEP end
  response:write("kept")
end)`

// lightScript is the tenant that must not notice.
const lightScript = `chi_route("POST", "/hello", function(request, response) response:write("hello " .. request.body) end)`

// siege is what clients of the heavy tenant do, on a connection each, until
// their connection ends.
type siege struct {
	name, request string
	step          func(net.Conn) error // every 50 ms
}

func sieges() []siege {
	body := strings.Repeat("x", 999_990)
	drip := func(conn net.Conn) error {
		_, err := io.WriteString(conn, "x")
		return err
	}
	sip := func(conn net.Conn) error {
		_, err := conn.Read(make([]byte, 20))
		return err
	}
	return []siege{
		{"bodies that don't end", "POST /echo HTTP/1.1\r\nHost: heavy.test\r\nContent-Length: 10000000\r\n\r\n" + body, drip},
		{"small bodies that don't end", "POST /plain HTTP/1.1\r\nHost: heavy.test\r\nContent-Length: 65000\r\n\r\n" + body[:60_000], nil},
		{"heads that don't end", "GET / HTTP/1.1\r\nHost: heavy.test\r\nX: " + body[:20_000], drip},
		{"answers that nobody takes", "GET /big HTTP/1.1\r\nHost: heavy.test\r\n\r\n", sip},
		{"globals that grow", strings.Repeat("GET /keep HTTP/1.1\r\nHost: heavy.test\r\n\r\n", 10), nil},
	}
}

// TestMemoryOfOthers: whatever a tenant's scripts and clients hold, the process
// keeps to its memory, and the requests of another tenant all succeed. The
// bench's isolation scenario is the same in large.
func TestMemoryOfOthers(t *testing.T) {
	t.Parallel()
	const limit, clients = 128, 200 // MiB, for each siege
	upstream := serveFunc(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	scripts := t.TempDir()
	for name, text := range map[string]string{"heavy.lua": heavyScript, "light.lua": lightScript} {
		if err := os.WriteFile(filepath.Join(scripts, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g := startGateway(t, fmt.Sprintf(`access_log: {enabled: false}
lua_routing: {enabled: true, scripts_dir: %s}
request_limits: {max_body_size: 10MiB}
tenants:
  - {name: heavy, domains: [heavy.test], lua_routes: [heavy.lua], lua: {max_body: 10MiB}, services: [{url: "http://%s"}]}
  - {name: light, domains: [light.test], lua_routes: [light.lua], lua: {%s}, services: [{url: "http://%s"}]}
`, scripts, upstream, patientLua, upstream), fmt.Sprintf("GOMEMLIMIT=%dMiB", limit))
	stop := make(chan struct{})
	var wait sync.WaitGroup
	var failed, done atomic.Int64
	var first atomic.Pointer[string]
	wait.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := askLight(g.address); err != nil {
				text := err.Error()
				first.CompareAndSwap(nil, &text)
				failed.Add(1)
			}
			done.Add(1)
		}
	})
	for _, s := range sieges() {
		conns := besiege(t, g, s, clients)
		before := done.Load()
		eventually(t, patience, "the light tenant is served: "+s.name, func() bool { return done.Load() > before+200 })
		for _, conn := range conns {
			_ = conn.Close()
		}
		t.Logf("%s: peak %d MiB", s.name, peakMemory(t, g)>>20)
	}
	close(stop)
	wait.Wait()
	if n := failed.Load(); n > 0 {
		t.Errorf("%d of the light tenant's %d requests failed, the first: %s", n, done.Load(), *first.Load())
	}
	if most := int64(limit+64) << 20; peakMemory(t, g) > most && !raceEnabled {
		t.Errorf("the process had %d MiB at its peak, want at most %d", peakMemory(t, g)>>20, most>>20)
	}
}

// besiege opens the connections and goes on in the background until they end.
func besiege(t *testing.T, g *gateway, s siege, clients int) []net.Conn {
	t.Helper()
	var conns []net.Conn
	var sent sync.WaitGroup
	for range clients {
		conn := dial(t, g.address)
		_ = conn.Conn.(*net.TCPConn).SetReadBuffer(4096)
		conns = append(conns, conn)
		begun := make(chan struct{})
		sent.Go(func() { <-begun })
		go func() {
			head := min(len(s.request), 2048)
			_, _ = io.WriteString(conn, s.request[:head])
			close(begun) // some of the rest is never taken
			_, _ = io.WriteString(conn, s.request[head:])
			pace := time.NewTicker(50 * time.Millisecond)
			defer pace.Stop()
			for s.step != nil && s.step(conn) == nil {
				<-pace.C
			}
		}()
	}
	sent.Wait()
	return conns
}

func askLight(address string) error {
	conn, err := open(&net.Dialer{}, address)
	if err != nil {
		return err
	}
	defer conn.close()
	if _, err := io.WriteString(conn, "POST /hello HTTP/1.1\r\nHost: light.test\r\nConnection: close\r\nContent-Length: 5\r\n\r\nworld"); err != nil {
		return err
	}
	answer, err := io.ReadAll(conn)
	if err == nil && !strings.HasSuffix(string(answer), "\r\n\r\nhello world") {
		err = fmt.Errorf("%q", answer)
	}
	return err
}
