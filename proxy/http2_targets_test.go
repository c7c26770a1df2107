package proxy_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// http2Target starts net/http's server, which speaks HTTP/2 without TLS.
func http2Target(t testing.TB, handler http.HandlerFunc) (address string) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// TestHTTP2Targets is what clients of HTTP/1 get of targets of HTTP/2.
func TestHTTP2Targets(t *testing.T) {
	t.Parallel()
	address := http2Target(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Saw", fmt.Sprint(r.Proto, " ", r.Host, " ", r.URL, " ", r.Header.Get("X-Forwarded-Proto"), " ", r.Header.Get("Te")))
		w.Header().Set("Trailer", "X-Sum")
		n, _ := io.Copy(w, r.Body)
		w.Header().Set("X-Sum", fmt.Sprint(n))
	})
	server := start(t, "tenants: [{name: t, domains: [localhost, 127.0.0.1], services: [{url: \"h2c://"+address+"/base\"}]}]\n")
	url := "http://" + server.Addr().String()
	for _, c := range []struct {
		method, path, body string
		unsized            bool
	}{
		{"GET", "/a?b=c", "", false},
		{"HEAD", "/", "", false},
		{"POST", "/small", "hello", false},
		{"POST", "/large", strings.Repeat("x", 1<<20), false},
		{"POST", "/unsized", strings.Repeat("y", 200<<10), true},
	} {
		var body io.Reader = strings.NewReader(c.body)
		if c.unsized {
			body = io.MultiReader(body)
		}
		r, err := http.NewRequest(c.method, url+c.path, body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Upgrade", "websocket")
		r.Header.Set("Connection", "Upgrade, X-Hop")
		r.Header.Set("X-Hop", "v")
		r.Header.Set("Te", "trailers")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		want := "HTTP/2.0 " + server.Addr().String() + " /base" + c.path + " http "
		if err != nil || resp.StatusCode != 200 || string(got) != c.body || !strings.HasPrefix(resp.Header.Get("X-Saw"), want) {
			t.Errorf("%s %s: %d, %d bytes, %v; it saw %q, want %q", c.method, c.path, resp.StatusCode, len(got), err, resp.Header.Get("X-Saw"), want)
		}
		if sum := resp.Trailer.Get("X-Sum"); c.method == "POST" && len(c.body) > 4<<10 && sum != fmt.Sprint(len(c.body)) { // others are sized, and so have none
			t.Errorf("%s: trailer %q", c.path, sum)
		}
	}
}

// TestGRPCFaults: what goes wrong is told to gRPC's clients by grpc-status.
func TestGRPCFaults(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	t.Cleanup(func() { close(hold) })
	address := http2Target(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		switch r.URL.Path {
		case "/slow":
			<-hold
		case "/cut":
			w.WriteHeader(200)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case "/late/cut": // the target keeps the client's time too, and may be first to say so
			w.WriteHeader(200)
			_ = http.NewResponseController(w).Flush()
			fallthrough
		case "/late":
			<-time.After(50 * time.Millisecond)
			panic(http.ErrAbortHandler)
		}
	})
	server := start(t, `tenants:
- {name: t, domains: [t.example], services: [{url: "grpc://`+address+`"}]}
- {name: down, domains: [down.example], services: [{url: "grpc://127.0.0.1:1"}]}
`)
	for _, c := range []struct{ host, path, kind, timeout, status, words string }{
		{"down.example", "/", "application/grpc", "", "14", "upstream_connect_failed: "},
		{"down.example", "/", "application/grpc+proto", "", "14", ""},
		{"other.example", "/", "application/grpc", "", "12", "no_tenant: "},
		{"t.example", "/slow", "application/grpc", "50m", "4", "upstream_timeout: "},
		{"t.example", "/cut", "application/grpc", "", "14", "upstream_response_cut: "},
		{"t.example", "/late", "application/grpc", "50m", "4", "upstream_timeout: "},
		{"t.example", "/late/cut", "application/grpc", "50m", "4", "request_timeout: "},
		{"down.example", "/", "application/grpc-web", "", "", ""},
		{"down.example", "/", "text/plain", "", "", ""},
	} {
		r, err := http.NewRequest("POST", "http://"+server.Addr().String()+c.path, strings.NewReader("\x00\x00\x00\x00\x00"))
		if err != nil {
			t.Fatal(err)
		}
		r.Host = c.host
		r.Header.Set("Content-Type", c.kind)
		if c.timeout != "" {
			r.Header.Set("Grpc-Timeout", c.timeout)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		from := resp.Header
		if strings.HasSuffix(c.path, "/cut") {
			from = resp.Trailer
		}
		status, words := from.Get("Grpc-Status"), from.Get("Grpc-Message")
		want := 200
		if c.status == "" {
			want = 502
		}
		if err != nil || status != c.status || !strings.HasPrefix(words, c.words) || resp.StatusCode != want && resp.StatusCode != 503 {
			t.Errorf("%+v: %d, grpc-status %q %q, %v", c, resp.StatusCode, status, words, err)
		}
	}
}

// TestGRPCTimeoutBehindScripts: what a client allows holds also once the scripts have ended.
func TestGRPCTimeoutBehindScripts(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	t.Cleanup(func() { close(hold) })
	address := http2Target(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		_ = http.NewResponseController(w).Flush()
		<-hold
	})
	w := newWorkshop(t, "scripts/pass.lua", "chi_middleware(function(request, response, next) next() end)", "c.yaml",
		tenantsOf("g", "domains: [g.example.com], lua_routes: pass.lua, lua: {timeout: 20s}, services: [{url: 'grpc://"+address+"'}]"))
	w.run()
	r, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+w.server.Addr().String()+"/", strings.NewReader("\x00\x00\x00\x00\x00"))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "g.example.com"
	r.Header.Set("Content-Type", "application/grpc")
	r.Header.Set("Grpc-Timeout", "300m")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.Trailer.Get("Grpc-Status") != "4" {
		t.Errorf("grpc-status %q, %v", resp.Trailer.Get("Grpc-Status"), err)
	}
}
