package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy"
)

// holderScript is the tenant "scripted" of the tests below.
const holderScript = `
chi_route("POST", "/echo", function(request, response) response:write(request.body) end)
chi_route("GET", "/big", function(request, response) response:write(string.rep("x", 1000000)) end)
local function long(message) for i = 1, 150 do message:add_header("X-" .. i, string.rep("x", 6000)) end end
chi_route("GET", "/fields", function(_, response) long(response) end)
chi_route("GET", "/drip", function(request, response)
  for i = 1, 100 do response:write(string.rep("x", 50000)) response:flush() end
end)
chi_middleware(function(request, response, next)
  next()
  if request.path == "/read" then response:write(#response.body) end
end)`

// startHolders starts a gateway with a tenant "plain" and one "scripted", whose
// target does with each request what its path says.
func startHolders(t *testing.T, settings, tenant string) *proxy.Server {
	t.Helper()
	done := make(chan struct{})
	t.Cleanup(func() { close(done) })
	upstream := target(t, func(conn net.Conn) {
		in := bufio.NewReader(conn)
		request, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		part := strings.Repeat("x", 50_000)
		switch request.URL.Path {
		case "/silent":
			_, _ = io.Copy(io.Discard, in)
		case "/deaf":
			<-done // nothing is read
		case "/read":
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"+strings.Repeat(part, 10))
		case "/head":
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Long: "+part+"\r\n\r\nhell")
		case "/chunks":
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n")
			for err == nil {
				_, err = fmt.Fprintf(conn, "%x\r\n%s\r\n", len(part), part)
			}
		case "/upgrade":
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		default:
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
		}
		_, _ = conn.Read(make([]byte, 1)) // until the gateway has enough
	})
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "holder.lua"), []byte(holderScript), 0o600); err != nil {
		t.Fatal(err)
	}
	service := "services: [{url: \"http://" + upstream + "\"}]"
	return start(t, settings+"access_log: {enabled: false}\nlua_routing: {enabled: true, scripts_dir: \""+dir+"\"}\ntenants:\n"+
		"  - {name: plain, domains: [plain.test], "+tenant+service+"}\n"+
		"  - {name: scripted, domains: [scripted.test], lua_routes: [holder.lua], lua: {timeout: 20s}, "+tenant+service+"}\n")
}

// held is what all accounts hold, or those of one tenant.
func held(s *proxy.Server, name string) int64 {
	n := int64(0)
	if name == "" {
		n = s.Counters().Unrouted.Memory.Used()
	}
	for t := range s.Tenants() {
		if name == "" || t.Name == name {
			n += t.Stats.Memory.Used()
		}
	}
	return n
}

