package upstream_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/test/until"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// echo answers with what it was asked for: path, method and content.
func echo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Proto", r.Proto)
	w.Header().Set("X-Host", r.Host)
	switch r.URL.Path {
	case "/none":
		w.WriteHeader(http.StatusNoContent)
		return
	case "/old":
		w.Header().Set("ETag", `"a"`)
		w.WriteHeader(http.StatusNotModified)
		return
	case "/hints":
		w.Header().Set("Link", "</a>")
		w.WriteHeader(http.StatusEarlyHints)
	case "/large":
		for range 64 {
			_, _ = io.WriteString(w, strings.Repeat("x", 16<<10))
		}
		return
	}
	w.Header().Set("Trailer", "X-Sum")
	n, _ := io.Copy(w, r.Body)
	w.Header().Set("X-Sum", fmt.Sprint(n, r.Trailer.Get("X-Mine")))
}

// TestHTTP2 is what a call does over HTTP/2 with net/http's server, with TLS and
// without.
func TestHTTP2(t *testing.T) {
	cert, roots := certificate(t)
	for _, url := range []string{"h2c://app.example", "h2://app.example", "https://app.example"} {
		secure := &cert
		if strings.HasPrefix(url, "h2c") {
			secure = nil
		}
		listener, conns := goServer(t, secure, 100, echo)
		p := h2Pool(t, listener, url, func(o *upstream.Options, c *upstream.PoolConfig) {
			o.RootCAs = roots
			c.Services[0].TLS.HTTP2 = true
		})
		for _, c := range []struct {
			method, path, payload string
			status                int
			body                  int
			sum                   string
		}{
			{"GET", "/", "", 200, 0, "0"},
			{"HEAD", "/large", "", 200, 0, ""},
			{"GET", "/none", "", 204, 0, ""},
			{"GET", "/old", "", 304, 0, ""},
			{"GET", "/large", "", 200, 1 << 20, ""},
			{"GET", "/hints", "", 200, 0, "0"},
			{"POST", "/", "hello", 200, 5, "5"},
			{"PUT", "/", strings.Repeat("y", 64<<10), 200, 64 << 10, fmt.Sprint(64 << 10)},
		} {
			name := url + " " + c.method + " " + c.path
			call := newCall(&plainRequest{method: c.method, path: c.path})
			call.Payload, call.Request.Length = []byte(c.payload), int64(len(c.payload))
			if err := call.Do(p); err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			status, proto, host := call.Response.Status, string(call.Response.Header.Value([]byte("x-proto"))), string(call.Response.Header.Value([]byte("X-Host")))
			body, err := drain(call)
			sum := string(call.Body.Trailer().Value([]byte("x-sum")))
			call.End(err == nil)
			if err != nil || status != c.status || body != c.body || proto != "HTTP/2.0" || host != "app.example" || sum != c.sum {
				t.Errorf("%s: %d, %d bytes, %s, host %q, sum %q, %v", name, status, body, proto, host, sum, err)
			}
		}
		if n := conns.Load(); n != 1 {
			t.Errorf("%s: %d connections, want one", url, n)
		}
	}
}

// drain reads a body and counts it.
func drain(c *upstream.Call) (n int, err error) {
	for {
		c.ExpectBody()
		span, err := c.Body.Next()
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		n += len(span)
	}
}

// TestHTTP2Streams is bodies of unknown length, which go both ways at once, with
// trailers, and larger than all windows.
func TestHTTP2Streams(t *testing.T) {
	listener, _ := goServer(t, nil, 100, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		w.WriteHeader(200)
		_ = http.NewResponseController(w).Flush()
		buf := make([]byte, 32<<10)
		total := 0
		for {
			n, err := r.Body.Read(buf)
			total += n
			_, _ = w.Write(buf[:n])
			_ = http.NewResponseController(w).Flush()
			if err != nil {
				break
			}
		}
		w.Header().Set("X-Sum", fmt.Sprint(total, r.Trailer.Get("X-Mine")))
	})
	p := h2Pool(t, listener, "h2c://app.example", nil)
	more := make(chan string)
	c, r := newStreamed("/", "a", "bc")
	r.more = more
	r.trailer = message.Header{{Name: []byte("X-Mine"), Value: []byte("v")}}
	if err := c.Do(p); err != nil {
		t.Fatal(err)
	}
	read := func(want string) {
		t.Helper()
		for got := ""; got != want; {
			c.ExpectBody()
			span, err := c.Body.Next()
			if err != nil || !strings.HasPrefix(want, got+string(span)) {
				t.Fatalf("%q after %q: %v, want %q", span, got, err, want)
			}
			got += string(span)
		}
	}
	read("abc")
	for _, part := range []string{"d", strings.Repeat("e", 1<<20)} {
		go func() { more <- part }()
		read(part)
	}
	close(more)
	if n, err := drain(c); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	if sum := string(c.Body.Trailer().Value([]byte("X-Sum"))); sum != fmt.Sprint(4+1<<20, "v") {
		t.Errorf("the trailer is %q", sum)
	}
	<-r.done
	c.End(r.err == nil)
}

