package exchange_test

import (
	"context"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/exchange/exchangetest"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/test/raw"
)

// TestRetriedMethods: what may be sent twice is, when the first target has closed
// without a word.
func TestRetriedMethods(t *testing.T) {
	t.Parallel()
	for method, attempts := range map[string]int{
		"GET": 2, "HEAD": 2, "OPTIONS": 2, "PUT": 2, "DELETE": 2, "QUERY": 2, "POST": 1, "PATCH": 1, "PURGE": 1, "get": 1,
	} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			var ended endings
			s := &exchangetest.Stream{Head: plain(exchangetest.Request(method, "a.example.com", "/"))}
			newPlane(t, &ended, record(t, "").url, record(t, "").url).Serve(s)
			if ended.attempts != attempts || ended.code != "upstream_closed" {
				t.Errorf("%d attempts and %q, want %d", ended.attempts, ended.code, attempts)
			}
		})
	}
}

// TestStreamedContentIsSentOnce: not even what may be sent twice is, if its content
// isn't there any more.
func TestStreamedContentIsSentOnce(t *testing.T) {
	t.Parallel()
	for length, attempts := range map[int64]int{10: 2, 64<<10 + 1: 1} {
		var ended endings
		s := &exchangetest.Stream{Head: sized(length)}
		s.Head.Method = []byte("PUT")
		for _, part := range halves(int(length)) {
			s.Parts = append(s.Parts, []byte(part))
		}
		newPlane(t, &ended, record(t, "").url, record(t, "").url).Serve(s)
		if ended.attempts != attempts || ended.code != "upstream_closed" || ended.in != length {
			t.Errorf("%d bytes: %d attempts, %q and %d bytes read; want %d attempts", length, ended.attempts, ended.code, ended.in, attempts)
		}
	}
}

// TestContentThatHasCome: content of unknown length that is there already is kept,
// and so may be sent twice; what is still to come, or has trailers, isn't.
func TestContentThatHasCome(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		come, trailer bool
		length        int
		attempts      int
	}{
		"come": {true, false, 10, 2}, "much of it": {true, false, 60 << 10, 2}, "nothing": {true, false, 0, 2},
		"not all": {false, false, 10, 1}, "with a trailer": {true, true, 10, 1},
	} {
		var ended endings
		s := &exchangetest.Stream{Head: sized(message.Unsized), Come: c.come}
		s.Head.Method = []byte("PUT")
		for _, part := range halves(c.length) {
			if part != "" {
				s.Parts = append(s.Parts, []byte(part))
			}
		}
		if c.trailer {
			s.Trailers = message.Header{{Name: []byte("x"), Value: []byte("v")}}
		}
		newPlane(t, &ended, record(t, "").url, record(t, "").url).Serve(s)
		if ended.attempts != c.attempts || ended.code != "upstream_closed" || ended.in != int64(c.length) {
			t.Errorf("%s: %d attempts, %q and %d bytes read; want %d attempts", name, ended.attempts, ended.code, ended.in, c.attempts)
		}
	}
}

// TestFaultsOfCalls: what a client gets of a target that can't be reached, or that
// takes too long.
func TestFaultsOfCalls(t *testing.T) {
	t.Parallel()
	type plane struct {
		dial   func(ctx context.Context) error // nil reaches a target that never answers
		change func(*exchange.Tenant)
	}
	const short = 20 * time.Millisecond
	refused := func(context.Context) error { return syscall.ECONNREFUSED }
	hangs := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	for name, c := range map[string]struct {
		plane  plane
		status int
		code   string
		again  string // Retry-After
		cause  string
	}{
		"refused":         {plane{refused, nil}, 502, "upstream_connect_failed", "", `cannot connect to target "t1" at `},
		"connects slowly": {plane{hangs, func(t *exchange.Tenant) { t.Timeouts.Connect = short }}, 504, "upstream_connect_timeout", "", "within timeouts.connect (20ms)"},
		"no descriptor":   {plane{func(context.Context) error { return syscall.EMFILE }, nil}, 503, "upstream_overflow", "1", `cannot connect to target "t1" at `},
		"answers slowly":  {plane{nil, func(t *exchange.Tenant) { t.Timeouts.ResponseHeader = short }}, 504, "upstream_timeout", "", "no response within timeouts.response_header (20ms)"},
		"takes too long":  {plane{nil, func(t *exchange.Tenant) { t.Total = short }}, 504, "upstream_timeout", "", "within timeouts.total (20ms)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var ended endings
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = listener.Close() })
			var dial func(ctx context.Context, network, address string) (net.Conn, error)
			if c.plane.dial != nil {
				dial = func(ctx context.Context, _, _ string) (net.Conn, error) { return nil, c.plane.dial(ctx) }
			}
			s := &exchangetest.Stream{Head: get()}
			p := dialledPlane(t, &ended, func(_ *exchange.Generation, tenant *exchange.Tenant) {
				if c.plane.change != nil {
					c.plane.change(tenant)
				}
			}, dial, "http://"+listener.Addr().String())
			p.Serve(s)
			if s.Status != c.status || ended.code != c.code || s.Field("Retry-After") != c.again || !strings.Contains(ended.cause, c.cause) || !s.Finished {
				t.Errorf("got %d, %q because of %q, Retry-After %q; want %d, %q because of %q", s.Status, ended.code, ended.cause, s.Field("Retry-After"), c.status, c.code, c.cause)
			}
			if name != "refused" {
				return
			}
			again := &exchangetest.Stream{Head: get()}
			p.Serve(again) // the only target is down
			if again.Status != 503 || ended.code != "no_healthy_target" || again.Field("Retry-After") != "1" {
				t.Errorf("then got %d, %q, Retry-After %q", again.Status, ended.code, again.Field("Retry-After"))
			}
		})
	}
}

// TestLeavingWhileWaiting: a request whose client goes is given up.
func TestLeavingWhileWaiting(t *testing.T) {
	t.Parallel()
	var ended endings
	s := &exchangetest.Stream{Head: get()}
	address := raw.Serve(t, func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 1))
		s.Leave()
		_, _ = conn.Read(make([]byte, 64<<10)) // the rest of the request
		_, _ = conn.Read(make([]byte, 1))      // until the gateway closes
	})
	plane := newPlane(t, &ended, "http://"+address)
	plane.Serve(s)
	if s.Status != 0 || !s.WasCut || ended.code != "client_gone" || plane.InFlight() != 0 {
		t.Errorf("got %d, cut: %v, %q", s.Status, s.WasCut, ended.code)
	}
}
