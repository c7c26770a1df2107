package grpc_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/protobuf/proto"

	"github.com/keystone-gateway/keystone-gateway/test/until"
)

// TestWebFaults: what goes wrong in the gateway is a status alone; what isn't gRPC-Web's
// is left alone.
func TestWebFaults(t *testing.T) {
	address, _ := target(t)
	page, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	pages := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Saw", r.Method+" "+strings.Join(r.Header["Content-Type"], ", ")+" "+r.Header.Get("X-Grpc-Web"))
		http.Error(w, "no such page", 404)
	})}
	go func() { _ = pages.Serve(page) }()
	t.Cleanup(func() { _ = pages.Close() })
	server, _ := gateway(t, `request_limits: {max_body_size: 1000}
tenants:
- {name: t, domains: [127.0.0.1], services: [{url: "grpc://`+address+`"}], grpc: {web: true}}
- {name: down, domains: [down.example], services: [{url: "grpc://127.0.0.1:1"}], grpc: {web: true}}
- {name: refused, domains: [refused.example], services: [{url: "grpc://`+address+`"}], grpc: {web: true}, policies: [ip: {deny: [0.0.0.0/0]}]}
- {name: page, domains: [page.example], services: [{url: "http://`+page.Addr().String()+`"}], grpc: {web: true}}
- {name: other, domains: [other.example], services: [{url: "http://`+page.Addr().String()+`"}]}
`)
	for name, c := range webClients(t, server.Addr().String()) {
		for _, k := range []struct{ host, body, timeout, want string }{
			{"down.example", "", "", "14 "},
			{"refused.example", "", "", "7 ip_denied: "},
			{"", "", "1n", "4 "},
			{"", strings.Repeat("x", 2000), "", "8 body_too_large: the request's body is too large"},
			{"", "AAAA!", "", "3 bad_body: the body is malformed or was cut"},
			{"", "AAAAA", "", "3 bad_body: the body is malformed or was cut"},
		} {
			if len(k.body) == 5 && !c.text {
				continue
			}
			for _, sized := range []bool{true, false} {
				r := c.request(t.Context(), t, unary, sized, &testgrpc.SimpleRequest{})
				if r.Host = k.host; k.body != "" {
					r.Body, r.ContentLength = io.NopCloser(strings.NewReader(k.body)), -1
					if sized {
						r.ContentLength = int64(len(k.body))
					}
				}
				if k.timeout != "" {
					r.Header.Set("Grpc-Timeout", k.timeout)
				}
				a := c.send(t, r)
				content, err := io.ReadAll(a.Body)
				got := a.status + " " + a.Header.Get("Grpc-Message")
				if err != nil || len(content) > 0 || a.StatusCode != 200 || !strings.HasPrefix(got, k.want) || a.Header.Get("Content-Type") != c.mediaType() {
					t.Errorf("%s: %+v: %d %v with %q, %v", name, k, a.StatusCode, a.Header, content, err)
				}
			}
		}
		for _, k := range []struct{ host, method, saw string }{
			{"page.example", "POST", "POST application/grpc+proto"},
			{"page.example", "GET", "GET " + c.mediaType() + " 1"},
			{"page.example", "OPTIONS", "OPTIONS " + c.mediaType() + " 1"},
			{"other.example", "POST", "POST " + c.mediaType() + " 1"},
		} {
			r := c.request(t.Context(), t, unary, true)
			if r.Method, r.Host = k.method, k.host; k.host == "page.example" && k.method == "POST" {
				r.Header.Add("Content-Type", "application/json") // of several the first says what it is
			}
			a := c.send(t, r)
			content, err := io.ReadAll(a.Body)
			if err != nil || a.StatusCode != 404 || strings.TrimSpace(a.Header.Get("X-Saw")) != k.saw || string(content) != "no such page\n" || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/plain") {
				t.Errorf("%s: %+v: %d %v with %q, %v", name, k, a.StatusCode, a.Header, content, err)
			}
		}
	}
}

// TestWebCut: a response that is cut between messages ends with a status, as gRPC's do;
// within a message it is cut for the client too, as is one with trailers of its own.
func TestWebCut(t *testing.T) {
	whole := frame(t, &testgrpc.SimpleResponse{Payload: &testgrpc.Payload{Body: []byte("abcdefgh")}})
	abort := make(chan struct{}, 1)
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cutter := &http.Server{ReadHeaderTimeout: patience, Protocols: protocols, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		_, _ = w.Write(whole)
		switch r.URL.Path {
		case "/within":
			_, _ = w.Write(whole[:9])
		case "/short":
			_, _ = w.Write(whole[:9])
			w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
			return
		case "/fake":
			_, _ = w.Write([]byte("\x80\x00\x00\x00\x10grpc-status: 0\r\n"))
			return
		}
		_ = http.NewResponseController(w).Flush()
		<-abort
		panic(http.ErrAbortHandler)
	})}
	go func() { _ = cutter.Serve(listener) }()
	t.Cleanup(func() { _ = cutter.Close() })
	server, _ := gateway(t, `tenants: [{name: t, domains: [127.0.0.1], services: [{url: "grpc://`+listener.Addr().String()+`"}], grpc: {web: true}}]`)
	for name, c := range webClients(t, server.Addr().String()) {
		for path, want := range map[string]string{"/between": "14", "/within": "", "/short": "", "/fake": "13"} {
			a := c.send(t, c.request(t.Context(), t, path, true))
			var m testgrpc.SimpleResponse
			if err := a.next(&m); err != nil || string(m.GetPayload().GetBody()) != "abcdefgh" {
				t.Errorf("%s %s: the first message is %v, %v", name, path, &m, err)
			}
			if path != "/short" && path != "/fake" { // which are over
				abort <- struct{}{}
			}
			err := a.next(&m)
			if a.status != want || errors.Is(err, io.EOF) != (want != "") {
				t.Errorf("%s %s: it ends with %v, %v", name, path, a.trailer, err)
			}
			if words := a.trailer.Get("Grpc-Message"); want == "14" && !strings.HasPrefix(words, "upstream_response_cut: ") {
				t.Errorf("%s %s: %q", name, path, words)
			}
		}
	}
}

