package upstream_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// TestWhatFailuresSay: which way a call has failed, and what the log has of it:
// the target, and the setting that was reached, or what lies beneath.
func TestWhatFailuresSay(t *testing.T) {
	t.Parallel()
	refuse := func(context.Context) error { return syscall.ECONNREFUSED }
	hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	says := func(text string) func(net.Conn) {
		return func(c net.Conn) {
			_ = readHead(c)
			_, _ = io.WriteString(c, text)
		}
	}
	const short = 30 * time.Millisecond
	for name, c := range map[string]struct {
		url    string
		dial   func(context.Context) error
		serve  func(net.Conn)
		change func(*upstream.Call)
		reason upstream.Reason
		want   string
	}{
		"refused":                 {url: "http://10.0.0.1", dial: refuse, reason: upstream.ConnectFailed, want: `cannot connect to target "10.0.0.1:80" at 10.0.0.1:80: the connection was refused`},
		"refused, for TLS":        {url: "https://10.0.0.1", dial: refuse, reason: upstream.ConnectFailed, want: `cannot connect to target "10.0.0.1:443" at 10.0.0.1:443: the connection was refused`},
		"refused, at a socket":    {url: "unix:///run/a.sock", dial: refuse, reason: upstream.ConnectFailed, want: `cannot connect to target "/run/a.sock" at /run/a.sock: the connection was refused`},
		"no descriptor":           {url: "http://10.0.0.1", dial: func(context.Context) error { return syscall.EMFILE }, reason: upstream.Overflow, want: `cannot connect to target "10.0.0.1:80" at 10.0.0.1:80: `},
		"a connect that takes":    {url: "http://10.0.0.1", dial: hang, reason: upstream.ConnectTimeout, want: `cannot connect to target "10.0.0.1:80" at 10.0.0.1:80 within timeouts.connect (30ms)`},
		"a panic":                 {url: "http://10.0.0.1", dial: func(context.Context) error { panic("boom") }, reason: upstream.ConnectFailed, want: "boom"},
		"silence":                 {url: "http://10.0.0.1", serve: says(""), reason: upstream.NoResponse, want: "if it speaks TLS, its url should begin with https://"},
		"not HTTP":                {url: "http://10.0.0.1", serve: says("SSH-2.0-OpenSSH\r\n\r\n"), reason: upstream.BadResponse, want: "malformed response"},
		"an endless conversation": {url: "http://10.0.0.1", serve: says(strings.Repeat("HTTP/1.1 103 x\r\n\r\n", 33)), reason: upstream.BadResponse, want: "too many informational responses"},
		"no head":                 {url: "http://10.0.0.1", serve: func(c net.Conn) { _ = readHead(c); silent(c) }, change: func(c *upstream.Call) { c.Timeouts.ResponseHeader = short }, reason: upstream.ResponseTimeout, want: "no response within timeouts.response_header (30ms)"},
		"no head in all the time": {url: "http://10.0.0.1", serve: func(c net.Conn) { _ = readHead(c); silent(c) }, change: func(c *upstream.Call) { c.Expiry = socket.Nanotime() + int64(short) }, reason: upstream.ResponseTimeout, want: "within timeouts.total (1s)"},
		"no time to connect":      {url: "http://10.0.0.1", serve: silent, change: func(c *upstream.Call) { c.Expiry = 1 }, reason: upstream.ResponseTimeout, want: "no connection within timeouts.total (1s)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			serve := c.serve
			if serve == nil {
				serve = silent
			}
			server := listen(t, "127.0.0.1:0", serve)
			defer func() { _ = server.Close() }()
			o := dialTo(t, server)
			if through := o.Dial; c.dial != nil {
				o.Dial = func(ctx context.Context, kind, address string) (net.Conn, error) {
					if err := c.dial(ctx); err != nil {
						return nil, err
					}
					return through(ctx, kind, address)
				}
			}
			r := upstream.NewRegistry(o)
			defer r.Close()
			config := upstream.PoolConfig{Name: "tenant", Services: services(c.url)}
			config.Timeouts.Connect = settings.Duration(patience)
			if name == "a connect that takes" {
				config.Timeouts.Connect = settings.Duration(short)
			}
			p := start(t, r, config).Pools()[0]
			call := newCall(&plainRequest{method: http.MethodPost, path: "/"})
			call.Idempotent, call.Timeouts.Total, call.Timeouts.TotalKey = false, time.Second, "timeouts.total"
			if c.change != nil {
				c.change(call)
			}
			err := call.Do(p)
			failure, _ := errors.AsType[*upstream.Failure](err)
			if failure == nil || failure.Reason != c.reason || failure.Target != p.Targets()[0] || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, %v; want %q", failure, err, c.want)
			}
			if p.Targets()[0].InFlight.Load() != 0 || call.Conn != nil {
				t.Error("something is left of a call that has failed")
			}
		})
	}
}

