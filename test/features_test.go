package test

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/test/port"
)

// echoFields answers with the fields of the request, a line each, sorted.
func echoFields(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	var lines []string
	for name, values := range r.Header {
		for _, value := range values {
			lines = append(lines, name+": "+value)
		}
	}
	slices.Sort(lines)
	_, _ = fmt.Fprintf(w, "%s %s %s\n%s\n", r.Method, r.RequestURI, r.Host, strings.Join(lines, "\n"))
}

// TestTLS speaks TLS on both sides, and refuses a target whose certificate
// can't be verified.
func TestTLS(t *testing.T) {
	upstream := httptest.NewTLSServer(http.HandlerFunc(echoFields))
	t.Cleanup(upstream.Close)
	directory := t.TempDir()
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: upstream.Certificate().Raw})
	pair := upstream.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"cert.pem": certificate, "key.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})} {
		if err := os.WriteFile(filepath.Join(directory, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("SSL_CERT_FILE", filepath.Join(directory, "cert.pem"))
	number := strings.TrimPrefix(upstream.URL, "https://127.0.0.1:")
	g := startGateway(t, fmt.Sprintf("tls: {enabled: true, cert_file: %q, key_file: %q}\n", directory+"/cert.pem", directory+"/key.pem")+
		"tenants:\n"+
		"  - {name: good, path_prefix: /good, timeouts: {connect: 1m}, services: [{url: \"https://127.0.0.1:"+number+"\"}]}\n"+
		"  - {name: wrong, path_prefix: /wrong, timeouts: {connect: 1m}, services: [{url: \"https://localhost:"+number+"\"}]}\n")
	roots := x509.NewCertPool()
	roots.AddCert(upstream.Certificate())
	secured, err := tls.Dial("tcp", g.address, &tls.Config{RootCAs: roots, ServerName: "example.com", MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	conn := clientOn(secured)
	defer conn.close()
	for range 3 { // kept on both sides
		answer := conn.exchange(t, "GET /good HTTP/1.1\r\nHost: a\r\n\r\n")
		if answer.status != 200 || !strings.Contains(string(answer.body), "X-Forwarded-Proto: https") {
			t.Errorf("%d %s", answer.status, answer.body)
		}
	}
	big := strings.Repeat("x", 300_000)
	answer := conn.exchange(t, fmt.Sprintf("POST /good HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(big), big))
	if answer.status != 200 {
		t.Errorf("a streamed upload over TLS: %d", answer.status)
	}
	answer = conn.exchange(t, "GET /wrong HTTP/1.1\r\nHost: a\r\n\r\n")
	if answer.status != 502 || len(valuesOf(answer.fields, "x-gateway-error")) != 1 {
		t.Errorf("a certificate for another name: %d, want 502", answer.status)
	}
}

// TestUnixSockets goes from one Unix socket to another.
func TestUnixSockets(t *testing.T) {
	directory := t.TempDir()
	listener, err := net.Listen("unix", filepath.Join(directory, "up.sock"))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(echoFields), ReadHeaderTimeout: patience}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	g := &gateway{address: "unix:" + filepath.Join(directory, "gw.sock"), admin: port.Reserve(t)}
	g.config = filepath.Join(directory, "config.yaml")
	g.write(t, "server:\n  trusted_proxies: [unix]\ntenants:\n  - {name: a, path_prefix: /, services: [{url: \"unix://"+directory+"/up.sock\"}]}\n")
	g.launch(t)
	g.awaitReady(t)
	conn, err := net.Dial("unix", strings.TrimPrefix(g.address, "unix:"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	answer := clientOn(conn).exchange(t, "GET /x HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n")
	if answer.status != 200 || !strings.Contains(string(answer.body), "X-Forwarded-For: 192.0.2.1") {
		t.Errorf("%d %s", answer.status, answer.body)
	}
}

// TestIPv6 listens and connects on ::1.
func TestIPv6(t *testing.T) {
	listener, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		missing(t, "this system has no IPv6 loopback")
	}
	server := &http.Server{Handler: http.HandlerFunc(echoFields), ReadHeaderTimeout: patience}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	g := startGateway(t, "tenants:\n  - {name: a, domains: [\"[::1]\"], services: [{url: \"http://"+listener.Addr().String()+"\"}]}\n")
	answer := dial(t, g.address).exchange(t, "GET /x HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n")
	if answer.status != 200 || !strings.Contains(string(answer.body), "[::1]:8080") {
		t.Errorf("%d %s", answer.status, answer.body)
	}
}

// TestCompression compresses what it should, and nothing else.
func TestCompression(t *testing.T) {
	text := strings.Repeat("compress me ", 1000)
	upstream := serveFunc(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", r.URL.Query().Get("type"))
		w.Header().Set("ETag", `"1"`)
		if extra := r.URL.Query().Get("extra"); extra != "" {
			name, value, _ := strings.Cut(extra, ":")
			w.Header().Set(name, value)
		}
		_, _ = io.WriteString(w, text)
	})
	g := startGateway(t, simpleConfig(upstream, "compression: {enabled: true}"))
	for _, c := range []struct {
		name, path, accept string
		want               bool
	}{
		{"text", "/?type=text/plain%3Bcharset=utf-8", "deflate, gzip;q=0.5", true},
		{"image", "/?type=image/png", "gzip", false},
		{"not accepted", "/?type=text/plain", "deflate", false},
		{"refused", "/?type=text/plain", "gzip;q=0", false},
		{"already coded", "/?type=text/plain&extra=Content-Encoding:br", "gzip", false},
		{"not to be transformed", "/?type=text/plain&extra=Cache-Control:no-transform", "gzip", false},
	} {
		answer := dial(t, g.address).exchange(t, "GET "+c.path+" HTTP/1.1\r\nHost: a\r\nAccept-Encoding: "+c.accept+"\r\n\r\n")
		coded := slices.Contains(valuesOf(answer.fields, "content-encoding"), "gzip")
		if coded != c.want {
			t.Errorf("%s: gzip is %v, want %v", c.name, coded, c.want)
		}
		body := string(answer.body)
		if coded {
			r, err := gzip.NewReader(strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			plain, err := io.ReadAll(r)
			if body = string(plain); err != nil {
				t.Error(err)
			}
			if tag := valuesOf(answer.fields, "etag"); tag[0] != `W/"1"` {
				t.Errorf("%s: ETag %s, want a weak one", c.name, tag)
			}
		}
		if body != text {
			t.Errorf("%s: %d bytes of content, want %d", c.name, len(body), len(text))
		}
	}
}

// TestForwarding checks what trusted and other clients can say of themselves.
func TestForwarding(t *testing.T) {
	upstream := serveFunc(t, echoFields)
	claims := "X-Forwarded-For: 192.0.2.9, 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Port: 1\r\n" +
		"Forwarded: for=192.0.2.1\r\nVia: 1.0 old\r\nX-Request-Id: mine-1\r\n"
	for _, c := range []struct {
		name, config  string
		wants, unwant []string
	}{
		{"not trusted", "", []string{"X-Forwarded-For: 127.0.0.1\n", "X-Forwarded-Proto: http\n", "X-Forwarded-Host: a\n", "Via: 1.0 old\n"},
			[]string{"evil", "192.0.2", "X-Forwarded-Port", "mine-1"}},
		{"trusted", "server:\n  trusted_proxies: [127.0.0.0/8]\n", []string{"X-Forwarded-For: 192.0.2.9, 192.0.2.1, 127.0.0.1\n",
			"X-Forwarded-Proto: https\n", "X-Forwarded-Host: evil\n", "X-Forwarded-Port: 1\n", "Forwarded: for=192.0.2.1\n", "X-Request-Id: mine-1\n"}, nil},
		{"with Forwarded and Via", "server:\n  forwarded: true\n  via: gw\n", []string{"Forwarded: for=127.0.0.1;host=\"a\";proto=http\n", "Via: 1.0 old, 1.1 gw\n"},
			[]string{"192.0.2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := startGateway(t, c.config+simpleConfig(upstream))
			answer := dial(t, g.address).exchange(t, "GET / HTTP/1.1\r\nHost: a\r\n"+claims+"\r\n")
			for _, want := range c.wants {
				if !strings.Contains(string(answer.body), want) {
					t.Errorf("the target misses %q in\n%s", want, answer.body)
				}
			}
			for _, unwanted := range c.unwant {
				if strings.Contains(string(answer.body), unwanted) {
					t.Errorf("the target sees %q in\n%s", unwanted, answer.body)
				}
			}
		})
	}
}

// TestStripPrefixAndHost checks strip_prefix, preserve_host and the base path.
func TestStripPrefixAndHost(t *testing.T) {
	upstream := serveFunc(t, echoFields)
	g := startGateway(t, "tenants:\n"+
		"  - {name: a, path_prefix: /api, strip_prefix: true, preserve_host: false, services: [{url: \"http://"+upstream+"/base\"}]}\n")
	for path, want := range map[string]string{
		"/api":             "GET /base/ " + upstream,
		"/api/x%2Fy?q=/..": "GET /base/x%2Fy?q=/.. " + upstream,
		"/api/../api/z/":   "GET /base/z/ " + upstream,
	} {
		answer := dial(t, g.address).exchange(t, "GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n")
		if got, _, _ := strings.Cut(string(answer.body), "\n"); got != want {
			t.Errorf("%s: the target got %q, want %q", path, got, want)
		}
	}
}

// TestLimits holds the limits on connections, in total and per address.
func TestLimits(t *testing.T) {
	upstream := serveFunc(t, echoFields)
	for setting, want := range map[string]int{"max_connections": 503, "max_connections_per_address": 429} {
		g := startGateway(t, "server:\n  "+setting+": 2\n"+simpleConfig(upstream))
		held := []*client{holdOne(t, g), holdOne(t, g)}
		if got := answerOf(t, g); !strings.Contains(got, fmt.Sprintf(" %d ", want)) {
			t.Errorf("%s: beyond the limit: %q, want %d", setting, got, want)
		}
		// What it has sent is read, or the answer would be followed by a reset.
		refused := dial(t, g.address)
		_, _ = io.WriteString(refused, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n"+strings.Repeat("x", 20_000))
		if text, err := io.ReadAll(refused); err != nil || !strings.Contains(string(text), fmt.Sprintf(" %d ", want)) {
			t.Errorf("%s: beyond the limit: %q, %v", setting, text, err)
		}
		_ = held[0].Close()
		eventually(t, patience, "there is room again", func() bool { return strings.Contains(answerOf(t, g), " 200 ") })
	}
}

// holdOne returns a connection that has been served. The end of earlier ones
// may take a moment.
func holdOne(t *testing.T, g *gateway) (conn *client) {
	t.Helper()
	eventually(t, patience, "a connection within the limit", func() bool {
		conn = dial(t, g.address)
		return conn.exchange(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").status == 200
	})
	return conn
}

// answerOf returns the status line that a new connection gets.
func answerOf(t *testing.T, g *gateway) string {
	t.Helper()
	conn, err := open(&net.Dialer{}, g.address)
	if err != nil {
		return err.Error()
	}
	defer conn.close()
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	line, _ := conn.reader.ReadString('\n')
	return line
}

// TestUpstreamTroubles maps what targets do to statuses and stable codes.
func TestUpstreamTroubles(t *testing.T) {
	arrived := make(chan string, 100)
	hang := serveFunc(t, func(_ http.ResponseWriter, r *http.Request) {
		arrived <- r.URL.Path
		<-r.Context().Done()
	})
	dead := port.Reserve(t)
	service := func(name, path, url, more string) string {
		return fmt.Sprintf("  - {name: %s, path_prefix: %s, %s services: [{url: %q}]}\n", name, path, more, url)
	}
	g := startGateway(t, "tenants:\n"+
		service("slow", "/slow", "http://"+hang, "timeouts: {response_header: 200ms},")+
		service("total", "/total", "http://"+hang, "timeouts: {total: 200ms},")+
		service("full", "/full", "http://"+hang, "connections: {max_per_target: 1, max_pending: 1, pending_timeout: 200ms},")+
		service("dead", "/dead", "http://"+dead, "health: {interval: 1h},")+
		service("gone", "/gone", "http://no-such-name.invalid", ""))
	get := func(path string) (int, string) {
		answer := dial(t, g.address).exchange(t, "GET "+path+" HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\n\r\n")
		code := strings.Join(valuesOf(answer.fields, "x-gateway-error"), ",")
		if !strings.Contains(string(answer.body), `"code":"`+code+`"`) {
			t.Errorf("%s: the body %s has not the code %s", path, answer.body, code)
		}
		if answer.status == 503 && len(valuesOf(answer.fields, "retry-after")) != 1 {
			t.Errorf("%s: 503 without Retry-After", path)
		}
		return answer.status, code
	}
	check := func(path string, wantStatus int, wantCode string) {
		t.Helper()
		if status, code := get(path); status != wantStatus || code != wantCode {
			t.Errorf("%s: %d %s, want %d %s", path, status, code, wantStatus, wantCode)
		}
	}
	check("/slow", 504, "upstream_timeout")
	check("/total", 504, "upstream_timeout")
	check("/dead", 502, "upstream_connect_failed")
	check("/dead", 503, "no_healthy_target")
	check("/gone", 503, "no_healthy_target")
	check("/other", 404, "no_tenant")

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	held := make(chan struct{})
	go func() {
		defer close(held)
		request, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.address+"/full", nil)
		if response, err := http.DefaultClient.Do(request); err == nil {
			_ = response.Body.Close()
		}
	}()
	for path := range arrived {
		if path == "/full" { // so the one connection is taken
			break
		}
	}
	check("/full", 503, "upstream_overflow")
	cancel()
	<-held
}

// TestMaxForwards counts OPTIONS down (RFC 9110 §7.6.2).
func TestMaxForwards(t *testing.T) {
	upstream := serveFunc(t, echoFields)
	g := startGateway(t, simpleConfig(upstream))
	for sent, want := range map[string]string{"7": "Max-Forwards: 6\n", "x": "Max-Forwards: x\n", "0": ""} {
		answer := dial(t, g.address).exchange(t, "OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: "+sent+"\r\n\r\n")
		if answer.status != 200 || !strings.Contains(string(answer.body), want) || want == "" && len(answer.body) > 0 {
			t.Errorf("Max-Forwards %s: %d %q", sent, answer.status, answer.body)
		}
	}
}

// TestAddDate: a response without Date gets one where that is asked for, and
// another one's stays.
func TestAddDate(t *testing.T) {
	t.Parallel()
	for _, add := range []bool{false, true} {
		f := startFlow(t, fmt.Sprintf("server:\n  add_date: %v\n", add), func(r *request) reply {
			if r.target == "/dated" {
				return reply{parts: []string{answer("200 OK", "ok", length2, "date: yesterday")}}
			}
			return reply{parts: []string{answer("304 Not Modified", "")}}
		})
		client := dial(t, f.gateway.address)
		client.send(t, f.expand(get("/dated")))
		if got := client.answer(t, "GET").values("Date"); !slices.Equal(got, []string{"yesterday"}) {
			t.Errorf("add_date %v: Date %q in the place of the target's", add, got)
		}
		client.send(t, f.expand(get("/undated")))
		got := client.answer(t, "GET").values("Date")
		if _, err := http.ParseTime(strings.Join(got, "|")); (err == nil) != add || len(got) > 1 {
			t.Errorf("add_date %v: Date %q", add, got)
		}
	}
}
