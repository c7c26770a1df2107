package upstream_test

import (
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/test/until"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// seen is what a target has got, by which a test waits.
type seen struct {
	mu     sync.Mutex
	resets []http2.ErrCode
	data   int
	ends   int
	conns  int
	closed int
}

func (s *seen) count(f func(s *seen)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

// now is one of the counts.
func (s *seen) now(count *int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return *count
}

// watching serves connections: it keeps account of what comes, and has each
// request's head answered.
func watching(s *seen, first []http2.Setting, answer func(p *peer, id uint32, ended bool)) func(p *peer, number int) {
	return func(p *peer, _ int) {
		s.count(func(s *seen) { s.conns++ })
		defer s.count(func(s *seen) { s.closed++ })
		_ = p.WriteSettings(first...)
		for {
			f, err := p.ReadFrame()
			if err != nil {
				return
			}
			switch f := f.(type) {
			case *http2.HeadersFrame:
				if f.StreamEnded() {
					s.count(func(s *seen) { s.ends++ })
				}
				answer(p, f.StreamID, f.StreamEnded())
			case *http2.DataFrame:
				s.count(func(s *seen) { s.data += len(f.Data()) })
				if f.StreamEnded() {
					s.count(func(s *seen) { s.ends++ })
					answer(p, f.StreamID, true)
				}
			case *http2.RSTStreamFrame:
				s.count(func(s *seen) { s.resets = append(s.resets, f.ErrCode) })
			case *http2.SettingsFrame:
				if !f.IsAck() {
					_ = p.WriteSettingsAck()
				}
			}
		}
	}
}

// TestHTTP2Timeouts: what takes too long is given up, and said to be by its setting;
// the target is told, and the connection goes on.
func TestHTTP2Timeouts(t *testing.T) {
	const short = 50 * time.Millisecond
	for name, c := range map[string]struct {
		change func(c *upstream.Call)
		goes   bool // the caller, once the target has the request
		head   bool // is sent, and a part of the content
		want   string
	}{
		"no head": {func(c *upstream.Call) { c.Timeouts.ResponseHeader = short }, false, false, "no response within timeouts.response_header (50ms)"},
		"in all": {func(c *upstream.Call) {
			c.Timeouts.Total, c.Timeouts.TotalKey = 3*time.Second, "total"
			c.Expiry = socket.Nanotime() + int64(c.Timeouts.Total)
		}, false, false, "no complete response within total (3s)"},
		"amid content":    {func(c *upstream.Call) { c.Timeouts.Idle = short }, false, true, "i/o timeout"},
		"the caller goes": {nil, true, false, "gone"},
		"goes amid it":    {nil, true, true, "gone"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s seen
			call := newCall(&plainRequest{method: "GET", path: "/"})
			listener := framePeer(t, watching(&s, nil, func(p *peer, id uint32, _ bool) {
				if id == 1 && c.goes {
					defer call.Abort(errors.New("gone"))
				}
				switch {
				case id > 1:
					p.answer(id)
				case c.head:
					p.head(id, false, ":status", "200")
					_ = p.WriteData(id, false, []byte("a part"))
				}
			}))
			pool := h2Pool(t, listener, "h2c://app.example", nil)
			if c.change != nil {
				c.change(call)
			}
			err := call.Do(pool)
			if err == nil {
				_, err = readAll(call)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q in it", err, c.want)
			}
			until.True(t, "the target is told", func() (told bool) {
				s.count(func(s *seen) { told = len(s.resets) == 1 && s.resets[0] == http2.ErrCodeCancel })
				return told
			})
			if _, body, err := do(pool, &plainRequest{method: "GET", path: "/"}); body != "good" || err != nil || s.now(&s.conns) != 1 {
				t.Errorf("afterwards: %q, %v, %d connections", body, err, s.now(&s.conns))
			}
		})
	}
}

// TestHTTP2Connecting is what ends the wait for a connection.
func TestHTTP2Connecting(t *testing.T) {
	const short = 50 * time.Millisecond
	silent := framePeer(t, func(*peer, int) {})
	pool := h2Pool(t, silent, "h2c://app.example", nil)
	call := newCall(&plainRequest{method: "GET", path: "/"})
	call.Timeouts.Connect = short
	failure, _ := errors.AsType[*upstream.Failure](call.Do(pool))
	if failure == nil || failure.Reason != upstream.ConnectTimeout {
		t.Errorf("a target without SETTINGS: %v", failure)
	}
	none := framePeer(t, func(p *peer, _ int) {
		_ = p.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 0})
	})
	_, _, err := do(h2Pool(t, none, "h2c://app.example", nil), &plainRequest{method: "GET", path: "/"})
	if failure, _ = errors.AsType[*upstream.Failure](err); failure == nil || failure.Reason != upstream.ConnectFailed || !strings.Contains(err.Error(), "MAX_CONCURRENT_STREAMS") {
		t.Errorf("a target that allows no streams: %v", err)
	}
	var s seen
	busy := framePeer(t, watching(&s, nil, func(*peer, uint32, bool) {}))
	pool = h2Pool(t, busy, "h2c://app.example", func(_ *upstream.Options, c *upstream.PoolConfig) {
		c.Connections.MaxPerTarget, c.Connections.MaxStreams, c.Connections.MaxPending = 1, 1, 1
		c.Connections.PendingTimeout = settings.Duration(short)
	})
	first := newCall(&plainRequest{method: "GET", path: "/"})
	ended := make(chan error, 1)
	go func() { ended <- first.Do(pool) }()
	until.True(t, "the first is there", func() (there bool) {
		s.count(func(s *seen) { there = s.ends == 1 })
		return there
	})
	if _, _, err = do(pool, &plainRequest{method: "GET", path: "/"}); err == nil {
		t.Fatal("there is room")
	}
	var overflow *upstream.Failure
	if !errors.As(err, &overflow) || overflow.Reason != upstream.Overflow || !strings.Contains(err.Error(), "connections.max_per_target (1)") {
		t.Errorf("without room: %v", err)
	}
	first.Abort(errors.New("enough"))
	if err := <-ended; err == nil {
		t.Error("what was given up is complete")
	}
}