// TestReasonsHaveWords: what a failure of no target says.
func TestReasonsHaveWords(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for reason := upstream.NoTarget; reason <= upstream.Aborted; reason++ {
		text := (&upstream.Failure{Reason: reason}).Error()
		if text == "" || text != reason.String() || seen[text] {
			t.Errorf("reason %d is %q", reason, text)
		}
		seen[text] = true
	}
}

// TestTargetsThatTakeNothing: a request that its target doesn't read is given up
// when nothing of it has moved for timeouts.idle, not when an answer is overdue.
func TestTargetsThatTakeNothing(t *testing.T) {
	t.Parallel()
	done := make(chan struct{})
	server := listen(t, "127.0.0.1:0", func(net.Conn) { <-done })
	defer func() { _ = server.Close() }()
	defer close(done)
	r := upstream.NewRegistry(dialTo(t, server))
	defer r.Close()
	p := start(t, r, upstream.PoolConfig{Name: "tenant", Services: services("http://10.0.0.1")}).Pools()[0]
	call := newCall(&plainRequest{method: http.MethodPost, path: "/"})
	call.Payload, call.Idempotent, call.Timeouts.Idle = make([]byte, 16<<20), false, 100*time.Millisecond
	err := call.Do(p)
	failure, _ := errors.AsType[*upstream.Failure](err)
	if failure == nil || failure.Reason != upstream.ResponseTimeout || !strings.Contains(err.Error(), "it has taken nothing of the request for timeouts.idle (100ms)") {
		t.Errorf("got %v", err)
	}
}

// shown is a request that keeps what comes before the answer.
type shown struct {
	plainRequest
	interims []int
}

func (r *shown) Interim(response *message.Response) error {
	r.interims = append(r.interims, response.Status)
	return nil
}

// TestInterimsOfCalls: 100 Continue is nobody's but the gateway's, other interim
// responses are shown, up to 32 of them.
func TestInterimsOfCalls(t *testing.T) {
	t.Parallel()
	const final = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
	for text, want := range map[string]string{
		"HTTP/1.1 100 x\r\n\r\nHTTP/1.1 103 x\r\n\r\nHTTP/1.1 102 x\r\n\r\n": "[103 102]",
		strings.Repeat("HTTP/1.1 100 x\r\n\r\n", 32):                         "[]",
		strings.Repeat("HTTP/1.1 100 x\r\n\r\n", 33):                         "too many",
	} {
		server := listen(t, "127.0.0.1:0", func(c net.Conn) {
			_ = readHead(c)
			_, _ = io.WriteString(c, text+final)
			silent(c)
		})
		r := upstream.NewRegistry(dialTo(t, server))
		p := start(t, r, upstream.PoolConfig{Name: "tenant", Services: services("http://10.0.0.1")}).Pools()[0]
		request := &shown{plainRequest: plainRequest{method: http.MethodGet, path: "/"}}
		call := newCall(&request.plainRequest)
		call.Caller = request
		got := "too many"
		if err := call.Do(p); err == nil {
			got = fmt.Sprint(request.interims)
			call.End(true)
		} else if !strings.Contains(err.Error(), got) {
			t.Error(err)
		}
		if got != want {
			t.Errorf("%.100q: got %s, want %s", text, got, want)
		}
		r.Close()
		_ = server.Close()
	}
}

// TestSilenceOverTLS: who has spoken TLS isn't guessed to be spoken to in plain text.
func TestSilenceOverTLS(t *testing.T) {
	t.Parallel()
	cert, roots := certificate(t)
	server := listen(t, "127.0.0.1:0", func(conn net.Conn) {
		secure := tls.Server(conn, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}})
		_ = readHead(secure)
		_ = secure.Close()
	})
	defer func() { _ = server.Close() }()
	o := dialTo(t, server)
	o.RootCAs = roots
	r := upstream.NewRegistry(o)
	defer r.Close()
	p := start(t, r, upstream.PoolConfig{Name: "tenant", Services: services("https://app.example")}).Pools()[0]
	_, _, err := do(p, &plainRequest{method: http.MethodGet, path: "/"})
	failure, _ := errors.AsType[*upstream.Failure](err)
	if failure == nil || failure.Reason != upstream.NoResponse || strings.Contains(err.Error(), "https://") {
		t.Errorf("got %v", err)
	}
}

// TestFailureBesideTheWeightless: where the only other target has no weight, the
// failure of the first is what is said, not that there was nobody else.
func TestFailureBesideTheWeightless(t *testing.T) {
	t.Parallel()
	o := options(newNetwork())
	o.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, syscall.ECONNREFUSED }
	r := upstream.NewRegistry(o)
	defer r.Close()
	list := services("http://10.0.0.1", "http://10.0.0.2")
	list[1].Weight = 0
	p := start(t, r, upstream.PoolConfig{Name: "tenant", Services: list}).Pools()[0]
	_, _, err := do(p, &plainRequest{method: http.MethodGet, path: "/"})
	failure, _ := errors.AsType[*upstream.Failure](err)
	if failure == nil || failure.Reason != upstream.ConnectFailed || failure.Target != p.Targets()[0] {
		t.Errorf("got %v", err)
	}
}