// TestWebScripts: scripts see gRPC, and content that is no text any more; what one has
// changed before it failed is undone, and translated again.
func TestWebScripts(t *testing.T) {
	address, _ := target(t)
	dir := t.TempDir()
	write(t, dir+"/a.lua", `chi_middleware(function(request, response, next)
  assert(request.headers["Content-Type"] == "application/grpc+proto", request.headers["Content-Type"])
  response.headers["X-Length"] = tostring(#request.body)
  next()
end)`)
	write(t, dir+"/b.lua", `chi_middleware(function(request, response, next)
  request.headers["Content-Type"] = "text/plain"
  error("no")
end)`)
	server, _ := gateway(t, `lua_routing: {enabled: true, scripts_dir: "`+dir+`"}
tenants:
- {name: t, domains: [127.0.0.1], services: [{url: "grpc://`+address+`"}], grpc: {web: true}, lua_routes: a}
- {name: open, domains: [open.example], services: [{url: "grpc://`+address+`"}], grpc: {web: true}, lua_routes: b, lua: {on_error: continue}}
`)
	ask := &testgrpc.SimpleRequest{ResponseSize: 10, Payload: &testgrpc.Payload{Body: bytes.Repeat([]byte("x"), 1000)}}
	for name, c := range webClients(t, server.Addr().String()) {
		for host, length := range map[string]string{"": "1013", "open.example": ""} {
			r := c.request(t.Context(), t, unary, true, ask)
			r.Host = host
			a := c.send(t, r)
			var m testgrpc.SimpleResponse
			if err := a.next(&m); err != nil || len(m.GetPayload().GetBody()) != 10 || a.Header.Get("X-Length") != length {
				t.Errorf("%s %s: %v, a request of %d, %v", name, host, a.Header, proto.Size(ask), err)
			}
		}
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestWebMany: many calls at once, some of which are given up, have each their own
// content, metadata and status, and nothing is held after them.
func TestWebMany(t *testing.T) {
	address, _ := target(t)
	server, _ := gateway(t, `tenants: [{name: t, domains: [127.0.0.1], services: [{url: "grpc://`+address+`"}], grpc: {web: true}}]`)
	call := func(c *webClient, i int) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		mark := fmt.Sprint("call ", i)
		r := c.request(ctx, t, unary, i%2 == 0, &testgrpc.SimpleRequest{ResponseSize: int32(i * 97 % 150_000), Payload: &testgrpc.Payload{Body: make([]byte, i*31%100_000)}}) // #nosec G115 -- it is small
		r.Header.Set("X-Grpc-Test-Echo-Initial", mark)
		r.Header.Set("X-Grpc-Test-Echo-Trailing-Bin", base64.RawStdEncoding.EncodeToString([]byte(mark)))
		response, err := c.http.Do(r)
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = response.Body.Close() }()
		if i%7 == 0 {
			return // it has been given up
		}
		a := newWebAnswer(response)
		var m testgrpc.SimpleResponse
		if err := a.next(&m); err != nil || len(m.GetPayload().GetBody()) != i*97%150_000 || a.Header.Get("X-Grpc-Test-Echo-Initial") != mark {
			t.Errorf("%s has %d bytes for %q: %v", mark, len(m.GetPayload().GetBody()), a.Header.Get("X-Grpc-Test-Echo-Initial"), err)
		}
		if err := a.next(&m); !errors.Is(err, io.EOF) || a.status != "0" || a.trailer.Get("X-Grpc-Test-Echo-Trailing-Bin") != base64.RawStdEncoding.EncodeToString([]byte(mark)) {
			t.Errorf("%s ends with %v, %v", mark, a.trailer, err)
		}
	}
	var wait sync.WaitGroup
	for _, c := range webClients(t, server.Addr().String()) {
		for n := range 8 {
			wait.Go(func() {
				for i := range 40 {
					call(c, 100*n+i)
				}
			})
		}
	}
	wait.Wait()
	until.True(t, "nothing is held", func() bool {
		for tenant := range server.Tenants() {
			if tenant.Stats.Memory.Used() != 0 {
				return false
			}
		}
		return true
	})
}
