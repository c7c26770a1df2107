package streams_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestMethods(t *testing.T) {
	g, c := serve(t, "", "", echo), client(t)
	for _, a := range []struct {
		method, path string
		body         []byte
		want         string
	}{
		{"GET", "/x?y=1", nil, `HTTP/3.0 200 GET a.example /x?y=1 0 []`},
		{"HEAD", "/", nil, `HTTP/3.0 200 `},
		{"POST", "/", []byte("hello"), `HTTP/3.0 200 POST a.example / 5 []`},
		{"POST", "/", bytes.Repeat([]byte("x"), 3<<20), `HTTP/3.0 200 POST a.example / 3145728 []`},
		{"DELETE", "/", nil, `HTTP/3.0 200 DELETE a.example / 0 []`},
	} {
		r := g.request(a.method, a.path, bytes.NewReader(a.body))
		if a.body == nil {
			r = g.request(a.method, a.path, nil)
		}
		response, err := c.Do(r)
		if got := text(t, response, err); got != a.want {
			t.Errorf("%s %s of %d bytes: %q, want %q", a.method, a.path, len(a.body), got, a.want)
		}
	}
}

// TestBodies: content of a length that isn't said passes both ways, as it comes, with the
// trailers behind it.
func TestBodies(t *testing.T) {
	g, c := serve(t, "", "", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Got")
		_ = http.NewResponseController(w).EnableFullDuplex()
		buf := make([]byte, 32<<10)
		for {
			n, err := r.Body.Read(buf)
			_, _ = w.Write(buf[:n])
			_ = http.NewResponseController(w).Flush()
			if err != nil {
				break
			}
		}
		w.Header().Set("X-Got", r.Trailer.Get("X-Sent"))
	})), client(t)
	from, to := io.Pipe()
	r := g.request(http.MethodPost, "/", from)
	r.Trailer = http.Header{"X-Sent": nil}
	go func() { // a part is sent once the one before has come back
		_, _ = to.Write([]byte("first"))
	}()
	response, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	got := make([]byte, len("first"))
	if _, err := io.ReadFull(response.Body, got); err != nil || string(got) != "first" {
		t.Fatalf("%q %v", got, err)
	}
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	go func() {
		_, _ = to.Write(large)
		r.Trailer.Set("X-Sent", "all")
		_ = to.Close()
	}()
	rest, err := io.ReadAll(response.Body)
	if err != nil || !bytes.Equal(rest, large) {
		t.Fatalf("%d bytes, %v", len(rest), err)
	}
	if response.Trailer.Get("X-Got") != "all" {
		t.Errorf("the trailer is %v", response.Trailer)
	}
}

// TestInterim: 103 passes, and 100 Continue is the gateway's.
func TestInterim(t *testing.T) {
	g, c := serve(t, "", "", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</x.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		echo(w, r)
	})), client(t)
	var interims []int
	r := g.request(http.MethodPost, "/", strings.NewReader("hello"))
	r.Header.Set("Expect", "100-continue")
	r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, _ textproto.MIMEHeader) error { interims = append(interims, code); return nil },
	}))
	response, err := c.Do(r)
	if got := text(t, response, err); got != `HTTP/3.0 200 POST a.example / 5 []` {
		t.Error(got)
	}
	if !slices.Equal(interims, []int{100, 103}) {
		t.Errorf("before the response came %v", interims)
	}
}

