package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/test/port"
)

// decider is a server that decides who may pass, by the cookie or the path.
type decider struct {
	*httptest.Server
	asked atomic.Int32
	last  atomic.Pointer[http.Request]
	body  atomic.Pointer[string]
}

func newDecider(t *testing.T) *decider {
	t.Helper()
	d := &decider{}
	d.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.asked.Add(1)
		body, _ := io.ReadAll(r.Body)
		text := string(body)
		d.last.Store(r)
		d.body.Store(&text)
		h := w.Header()
		switch cookie, _ := r.Cookie("s"); {
		case cookie != nil && cookie.Value == "broken":
			w.WriteHeader(http.StatusInternalServerError)
		case cookie != nil && cookie.Value == "none":
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte("not you"))
		case cookie != nil:
			h.Set("Remote-User", cookie.Value)
			h["Remote-Groups"] = []string{"a", "b"}
			h.Set("X-Other", "other")
			h.Set("Authorization", "Bearer of-"+cookie.Value)
			if cookie.Value == "fresh" {
				h.Add("Set-Cookie", "s=fresher")
				h.Add("Set-Cookie", "t=1")
			}
			w.WriteHeader(http.StatusAccepted)
		default:
			h.Set("Location", "https://login.example.com/?rd="+r.Header.Get("X-Forwarded-Uri"))
			h.Add("Set-Cookie", "a=1")
			h.Add("Set-Cookie", "b=2")
			h.Set("X-Gateway-Error", "forged")
			w.WriteHeader(http.StatusFound)
			_, _ = w.Write([]byte("to login"))
		}
	}))
	t.Cleanup(d.Close)
	return d
}

