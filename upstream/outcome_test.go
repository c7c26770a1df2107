package upstream_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// TestCallsTeach: what comes of calls is what their targets learn from: one that
// can't be connected to is down and has failed, the other one was retried; and
// one that has answered isn't taken for one that wants TLS when it goes silent;
// a shortage of places is no fault of its.
func TestCallsTeach(t *testing.T) {
	t.Parallel()
	var silent atomic.Bool
	server := listen(t, "127.0.0.1:0", func(conn net.Conn) {
		if readHead(conn) != "" && !silent.Load() {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\ncut")
		}
	})
	defer func() { _ = server.Close() }()
	o := dialTo(t, server)
	through := o.Dial
	o.Dial = func(ctx context.Context, kind, address string) (net.Conn, error) {
		if address == "10.0.0.1:80" {
			return nil, syscall.ECONNREFUSED
		}
		return through(ctx, kind, address)
	}
	r := upstream.NewRegistry(o)
	defer r.Close()
	p := start(t, r, upstream.PoolConfig{Name: "tenant", Services: services("http://10.0.0.1", "http://10.0.0.2")}).Pools()[0]
	refused, other := p.Targets()[0], p.Targets()[1]
	learnt := func(target *upstream.Target, healthy bool, failures, retries uint64) {
		t.Helper()
		if target.Healthy() != healthy || target.Failures.Load() != failures || target.Retries.Load() != retries {
			t.Errorf("%s: healthy %v, %d failures, %d retries; want %v, %d, %d", target.Name(),
				target.Healthy(), target.Failures.Load(), target.Retries.Load(), healthy, failures, retries)
		}
	}
	c := newCall(&plainRequest{method: http.MethodGet, path: "/"})
	if err := c.Do(p); err != nil {
		t.Fatal(err)
	}
	learnt(refused, false, 1, 0)
	learnt(other, true, 0, 1)
	if _, err := readAll(c); err == nil {
		t.Error("a cut body is read as a whole one")
	}
	c.Cut()
	learnt(other, true, 1, 1)
	silent.Store(true)
	if _, _, err := do(p, &plainRequest{method: http.MethodGet, path: "/"}); err == nil || strings.Contains(err.Error(), "TLS") {
		t.Errorf("from one that had answered: %v, want an error without a guess at TLS", err)
	}
	learnt(other, true, 2, 1)
	begun := 0
	for other.Begin() { // until it has no place
		begun++
	}
	defer func() {
		for range begun {
			other.End()
		}
	}()
	if _, _, err := do(p, &plainRequest{method: http.MethodGet, path: "/"}); err == nil {
		t.Error("a request has a place where there is none")
	}
	learnt(other, true, 2, 1)
}
