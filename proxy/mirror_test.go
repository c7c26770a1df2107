package proxy_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
)

// shadow is a target that tells of what it gets.
func shadow(t *testing.T, answer func(w http.ResponseWriter, r *http.Request)) (address string, got chan string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	got = make(chan string, 1000)
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- r.Method + " " + r.Host + r.RequestURI + " " + r.Header.Get("X-Own") + " " + r.Header.Get("Connection") + string(body)
		answer(w, r)
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return listener.Addr().String(), got
}

// TestMirror: copies go where they shall, as they were sent on, and what becomes of them
// is nothing to the clients.
func TestMirror(t *testing.T) {
	t.Parallel()
	at, got := shadow(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(500)
		_, _ = io.WriteString(w, strings.Repeat("x", 3<<20))
	})
	w := newWorkshop(t, "scripts/none.lua", "", "c.yaml", "tenants: [{name: shop, domains: [shop.example.com], services: [{url: 'http://"+naming(t, "one")+"'}], pools: {"+
		"shadow: {services: [{url: 'http://"+at+"'}]}, gone: {services: [{url: 'unix:///nowhere/app.sock'}]}}, routes: ["+
		"{path: '/all/*', mirror: {pool: shadow}, rewrite: '/new/{*}', policies: [{headers: {request: {set: {X-Own: own}}}}]}, {path: /none, mirror: {pool: shadow, share: 0%}}, "+
		"{path: /some, mirror: {pool: shadow, share: 30%}}, {path: /gone, mirror: {pool: gone}}]}]\n")
	w.strict = true
	w.run()
	for _, c := range []struct{ request, want string }{
		{"GET /all/a?q HTTP/1.1\r\nHost: shop.example.com\r\nConnection: close\r\n\r\n", "GET shop.example.com/new/a?q own "},
		{"POST /all/b HTTP/1.1\r\nHost: shop.example.com\r\nContent-Length: 4\r\n\r\nbody", "POST shop.example.com/new/b own body"},
	} {
		answer, body := w.speak(c.request)
		if answer.StatusCode != 200 || !strings.HasPrefix(body, "one\n") {
			t.Errorf("got %d %.20q", answer.StatusCode, body)
		}
		select {
		case copied := <-got:
			if copied != c.want {
				t.Errorf("the copy is %q, want %q", copied, c.want)
			}
		case <-time.After(patience):
			t.Fatal("there is no copy")
		}
	}
	stats := w.stats("shop")
	counted := func() string {
		c := &stats.Mirrors
		return fmt.Sprint(c.Sent.Load(), " ", c.Failed.Load(), " ", c.Dropped.Load())
	}
	eventually(t, "both are counted", func() bool { return counted() == "2 0 0" })
	for range 20 {
		w.tell("shop", [3]string{"GET /none", "", "200 one"})
	}
	w.tell("shop", [3]string{"GET /gone", "", "200 one"})
	w.tell("shop", [3]string{"POST /all/large", "Content-Length: 100000\r\n\r\n" + strings.Repeat("x", 100_000), "200 one"}) // streamed
	eventually(t, "what is not sent is counted", func() bool { return counted() == "2 1 1" })
	for range 200 {
		w.tell("shop", [3]string{"GET /some", "", "200 one"})
	}
	eventually(t, "some are copied", func() bool {
		sent := stats.Mirrors.Sent.Load() - 2
		return sent > 20 && sent < 120 || t.Failed()
	})
}

// TestMirrorIsBounded: copies that hang hold up nobody, are bounded, and end with the
// server.
func TestMirrorIsBounded(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	at, _ := shadow(t, func(_ http.ResponseWriter, _ *http.Request) { <-hang })
	defer close(hang)
	w := newWorkshop(t, "scripts/none.lua", "", "c.yaml", "tenants: [{name: shop, domains: [shop.example.com], services: [{url: 'http://"+naming(t, "one")+"'}], pools: {"+
		"shadow: {services: [{url: 'http://"+at+"'}], timeouts: {total: 1h, response_header: 1h}}}, routes: [{mirror: {pool: shadow}}]}]\n")
	w.run()
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for range 50 {
				if status, code := w.serve("shop", "/"); status != 200 {
					t.Errorf("got %d %s", status, code)
				}
			}
		})
	}
	clients.Wait()
	stats := w.stats("shop")
	if dropped := stats.Mirrors.Dropped.Load(); dropped != 200-64 {
		t.Errorf("%d copies are dropped, want all but 64", dropped)
	}
	before := stats.Memory.Used()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		mirrors(w).Close()
	}()
	select {
	case <-closed:
	case <-time.After(patience):
		t.Fatal("copies that hang don't end")
	}
	if failed, held := stats.Mirrors.Failed.Load(), before-stats.Memory.Used(); failed != 64 || held < 64*(8<<10) {
		t.Errorf("%d copies are given up, and have held %d bytes", failed, held)
	}
	if status, _ := w.serve("shop", "/"); status != 200 {
		t.Errorf("when no copies are made any more, requests get %d", status)
	}
}

func mirrors(w *workshop) *exchange.Mirrors { return w.server.Mirrors() }

// TestWrongMirror: what is wrong with a mirror is told with its place.
func TestWrongMirror(t *testing.T) {
	t.Parallel()
	const services = "services: [{url: 'http://10.0.0.1'}], pools: {shadow: {services: [{url: 'http://10.0.0.2'}]}}, "
	for section, want := range map[string]string{
		"routes: [{mirror: {pool: @shadows}}]":                    `there is no pool "shadows", expected one of default, shadow; did you mean "shadow"?`,
		"routes: [{mirror: {pool: shadow, share: @101%}}]":        `"101%" is not a share`,
		"routes: [{mirror: {pool: shadow, share: @-1}}]":          "is not a share",
		"routes: [{mirror: {pool: shadow, share: @nan}}]":         "is not a share",
		"routes: [{mirror: {pool: shadow, share: @some}}]":        "expected a percentage from 0% to 100%, or a number from 0 to 1",
		"routes: [{mirror: @{pool: shadow}, redirect: {to: /x}}]": "the route has redirect and mirror",
	} {
		tellsWrong(t, services+section, want)
	}
}