// TestMemoryIsCharged: whatever clients, targets and scripts make a request
// hold is counted while it is held, only that, and no longer than that.
func TestMemoryIsCharged(t *testing.T) {
	t.Parallel()
	const clients = 3
	body := strings.Repeat("x", 900_000)
	for name, test := range map[string]struct {
		request     string
		least, most int64 // bytes that each client makes the gateway hold
	}{
		"idle":                       {"", 4 << 10, 16 << 10},
		"waiting for a target":       {"GET /silent HTTP/1.1\r\nHost: plain.test\r\n\r\n", 16 << 10, 40 << 10},
		"waiting, with a script":     {"GET /silent HTTP/1.1\r\nHost: scripted.test\r\n\r\n", 32 << 10, 64 << 10},
		"a part of a large head":     {"GET / HTTP/1.1\r\nHost: plain.test\r\nX: " + body[:20_000], 64 << 10, 80 << 10},
		"a large head":               {"GET /silent HTTP/1.1\r\nHost: plain.test\r\nX: " + body[:20_000] + "\r\n\r\n", 100 << 10, 220 << 10},
		"a small body, announced":    {"POST /silent HTTP/1.1\r\nHost: plain.test\r\nContent-Length: 60000\r\n\r\nx", 16 << 10, 40 << 10},
		"a small body, nearly there": {"POST /silent HTTP/1.1\r\nHost: plain.test\r\nContent-Length: 60000\r\n\r\n" + body[:50_000], 80 << 10, 110 << 10},
		"a small body, sent on":      {"POST /silent HTTP/1.1\r\nHost: plain.test\r\nContent-Length: 50000\r\n\r\n" + body[:50_000], 80 << 10, 110 << 10},
		"an upload not taken":        {"POST /deaf HTTP/1.1\r\nHost: plain.test\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n" + body, 20 << 10, 120 << 10},
		"a script's body, announced": {"POST /echo HTTP/1.1\r\nHost: scripted.test\r\nContent-Length: 1000000\r\n\r\nx", 32 << 10, 64 << 10},
		"a script's body":            {"POST /echo HTTP/1.1\r\nHost: scripted.test\r\nContent-Length: 1000000\r\n\r\n" + body, 900_000, 1_700_000},
		"a script's body, in chunks": {"POST /echo HTTP/1.1\r\nHost: scripted.test\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n" + body, 900_000, 1_700_000},
		"a response read by scripts": {"GET /read HTTP/1.1\r\nHost: scripted.test\r\n\r\n", 500_000, 1_700_000},
		"a script's response":        {"GET /big HTTP/1.1\r\nHost: scripted.test\r\n\r\n", 1_000_000, 1_200_000},
		"a script's long header":     {"GET /fields HTTP/1.1\r\nHost: scripted.test\r\n\r\n", 1_800_000, 2_000_000},
		"a response not taken":       {"GET /chunks HTTP/1.1\r\nHost: plain.test\r\n\r\n", 64 << 10, 120 << 10},
		"a compressed response":      {"GET /chunks HTTP/1.1\r\nHost: plain.test\r\nAccept-Encoding: gzip\r\n\r\n", 1 << 20, 2 << 20},
		"a target's large head":      {"GET /head HTTP/1.1\r\nHost: plain.test\r\n\r\n", 200_000, 400_000},
		"a tunnel":                   {"GET /upgrade HTTP/1.1\r\nHost: plain.test\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", 32 << 10, 64 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := startHolders(t, "compression: {enabled: true}\n", "")
			conns := make([]net.Conn, clients)
			for i := range conns {
				conn, err := net.Dial("tcp", server.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = conn.Close() }()
				conns[i] = conn
				_ = conn.(*net.TCPConn).SetReadBuffer(16 << 10)
				_ = conn.SetWriteDeadline(time.Now().Add(patience))
				go func() { _, _ = io.WriteString(conn, test.request) }() // some is never taken
			}
			eventually(t, fmt.Sprintf("at least %d bytes are held", clients*test.least), func() bool {
				got := held(server, "")
				if got > clients*test.most {
					t.Fatalf("%d bytes are held, want at most %d", got, clients*test.most)
				}
				return got >= clients*test.least
			})
			for _, conn := range conns {
				_ = conn.(*net.TCPConn).SetLinger(0)
				_ = conn.Close()
			}
			eventually(t, "nothing is held any more", func() bool { return held(server, "") == 0 })
		})
	}
}

// TestMemoryLimit: a tenant's requests hold no more than its limit, beyond
// which they get 503; others don't notice, and afterwards all is well.
func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	const limit = 3 << 20
	server := startHolders(t, "", "max_client_memory: 3MiB, ")
	body := strings.Repeat("x", 999_990)
	var conns []net.Conn
	refused := make(chan error, 40)
	for range cap(refused) {
		conn, err := net.Dial("tcp", server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		conns = append(conns, conn)
		_ = conn.SetDeadline(time.Now().Add(patience))
		go func() {
			if _, err := io.WriteString(conn, "POST /echo HTTP/1.1\r\nHost: scripted.test\r\nContent-Length: 1000000\r\n\r\n"+body); err != nil {
				refused <- nil // the gateway's answer may be lost to what this client still sends
				return
			}
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err == nil {
				_ = response.Body.Close()
				if response.StatusCode != 503 || response.Header.Get("X-Gateway-Error") != "script_memory" || response.Header.Get("Retry-After") == "" {
					err = fmt.Errorf("%s, %v", response.Status, response.Header)
				}
			} else if strings.Contains(err.Error(), "reset") {
				err = nil
			}
			refused <- err
		}()
	}
	for range cap(refused) - limit/500_000 { // at least so many have no place
		if err := <-refused; err != nil {
			t.Fatal(err)
		}
		if got := held(server, "scripted"); got > limit {
			t.Fatalf("%d bytes are held, the limit is %d", got, limit)
		}
	}
	ask := func(host string) error {
		conn, err := net.Dial("tcp", server.Addr().String())
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(conn, "POST /echo HTTP/1.1\r\nHost: "+host+"\r\nContent-Length: 5\r\n\r\nhello")
		return answered(bufio.NewReader(conn))
	}
	if err := ask("plain.test"); err != nil {
		t.Error("another tenant:", err)
	}
	for _, conn := range conns {
		_ = conn.Close()
	}
	eventually(t, "nothing is held any more", func() bool { return held(server, "scripted") == 0 })
	if err := ask("scripted.test"); err != nil {
		t.Error("afterwards:", err)
	}
}