// TestHTTP2Windows: content waits for the target's window, and comes when it is
// opened; a target that has answered need not read it.
func TestHTTP2Windows(t *testing.T) {
	t.Parallel()
	var s seen
	closed := []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 0}}
	listener := framePeer(t, watching(&s, closed, func(p *peer, id uint32, ended bool) {
		switch {
		case ended:
			p.answer(id)
		case id == 1:
			_ = p.WriteWindowUpdate(id, 10)
			_ = p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 20})
			_ = p.WriteWindowUpdate(id, 100)
		default:
			p.answer(id)
			_ = p.WriteRSTStream(id, http2.ErrCodeNo)
		}
	}))
	pool := h2Pool(t, listener, "h2c://app.example", nil)
	call := newCall(&plainRequest{method: "POST", path: "/"})
	call.Payload, call.Request.Length = make([]byte, 100), 100
	if err := call.Do(pool); err != nil {
		t.Fatal(err)
	}
	if body, err := readAll(call); body != "good" || err != nil || s.now(&s.data) != 100 {
		t.Errorf("%q, %v, it has got %d bytes", body, err, s.now(&s.data))
	}
	streamed, r := newStreamed("/", strings.Repeat("x", 1<<20))
	if err := streamed.Do(pool); err != nil {
		t.Fatal(err)
	}
	if n, err := drain(streamed); n != 4 || err != nil {
		t.Error(n, err)
	}
	<-r.done
	if r.err == nil {
		t.Error("all of the content was taken")
	}
	streamed.End(false)
}

// TestHTTP2Ends: a connection has a place until it ends, unused; with the registry,
// and with a reload that changes what it is like, at once.
func TestHTTP2Ends(t *testing.T) {
	t.Parallel()
	var s seen
	listener := framePeer(t, watching(&s, nil, func(p *peer, id uint32, _ bool) { p.answer(id) }))
	places := upstream.NewPlaces(1)
	o := dialTo(t, listener)
	o.Places = places
	r := upstream.NewRegistry(o)
	t.Cleanup(r.Close)
	c := upstream.PoolConfig{Name: "tenant", Services: services("h2c://app.example"), Connections: upstream.DefaultConnections(), Timeouts: upstream.DefaultTimeouts()}
	g := start(t, r, c)
	good := func(what string) {
		t.Helper()
		until.True(t, what, func() bool { // a place may not be back yet
			_, body, err := do(g.Pool("tenant"), &plainRequest{method: "GET", path: "/"})
			return body == "good" && err == nil
		})
	}
	good("at first")
	c.Connections.IdleTimeout = settings.Duration(200 * time.Millisecond)
	g = start(t, r, c)
	good("after a reload")
	until.True(t, "both connections have ended", func() (ended bool) {
		s.count(func(s *seen) { ended = s.conns >= 2 && s.closed == s.conns })
		return ended
	})
	good("on a third")
	r.Close()
	until.True(t, "all have ended", func() (ended bool) {
		s.count(func(s *seen) { ended = s.closed == s.conns })
		return ended
	})
	if _, err := places.Take("tenant"); err != nil {
		t.Error(err)
	}
}

// TestHTTP2Continue: content that waits for 100 Continue is sent when it comes.
func TestHTTP2Continue(t *testing.T) {
	t.Parallel()
	var s seen
	listener := framePeer(t, watching(&s, nil, func(p *peer, id uint32, ended bool) {
		if ended {
			p.answer(id)
			return
		}
		p.head(id, false, ":status", "100")
		p.head(id, false, ":status", "103", "link", "</a>")
	}))
	pool := h2Pool(t, listener, "h2c://app.example", nil)
	call, r := newStreamed("/", "content")
	call.Request.Continue = true
	r.trailer = message.Header{{Name: []byte("X-Mine"), Value: []byte("v")}}
	if err := call.Do(pool); err != nil {
		t.Fatal(err)
	}
	body, err := readAll(call)
	if body != "good" || err != nil && err != io.EOF || s.now(&s.data) != 7 || len(r.interim) != 1 || r.interim[0] != 103 {
		t.Errorf("%q, %v, it has got %d bytes, and the caller %v", body, err, s.now(&s.data), r.interim)
	}
}
