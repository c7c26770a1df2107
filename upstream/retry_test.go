package upstream_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// serving is a target that gives each request what answer returns; "" ends the
// connection, "reset" resets it, "hang" says nothing.
func serving(t *testing.T, answer func(head string) string) net.Listener {
	t.Helper()
	server := listen(t, "127.0.0.1:0", func(conn net.Conn) {
		for {
			head := readHead(conn)
			if head == "" {
				return
			}
			switch text := answer(head); text {
			case "":
				return
			case "reset":
				_ = conn.(*net.TCPConn).SetLinger(0)
				return
			case "hang":
				silent(conn)
				return
			default:
				if _, err := io.WriteString(conn, text); err != nil {
					return
				}
			}
		}
	})
	t.Cleanup(func() { _ = server.Close() })
	return server
}

// always is a target that answers each request like that.
func always(t *testing.T, text string) net.Listener {
	return serving(t, func(string) string { return text })
}

const (
	fine = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	busy = "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy"
)

// poolOf is a pool of these targets, with a registry whose expiries are enforced.
func poolOf(t *testing.T, change func(*upstream.PoolConfig), targets ...net.Listener) *upstream.Pool {
	t.Helper()
	o := upstream.Options{Sweeper: socket.NewSweeper()}
	go o.Sweeper.Run(t.Context())
	r := upstream.NewRegistry(o)
	t.Cleanup(r.Close)
	c := upstream.PoolConfig{Name: "tenant", Connections: upstream.DefaultConnections(), Timeouts: upstream.DefaultTimeouts()}
	for i, target := range targets {
		c.Services = append(c.Services, services("http://"+target.Addr().String())...)
		c.Services[i].Name = string(rune('a' + i))
	}
	if change != nil {
		change(&c)
	}
	return start(t, r, c).Pool("tenant")
}

// retrying sets the section retry: its defaults, changed.
func retrying(change func(*upstream.RetryConfig)) func(*upstream.PoolConfig) {
	return func(c *upstream.PoolConfig) {
		c.Resilience.Retry = new(upstream.RetryConfig)
		c.Resilience.Retry.SetDefaults()
		change(c.Resilience.Retry)
	}
}

// TestRetries: what is retried, as the section says, how often, and what a client
// gets in the end.
func TestRetries(t *testing.T) {
	t.Parallel()
	const broken = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut"
	for name, c := range map[string]struct {
		method   string
		answers  []string // of each target
		change   func(*upstream.RetryConfig)
		attempts int
		status   int // 0: the last attempt has failed
		reason   upstream.Reason
	}{
		"a status":                         {"GET", []string{busy, fine}, func(*upstream.RetryConfig) {}, 2, 200, 0},
		"a status at all targets":          {"GET", []string{busy, busy, busy, busy}, func(*upstream.RetryConfig) {}, 3, 503, 0},
		"a status, nobody else":            {"GET", []string{busy}, func(*upstream.RetryConfig) {}, 1, 503, 0},
		"a status, and may not come twice": {"POST", []string{busy, busy}, func(*upstream.RetryConfig) {}, 1, 503, 0},
		"a status, a method of the list":   {"POST", []string{busy, fine}, func(r *upstream.RetryConfig) { r.Methods = []string{"POST"} }, 2, 200, 0},
		"a status that isn't in the list":  {"GET", []string{busy, busy}, func(r *upstream.RetryConfig) { r.On = []string{"502", "504"} }, 1, 503, 0},
		"a status of the list":             {"GET", []string{busy, fine}, func(r *upstream.RetryConfig) { r.On = []string{"503"} }, 2, 200, 0},
		"5xx":                              {"GET", []string{busy, fine}, func(r *upstream.RetryConfig) { r.On = []string{"5xx"} }, 2, 200, 0},
		"no response":                      {"GET", []string{"", "", "", "", fine}, func(r *upstream.RetryConfig) { r.Attempts, r.Backoff = 5, 1 }, 5, 200, 0},
		"no response, too often":           {"GET", []string{"", "", "", ""}, func(*upstream.RetryConfig) {}, 3, 0, upstream.NoResponse},
		"no response, of POST":             {"POST", []string{"", ""}, func(*upstream.RetryConfig) {}, 1, 0, upstream.NoResponse},
		"no response isn't in the list":    {"GET", []string{"", ""}, func(r *upstream.RetryConfig) { r.On = []string{"connect"} }, 1, 0, upstream.NoResponse},
		"a reset":                          {"GET", []string{"reset", fine}, func(r *upstream.RetryConfig) { r.On = []string{"reset"} }, 2, 200, 0},
		"one attempt":                      {"GET", []string{"", ""}, func(r *upstream.RetryConfig) { r.Attempts = 1 }, 1, 0, upstream.NoResponse},
		"hangs":                            {"GET", []string{"hang", fine}, func(r *upstream.RetryConfig) { r.PerTryTimeout = settings.Duration(20 * time.Millisecond) }, 2, 200, 0},
		"begun, and cut":                   {"GET", []string{broken, broken}, func(*upstream.RetryConfig) {}, 1, 200, 0},
		"malformed":                        {"GET", []string{"HTTP/1.1 x\r\n\r\n", "HTTP/1.1 x\r\n\r\n"}, func(*upstream.RetryConfig) {}, 1, 0, upstream.BadResponse},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var targets []net.Listener
			for _, answer := range c.answers {
				targets = append(targets, always(t, answer))
			}
			p := poolOf(t, retrying(c.change), targets...)
			call := newCall(&plainRequest{method: c.method, path: "/"})
			call.Idempotent = false // the section's methods count
			err := call.Do(p)
			failure, _ := errors.AsType[*upstream.Failure](err)
			if call.Attempts != c.attempts || call.Response.Status != c.status && err == nil || (err == nil) != (c.status != 0) || failure != nil && failure.Reason != c.reason {
				t.Errorf("%d attempts, status %d, %v; want %d, %d", call.Attempts, call.Response.Status, err, c.attempts, c.status)
			}
			call.End(false)
			for _, target := range p.Targets() {
				if n := target.InFlight.Load(); n != 0 {
					t.Errorf("%s has %d in flight", target.Name(), n)
				}
			}
		})
	}
}