// TestHTTP2Shares is how many connections there are: one, until the target takes
// no more streams on it.
func TestHTTP2Shares(t *testing.T) {
	for _, c := range []struct{ limit, most, conns int }{{100, 256, 1}, {10, 256, 4}, {100, 20, 2}} {
		release := make(chan struct{})
		listener, conns := goServer(t, nil, c.limit, func(http.ResponseWriter, *http.Request) { <-release })
		p := h2Pool(t, listener, "h2c://app.example", func(_ *upstream.Options, config *upstream.PoolConfig) {
			config.Connections.MaxStreams = c.most
			config.Connections.PendingTimeout = settings.Duration(patience)
		})
		var group sync.WaitGroup
		for range 40 {
			group.Go(func() {
				if status, _, err := do(p, &plainRequest{method: "GET", path: "/"}); status != 200 || err != nil {
					t.Error(status, err)
				}
			})
		}
		until.True(t, "all are there", func() bool { return p.Targets()[0].InFlight.Load() == 40 && conns.Load() == int32(c.conns) })
		close(release)
		group.Wait()
		if n := conns.Load(); n != int32(c.conns) {
			t.Errorf("limit %d, at most %d: %d connections, want %d", c.limit, c.most, n, c.conns)
		}
	}
}

// TestHTTP2SlowReader: a response that nobody reads holds no other up.
func TestHTTP2SlowReader(t *testing.T) {
	listener, conns := goServer(t, nil, 100, echo)
	p := h2Pool(t, listener, "h2c://app.example", nil)
	var idle []*upstream.Call
	for range 20 {
		c := newCall(&plainRequest{method: "GET", path: "/large"})
		if err := c.Do(p); err != nil {
			t.Fatal(err)
		}
		idle = append(idle, c)
	}
	for range 5 {
		if _, body, err := do(p, &plainRequest{method: "GET", path: "/large"}); len(body) != 1<<20 || err != nil {
			t.Fatal(len(body), err)
		}
	}
	for _, c := range idle {
		if n, err := drain(c); n != 1<<20 || err != nil {
			t.Fatal(n, err)
		}
		c.End(true)
	}
	if conns.Load() != 1 {
		t.Errorf("%d connections", conns.Load())
	}
}

// TestHTTP2Retries: what a target says it has done nothing with is sent again,
// also a POST, to another connection; what it may have begun is not.
func TestHTTP2Retries(t *testing.T) {
	for name, c := range map[string]struct {
		first func(p *peer, id uint32)
		again bool
	}{
		"GOAWAY":         {func(p *peer, _ uint32) { _ = p.WriteGoAway(0, http2.ErrCodeNo, nil) }, true},
		"REFUSED_STREAM": {func(p *peer, id uint32) { _ = p.WriteRSTStream(id, http2.ErrCodeRefusedStream) }, true},
		"CANCEL":         {func(p *peer, id uint32) { _ = p.WriteRSTStream(id, http2.ErrCodeCancel) }, false},
		"GOAWAY, begun": {func(p *peer, id uint32) {
			_ = p.WriteGoAway(id, http2.ErrCodeNo, nil)
			_ = p.conn.Close()
		}, false},
	} {
		var mu sync.Mutex
		asked := 0
		listener := framePeer(t, func(p *peer, _ int) {
			_ = p.WriteSettings()
			for {
				id, ok := p.request()
				if !ok {
					return
				}
				mu.Lock()
				asked++
				first := asked == 1
				mu.Unlock()
				if first {
					c.first(p, id)
				} else {
					p.answer(id)
				}
			}
		})
		p := h2Pool(t, listener, "h2c://app.example", nil)
		call := newCall(&plainRequest{method: "POST", path: "/"})
		call.Payload, call.Request.Length, call.Idempotent = []byte("body"), 4, false
		err := call.Do(p)
		if c.again != (err == nil) {
			t.Errorf("%s: %v, %d requests", name, err, call.Attempts)
		}
		if err == nil { // also where it should have failed: it has to end
			if body, err := readAll(call); body != "good" || err != nil || call.Attempts != 2 {
				t.Errorf("%s: %q, %v, %d attempts", name, body, err, call.Attempts)
			}
		}
	}
}

// TestHTTP2Ages: a connection that is old takes no more requests, and those that
// it has go on.
func TestHTTP2Ages(t *testing.T) {
	release := make(chan struct{})
	listener, conns := goServer(t, nil, 100, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/held" {
			<-release
		}
	})
	p := h2Pool(t, listener, "h2c://app.example", func(_ *upstream.Options, c *upstream.PoolConfig) {
		c.Connections.MaxAge = settings.Duration(200 * time.Millisecond)
	})
	var group sync.WaitGroup
	group.Go(func() {
		if status, _, err := do(p, &plainRequest{method: "GET", path: "/held"}); status != 200 || err != nil {
			t.Error(status, err)
		}
	})
	until.True(t, "the first is there", func() bool { return conns.Load() == 1 })
	until.True(t, "there is another connection", func() bool {
		if status, _, err := do(p, &plainRequest{method: "GET", path: "/"}); status != 200 || err != nil {
			t.Fatal(status, err)
		}
		return conns.Load() > 1
	})
	close(release)
	group.Wait()
}