// TestForwardAuth: a server is told of each request, and decides; what it says of who
// has sent it can't be said by anybody else.
func TestForwardAuth(t *testing.T) {
	t.Parallel()
	d, up, log := newDecider(t), echoing(t, ""), filepath.Join(t.TempDir(), "access.log")
	server := start(t, "access_log: {output: '"+log+"'}\n"+tenantsOf(
		"a", "domains: [a.example.com], policies: [{forward_auth: {url: '"+d.URL+"/verify?x=1', copy_fields: ['Remote-*', Authorization], client_fields: [Set-Cookie], timeout: 1m}}], services: [{url: 'http://"+up+"'}]",
		"b", "domains: [b.example.com], policies: [{forward_auth: {url: 'http://"+port.Reserve(t)+"/'}}], services: [{url: 'http://"+up+"'}]",
		"c", "domains: [c.example.com], policies: [{forward_auth: {url: '"+d.URL+"', timeout: 1m, max_body: 8B}}], services: [{url: 'http://"+up+"'}]"))
	address := server.Addr().String()

	answer, body := askRaw(t, address, "DELETE /p/%7Eq/../x?a=%20b HTTP/1.1\r\nHost: A.example.com:8080\r\nCookie: s=alice\r\nX-Kept: 1\r\nAuthorization: Basic YTpi\r\nContent-Length: 2\r\nContent-Type: text/plain\r\nIf-None-Match: x\r\n"+
		"Remote-User: root\r\nremote_user: root\r\nREMOTE-GROUPS: root\r\nRemote_Anything: root\r\nX-Forwarded-Uri: /open\r\nX-Original-URL: /open\r\nX_Original_URL: /open\r\nx-forwarded-for: 6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nX-Forwarded-Method: GET\r\n\r\nhi")
	want := []string{"Remote-User: alice", "Remote-Groups: a", "Remote-Groups: b", "Authorization: Bearer of-alice"}
	got := linesOf(body, "Remote-User", "remote_user", "REMOTE-GROUPS", "Remote-Groups", "Remote_Anything", "Authorization", "X-Other")
	slices.Sort(got)
	slices.Sort(want)
	if answer.StatusCode != 200 || !slices.Equal(got, want) || strings.Contains(body, "root") {
		t.Errorf("got %d, the target %q, want %q", answer.StatusCode, got, want)
	}
	told := d.last.Load()
	for name, want := range map[string]string{
		"X-Forwarded-Method": "DELETE", "X-Original-Method": "DELETE", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "a.example.com:8080", "X-Forwarded-Uri": "/p/x?a=%20b",
		"X-Original-Url": "http://a.example.com:8080/p/x?a=%20b", "X-Forwarded-For": "127.0.0.1", "X-Real-Ip": "127.0.0.1", "Cookie": "s=alice", "X-Kept": "1",
		"Authorization": "Basic YTpi", "Remote-User": "", "Remote_user": "", "Remote-Groups": "", "X_original_url": "", "If-None-Match": "", "Content-Type": "", "Content-Length": "",
	} {
		if got := strings.Join(told.Header.Values(name), "|"); got != want {
			t.Errorf("the server is told %s %q, want %q", name, got, want)
		}
	}
	if told.Method != http.MethodGet || told.URL.String() != "/verify?x=1" || *d.body.Load() != "" {
		t.Errorf("the server is asked %s %s with %q", told.Method, told.URL, *d.body.Load())
	}
	for i, c := range []struct {
		host, request string
		status        int
		code          string
		fields        string // of the answer
		body          string
	}{
		{"a", "GET /x?y HTTP/1.1", 302, "", "Location: https://login.example.com/?rd=/x?y|Set-Cookie: a=1|Set-Cookie: b=2", "to login"},
		{"a", "GET / HTTP/1.1\r\nCookie: s=none", 403, "forward_auth_denied", "", "not you"},
		{"a", "HEAD / HTTP/1.1\r\nCookie: s=none", 403, "forward_auth_denied", "", ""},
		{"a", "GET / HTTP/1.1\r\nCookie: s=broken", 503, "forward_auth_unavailable", "", ""},
		{"a", "GET / HTTP/1.1\r\nCookie: s=fresh", 200, "", "Set-Cookie: s=fresher|Set-Cookie: t=1", ""},
		{"b", "GET / HTTP/1.1\r\nCookie: s=alice", 503, "forward_auth_unavailable", "", ""},
		{"c", "POST / HTTP/1.1\r\nCookie: s=alice\r\nContent-Length: 9\r\nConnection: close", 413, "body_too_large", "", ""},
	} {
		answer, body := askRaw(t, address, c.request+"\r\nHost: "+c.host+".example.com\r\n\r\n")
		var fields []string
		for _, name := range []string{"Location", "Set-Cookie"} {
			for _, value := range answer.Header.Values(name) {
				fields = append(fields, name+": "+value)
			}
		}
		if answer.StatusCode != c.status || answer.Header.Get("X-Gateway-Error") != c.code || strings.Join(fields, "|") != c.fields || c.body != "" && body != c.body {
			t.Errorf("%d: got %d %v %q", i, answer.StatusCode, answer.Header, body)
		}
	}
	answer, body = askRaw(t, address, "POST / HTTP/1.1\r\nHost: c.example.com\r\nCookie: s=alice\r\nContent-Type: text/x\r\nContent-Length: 4\r\n\r\nbody")
	if told := d.last.Load(); answer.StatusCode != 200 || *d.body.Load() != "body" || told.Method != "POST" || told.Header.Get("Content-Type") != "text/x" || !strings.Contains(body, "Content-Length: 4") {
		t.Errorf("with a body: got %d %q, and the server %s %q", answer.StatusCode, body, told.Method, *d.body.Load())
	}
	eventually(t, "the log says who it was, and why not", func() bool {
		text, _ := os.ReadFile(log) // #nosec G304 -- of this test
		return strings.Contains(string(text), `"user":"alice"`) && strings.Contains(string(text), `"error":"forward_auth_denied","cause":"its server answered 403"`) &&
			strings.Contains(string(text), `"error":"forward_auth_unavailable","cause":"cannot ask whether the request may pass: its server answered 500"`)
	})
}