// TestPerTryTimeoutSparesTheLast: per_try_timeout ends no attempt in whose place no other
// target can be asked.
func TestPerTryTimeoutSparesTheLast(t *testing.T) {
	t.Parallel()
	const soon = 20 * time.Millisecond
	slow := serving(t, func(string) string { time.Sleep(5 * soon); return fine }) //nolint:forbidigo // a slow target
	for name, spent := range map[string]bool{"nobody else": false, "no budget": true} {
		targets := []net.Listener{slow}
		if spent {
			targets = append(targets, slow)
			targets[1] = serving(t, func(string) string { time.Sleep(5 * soon); return fine }) //nolint:forbidigo // another
		}
		p := poolOf(t, retrying(func(r *upstream.RetryConfig) {
			r.PerTryTimeout, r.MinRetriesPerSecond, r.Budget = settings.Duration(soon), 0, 0
		}), targets...)
		for range 2 {
			call := newCall(&plainRequest{method: http.MethodGet, path: "/"})
			if err := call.Do(p); err != nil || call.Attempts != 1 {
				t.Fatalf("%s: %d attempts, %v; want one that is waited for", name, call.Attempts, err)
			}
			if body, err := readAll(call); body != "ok" || err != nil {
				t.Errorf("%s: %q, %v", name, body, err)
			}
		}
	}
}

// TestRetryBudgetHolds: whatever fails, there are no more retries than the share of
// the requests, and a reload forgets nothing of it.
func TestRetryBudgetHolds(t *testing.T) {
	t.Parallel()
	a, b := always(t, busy), always(t, busy)
	o := upstream.Options{}
	r := upstream.NewRegistry(o)
	t.Cleanup(r.Close)
	c := upstream.PoolConfig{Name: "tenant", Connections: upstream.DefaultConnections(), Timeouts: upstream.DefaultTimeouts(), Services: services("http://"+a.Addr().String(), "http://"+b.Addr().String())}
	retrying(func(r *upstream.RetryConfig) { r.Budget, r.MinRetriesPerSecond = 20, 0 })(&c)
	total := 0
	for range 4 {
		p := start(t, r, c).Pool("tenant")
		for range 25 {
			call := newCall(&plainRequest{method: http.MethodGet, path: "/"})
			if err := call.Do(p); err != nil {
				t.Fatal(err)
			}
			total += call.Attempts
			call.End(false)
		}
	}
	if retries := total - 100; retries > 20 || retries < 10 { // all of the share, unless ten seconds have passed
		t.Errorf("%d retries of 100 requests, want 20", retries)
	}
}

// TestBudgetSlides: on a clock of its own.
func TestBudgetSlides(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		share     upstream.Percent
		perSecond int
		requests  int
		want      int
	}{{20, 0, 100, 20}, {20, 0, 4, 0}, {20, 0, 5, 1}, {0, 0, 1000, 0}, {0, 3, 0, 30}, {100, 0, 7, 7}, {50, 1, 10, 15}} {
		var b upstream.Budget
		now := int64(time.Hour)
		for round := range 3 {
			for range c.requests {
				b.Request(now)
			}
			got := 0
			for b.Take(now, c.share, c.perSecond) {
				got++
			}
			if got != c.want {
				t.Errorf("%+v, round %d: %d retries", c, round, got)
			}
			if now += int64(9 * time.Second); b.Take(now, c.share, c.perSecond) {
				t.Errorf("%+v: a retry more after nine seconds", c)
			}
			now += int64(time.Second)
		}
	}
}

// TestAbortEndsTheBackoff: who has given the call up doesn't wait on.
func TestAbortEndsTheBackoff(t *testing.T) {
	t.Parallel()
	p := poolOf(t, retrying(func(r *upstream.RetryConfig) {
		r.Attempts, r.Backoff, r.MaxBackoff = 4, settings.Duration(time.Hour), settings.Duration(time.Hour)
	}), always(t, busy), always(t, busy), always(t, busy), always(t, busy))
	call := newCall(&plainRequest{method: http.MethodGet, path: "/"})
	asked := &counted{plainRequest: plainRequest{method: http.MethodGet, path: "/"}, second: make(chan struct{})}
	call.Caller = asked
	gone := errors.New("gone")
	go func() {
		<-asked.second
		call.Abort(gone)
	}()
	if err := call.Do(p); !errors.Is(err, gone) || call.Attempts != 2 {
		t.Errorf("%d attempts and %v, want 2, and that it was given up", call.Attempts, err)
	}
}

// counted tells of the second attempt.
type counted struct {
	plainRequest
	attempts int
	second   chan struct{}
}

func (c *counted) Attempted(*upstream.Target, error) {
	if c.attempts++; c.attempts == 2 {
		close(c.second)
	}
}
