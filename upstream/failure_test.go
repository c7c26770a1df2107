package upstream_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

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
