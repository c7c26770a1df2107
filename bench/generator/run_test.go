package generator_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/keystone-gateway/keystone-gateway/bench/generator"
)

// TestClosedLoop demands that each request that a server has seen is counted,
// whatever the framing of its response.
func TestClosedLoop(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		status  int
	}{
		"length":     {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }, 200},
		"no content": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, 204},
		"redirect, not followed": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		}, 302},
		"chunked": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, strings.Repeat("x", 100_000))
			w.(http.Flusher).Flush()
			_, _ = io.WriteString(w, "end")
		}, 200},
		"interim": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusTeapot)
		}, 418},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var served atomic.Int64
			url := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
				served.Add(1)
				test.handler(w, r)
			})
			r := run(t, options(t, url))
			for tries := 0; r.Opened < 4 && tries < 50; tries++ { // a worker may have had no time for anything
				served.Store(0)
				r = run(t, options(t, url))
			}
			only(t, r, test.status, 0)
			if r.Requests() != served.Load() {
				t.Errorf("%d requests were counted, %d served", r.Requests(), served.Load())
			}
			if r.Opened != 4 {
				t.Errorf("%d connections were opened, want 4", r.Opened)
			}
		})
	}
}

func TestFasthttpServer(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) { ctx.SetBodyString("hello") }}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Shutdown() })
	only(t, run(t, options(t, "http://"+listener.Addr().String()+"/")), 200, 0)
}

// TestRequest demands that requests arrive as the options have them.
func TestRequest(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("b", 200_000)
	for name, test := range map[string]struct {
		change func(*generator.Options)
		want   string // the method, target, host, X-A, agent and the body's length
	}{
		"plain": {func(*generator.Options) {}, "GET /a%2Fb/../c?d=e%20f 127.0.0.1  keystone-gateway-bench 0"},
		"body":  {func(o *generator.Options) { o.Body = []byte("abc") }, "POST /a%2Fb/../c?d=e%20f 127.0.0.1  keystone-gateway-bench 3"},
		"large": {func(o *generator.Options) { o.Body, o.Targets[0].Method = []byte(large), "PUT" }, "PUT /a%2Fb/../c?d=e%20f 127.0.0.1  keystone-gateway-bench 200000"},
		"host and fields": {func(o *generator.Options) {
			o.Host, o.Fields = "shop.example", []generator.Field{{Name: "X-A", Value: "one"}, {Name: "User-Agent", Value: "me"}}
		}, "GET /a%2Fb/../c?d=e%20f shop.example one me 0"},
		"target's host": {func(o *generator.Options) {
			o.Host, o.Targets[0].Host = "shop.example", "other.example"
		}, "GET /a%2Fb/../c?d=e%20f other.example  keystone-gateway-bench 0"},
		"HEAD": {func(o *generator.Options) { o.Targets[0].Method = "HEAD" }, "HEAD /a%2Fb/../c?d=e%20f 127.0.0.1  keystone-gateway-bench 0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var seen sync.Map
			url := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
				n, _ := io.Copy(io.Discard, r.Body)
				host, _, _ := strings.Cut(r.Host, ":")
				seen.Store(strings.Join([]string{r.Method, r.RequestURI, host, r.Header.Get("X-A"), r.UserAgent(), decimal(n)}, " "), true)
				_, _ = io.WriteString(w, strings.Repeat("x", 1000))
			})
			o := options(t, url+"/a%2Fb/../c?d=e%20f")
			test.change(&o)
			only(t, run(t, o), 200, 0)
			seen.Range(func(got, _ any) bool {
				if got != test.want {
					t.Errorf("the server saw %q, want %q", got, test.want)
				}
				return true
			})
		})
	}
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

// TestWeights demands that targets are mixed by their weights, evenly.
func TestWeights(t *testing.T) {
	t.Parallel()
	var a, b atomic.Int64
	url := serveHTTP(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/a" {
			a.Add(1)
		} else {
			b.Add(1)
		}
	})
	o := options(t, url+"/a", url+"/b")
	o.Targets[0].Weight = 3
	r := run(t, o)
	only(t, r, 200, 0)
	if difference := a.Load() - 3*b.Load(); difference < -3 || difference > 3 {
		t.Errorf("/a was asked %d times and /b %d times, want 3 to 1", a.Load(), b.Load())
	}
}

func TestConnectionEach(t *testing.T) {
	t.Parallel()
	o := options(t, serveHTTP(t, func(http.ResponseWriter, *http.Request) {}))
	o.Close = true
	r := run(t, o)
	only(t, r, 200, 0)
	if r.Opened != r.Requests() {
		t.Errorf("%d connections were opened for %d requests, want one each", r.Opened, r.Requests())
	}
}

// TestInterrupted demands a result at once, with what was seen until then.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	held := make(chan struct{})
	defer close(held)
	var served atomic.Int64
	url := serveHTTP(t, func(http.ResponseWriter, *http.Request) {
		if served.Add(1) == 10 {
			cancel()
		}
		if served.Load() >= 10 {
			<-held
		}
	})
	o := options(t, url)
	o.Connections, o.Duration, o.Timeout = 1, time.Hour, time.Hour
	r, err := generator.Run(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Interrupted || r.Statuses[200] != 9 || r.Cut != 1 || r.Failed() != 0 {
		t.Errorf("got interrupted %t, statuses %v, %d cut and failures %v, want 9 answers and one cut", r.Interrupted, r.Statuses, r.Cut, r.Failures)
	}
}