// TestForwardAuthCaches: an answer is taken for requests that are the same in all that
// the server is told, and for no others.
func TestForwardAuthCaches(t *testing.T) {
	t.Parallel()
	d, up := newDecider(t), echoing(t, "")
	server := start(t, "access_log: {enabled: false}\n"+tenantsOf(
		"a", "domains: [a.example.com, A2.example.com], policies: [{forward_auth: {url: '"+d.URL+"', timeout: 1m, request_fields: [Cookie, X-Key], copy_fields: Remote-User, cache_for: 1m}}], services: [{url: 'http://"+up+"'}]",
		"b", "domains: [b.example.com], policies: [{forward_auth: {url: '"+d.URL+"', timeout: 1m, request_fields: Cookie, copy_fields: Remote-User, cache_for: 1m, tell: host}}], services: [{url: 'http://"+up+"'}]"))
	for i, c := range []struct {
		request string
		asked   bool
		user    string // "" is not served
	}{
		{"GET /p HTTP/1.1\r\nHost: a.example.com\r\nCookie: s=alice", true, "alice"},
		{"GET /p HTTP/1.1\r\nHost: a.example.com\r\nCookie: s=alice", false, "alice"},
		{"GET /p HTTP/1.1\r\nHost: a.example.com\r\nX-Other: 1\r\nRemote-User: root\r\nCookie: s=alice", false, "alice"}, // isn't told
		{"GET /p HTTP/1.1\r\nHost: A.EXAMPLE.com\r\nCookie: s=alice", false, "alice"},
		{"GET /p HTTP/1.1\r\nHost: a2.example.com\r\nCookie: s=alice", true, "alice"},
		{"GET /p HTTP/1.1\r\nHost: a.example.com:81\r\nCookie: s=alice", true, "alice"},
		{"GET /p? HTTP/1.1\r\nHost: a.example.com\r\nCookie: s=alice", true, "alice"},
		{"GET /p?s=alice HTTP/1.1\r\nHost: a.example.com\r\nCookie: s=alice", true, "alice"},
		{"GET /P HTTP/1.1\r\nHost: a.example.com\r\nCookie: s=alice", true, "alice"},
		{"POST /p HTTP/1.1\r\nHost: a.example.com\r\nCookie: s=alice", true, "alice"},
		{"GET /p HTTP/1.1\r\nHost: a.example.com\r\nCookie: s=bob", true, "bob"},
		{"GET /p HTTP/1.1\r\nHost: a.example.com\r\nCookie: s=alice\r\nCookie: t=1", true, "alice"},
		{"GET /p HTTP/1.1\r\nHost: a.example.com\r\nCookie: s=alice\r\nX-Key: 1", true, "alice"},
		{"GET /p HTTP/1.1\r\nHost: a.example.com\r\nX-Key: 1\r\nCookie: s=alice", true, "alice"}, // the order may mean something
		{"GET /p HTTP/1.1\r\nHost: a.example.com\r\nX-Key: s=alice", true, ""},
		{"GET /p HTTP/1.1\r\nHost: a.example.com", true, ""},
		{"GET /p HTTP/1.1\r\nHost: a.example.com", true, ""}, // what doesn't pass isn't kept
		{"GET /p HTTP/1.1\r\nHost: a.example.com\r\nCookie: s=fresh", true, "fresh"},
		{"GET /p HTTP/1.1\r\nHost: a.example.com\r\nCookie: s=fresh", true, "fresh"}, // nor what sets cookies
		{"GET /p HTTP/1.1\r\nHost: b.example.com\r\nCookie: s=alice", true, "alice"},
		{"POST /other HTTP/1.1\r\nHost: b.example.com\r\nCookie: s=alice", false, "alice"},
		{"GET /p HTTP/1.1\r\nHost: b.example.com\r\nCookie: s=bob", true, "bob"},
	} {
		before := d.asked.Load()
		answer, body := askRaw(t, server.Addr().String(), c.request+"\r\n\r\n")
		user := strings.Join(linesOf(body, "Remote-User"), "|")
		if asked := d.asked.Load() > before; asked != c.asked || (answer.StatusCode == 200) != (c.user != "") || c.user != "" && user != "Remote-User: "+c.user {
			t.Errorf("%d: %q: got %d as %q, asked %v; want %q, asked %v", i, c.request, answer.StatusCode, user, asked, c.user, c.asked)
		}
	}
	if told := d.last.Load(); told.Header.Get("X-Forwarded-Uri") != "" || told.Header.Get("X-Forwarded-For") != "" || told.Header.Get("X-Forwarded-Host") != "b.example.com" {
		t.Errorf("with tell: host the server is told %v", told.Header)
	}
}

// TestForwardAuthOfWebSockets: a handshake is asked about, and what comes of it is a
// tunnel.
func TestForwardAuthOfWebSockets(t *testing.T) {
	t.Parallel()
	d := newDecider(t)
	up := target(t, func(conn net.Conn) {
		reader := bufio.NewReader(conn)
		for {
			line, err := reader.ReadString('\n')
			if err != nil {
				return
			}
			if line == "\r\n" {
				break
			}
		}
		_, _ = fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_, _ = io.Copy(conn, reader)
	})
	server := start(t, tenantsOf("a", "domains: [a.example.com], policies: [{forward_auth: {url: '"+d.URL+"', timeout: 1m}}], services: [{url: 'http://"+up+"'}]"))
	for cookie, want := range map[string]int{"s=alice": 101, "s=none": 403} {
		conn, err := net.Dial("tcp", server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		send(t, conn, "GET /ws HTTP/1.1\r\nHost: a.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: eA==\r\nSec-WebSocket-Version: 13\r\nCookie: "+cookie+"\r\n\r\n")
		reader := bufio.NewReader(conn)
		answer, err := http.ReadResponse(reader, nil)
		if err != nil || answer.StatusCode != want {
			t.Fatalf("%s: got %v %v", cookie, answer, err)
		}
		if told := d.last.Load(); told.Header.Get("Upgrade") != "" || told.Header.Get("Sec-WebSocket-Key") != "" {
			t.Errorf("the server is told of the handshake: %v", told.Header)
		}
		if want == 101 {
			send(t, conn, "ping\n")
			if line, err := reader.ReadString('\n'); line != "ping\n" {
				t.Errorf("through the tunnel: %q %v", line, err)
			}
		}
	}
}