// TestFaults: what the gateway refuses, over HTTP/3 as over others.
func TestFaults(t *testing.T) {
	g, c := serve(t, "request_limits: {max_header_size: 4KiB, max_url_size: 2KiB, max_body_size: 1KiB}", ", policies: [{ip: {deny: [192.0.2.0/24]}}]", echo), client(t)
	for name, a := range map[string]struct {
		change func(r *http.Request)
		want   string
	}{
		"nobody's host":   {func(r *http.Request) { r.Host = "b.example" }, "404 no_tenant"},
		"large head":      {func(r *http.Request) { r.Header.Set("X", strings.Repeat("x", 5<<10)) }, "431 header_too_large"},
		"very large head": {func(r *http.Request) { r.Header.Set("X", strings.Repeat("x", 60<<10)) }, "431 header_too_large"},
		"large body": {func(r *http.Request) {
			r.ContentLength = 2000
			r.Body = io.NopCloser(bytes.NewReader(make([]byte, 2000)))
		}, "413 body_too_large"},
		"large, length unknown": {func(r *http.Request) {
			r.Method = "POST"
			r.ContentLength = -1
			r.Body = io.NopCloser(bytes.NewReader(make([]byte, 2000)))
		}, "413 body_too_large"},
		"dots that climb": {func(r *http.Request) { r.URL.Path = "/../../x" }, "400 "},
		"CONNECT":         {func(r *http.Request) { r.Method = "CONNECT" }, "4"},
	} {
		r := g.request(http.MethodGet, "/", nil)
		a.change(r)
		response, err := c.Do(r)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := fmt.Sprint(response.StatusCode, " ", response.Header.Get("X-Gateway-Error"))
		_ = response.Body.Close()
		if !strings.HasPrefix(got, a.want) {
			t.Errorf("%s: %q, want %q", name, got, a.want)
		}
	}
	response, err := c.Do(g.request(http.MethodGet, "/", nil))
	if got := text(t, response, err); got != `HTTP/3.0 200 GET a.example / 0 []` {
		t.Error("the connection does not go on:", got)
	}
}

// TestLua: a script can tell the protocol, and so can the log.
func TestLua(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.lua"), []byte(`chi_route("GET", "/", function(request, response) response:write(request.protocol .. " " .. request.scheme) end)`), 0o600); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(dir, "access.log")
	g, c := serve(t, fmt.Sprintf("lua_routing: {enabled: true, scripts_dir: %q}\naccess_log: {output: %q}", dir, log), ", lua_routes: a", echo), client(t)
	response, err := c.Do(g.request(http.MethodGet, "/", nil))
	if got := text(t, response, err); got != "HTTP/3.0 200 HTTP/3.0 https" {
		t.Error(got)
	}
	g.stop()
	<-g.done
	line, err := os.ReadFile(log)
	if err != nil || !strings.Contains(string(line), `"http_major":3`) {
		t.Errorf("%s %v", line, err)
	}
}

// TestAltSvc: answers over TCP say that there is HTTP/3, where there is; those over UDP
// have no need to.
func TestAltSvc(t *testing.T) {
	g := serveOn(t, "[{address: '127.0.0.1:0', tls: true, http3: true, name: own}, {address: '127.0.0.1:0', tls: true, http3: true, http3_port: 8443}, {address: '127.0.0.1:0', tls: true}, {address: '127.0.0.1:0'}]",
		"", "", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/own" {
				w.Header().Set("Alt-Svc", "clear")
			}
		}))
	_, port, _ := strings.Cut(g.address(), ":")
	own := `h3=":` + port + `"; ma=86400`
	ask := func(c *http.Client, at int, scheme, path string) string {
		t.Helper()
		r := g.request(http.MethodGet, path, nil)
		r.URL.Scheme, r.URL.Host = scheme, g.Addrs()[at].String()
		response, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		return strings.Join(response.Header.Values("Alt-Svc"), " | ")
	}
	over := func(protocols *http.Protocols) *http.Client {
		transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, Protocols: protocols} // #nosec G402 -- it is the test's
		t.Cleanup(transport.CloseIdleConnections)
		return &http.Client{Transport: transport, Timeout: patience}
	}
	one, two := new(http.Protocols), new(http.Protocols)
	one.SetHTTP1(true)
	two.SetHTTP2(true)
	for name, a := range map[string]struct{ got, want string }{
		"HTTP/1":       {ask(over(one), 0, "https", "/"), own},
		"HTTP/2":       {ask(over(two), 0, "https", "/"), own},
		"HTTP/3":       {ask(client(t), 0, "https", "/"), ""},
		"the target's": {ask(over(two), 0, "https", "/own"), "clear"},
		"another port": {ask(over(two), 1, "https", "/"), `h3=":8443"; ma=86400`},
		"no HTTP/3":    {ask(over(two), 2, "https", "/"), ""},
		"without TLS":  {ask(over(one), 3, "http", "/"), ""},
	} {
		if a.got != a.want {
			t.Errorf("%s: %q, want %q", name, a.got, a.want)
		}
	}
}
