package upstream_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// raw writes a frame of any kind.
func (p *peer) raw(kind http2.FrameType, flags http2.Flags, id uint32, payload string) {
	_ = p.WriteRawFrame(kind, flags, id, []byte(payload))
}

// TestHTTP2Hostile is what becomes of answers that break the rules, or mean to
// wear the gateway down: a failure that says what was wrong, in bounded time and
// memory, and a target that can be asked again.
func TestHTTP2Hostile(t *testing.T) {
	const ok = ":status"
	flood := func(n int, f func(i int)) {
		for i := range n {
			f(i)
		}
	}
	for name, c := range map[string]struct {
		answer func(p *peer, id uint32)
		want   string // of the error; "" is a good response
		reason upstream.Reason
		late   bool // the head is good, and the content isn't
	}{
		"upper case":           {func(p *peer, id uint32) { p.head(id, true, ok, "200", "X-Upper", "v") }, "field", upstream.BadResponse, false},
		"no status":            {func(p *peer, id uint32) { p.head(id, true, "x", "v") }, "", upstream.BadResponse, false},
		"status twice":         {func(p *peer, id uint32) { p.head(id, true, ok, "200", ok, "200") }, "", upstream.BadResponse, false},
		"status after fields":  {func(p *peer, id uint32) { p.head(id, true, "x", "v", ok, "200") }, "", upstream.BadResponse, false},
		"request's pseudo":     {func(p *peer, id uint32) { p.head(id, true, ok, "200", ":path", "/") }, "", upstream.BadResponse, false},
		"short status":         {func(p *peer, id uint32) { p.head(id, true, ok, "20") }, "", upstream.BadResponse, false},
		"101":                  {func(p *peer, id uint32) { p.head(id, true, ok, "101") }, "", upstream.BadResponse, false},
		"transfer-encoding":    {func(p *peer, id uint32) { p.head(id, true, ok, "200", "transfer-encoding", "chunked") }, "", upstream.BadResponse, false},
		"line end in a value":  {func(p *peer, id uint32) { p.head(id, true, ok, "200", "x", "a\r\nb: c") }, "", upstream.BadResponse, false},
		"NUL in a value":       {func(p *peer, id uint32) { p.head(id, true, ok, "200", "x", "a\x00") }, "", upstream.BadResponse, false},
		"interim, and the end": {func(p *peer, id uint32) { p.head(id, true, ok, "103") }, "interim", upstream.BadResponse, false},
		"two lengths": {func(p *peer, id uint32) {
			p.head(id, false, ok, "200", "content-length", "1", "content-length", "2")
		}, "", upstream.BadResponse, false},
		"DATA first": {func(p *peer, id uint32) { _ = p.WriteData(id, true, []byte("x")) }, "outside", upstream.BadResponse, false},
		"too many fields": {func(p *peer, id uint32) {
			fields := []string{ok, "200"}
			flood(400, func(i int) { fields = append(fields, fmt.Sprint("x", i), "v") })
			p.head(id, true, fields...)
		}, "", upstream.BadResponse, false},
		"a large header": {func(p *peer, id uint32) {
			_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.encode(ok, "200", "x", strings.Repeat("v", 10<<10))})
			flood(8, func(i int) { _ = p.WriteContinuation(id, i == 7, p.encode("x", strings.Repeat("w", 10<<10))) })
		}, "", upstream.BadResponse, false},
		"CONTINUATION flood": {func(p *peer, id uint32) {
			_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.encode(ok, "200")})
			flood(20_000, func(int) { _ = p.WriteContinuation(id, false, nil) })
		}, "CONTINUATION", upstream.BadResponse, false},
		"endless header": {func(p *peer, id uint32) {
			_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.encode(ok, "200")})
			flood(100, func(int) { _ = p.WriteContinuation(id, false, []byte(strings.Repeat("\x00\x01a\x7f\x00", 1000))) })
		}, "header section", upstream.BadResponse, false},
		"PING flood":     {func(p *peer, _ uint32) { flood(30_000, func(int) { _ = p.WritePing(false, [8]byte{}) }) }, "bring nothing on", upstream.BadResponse, false},
		"SETTINGS flood": {func(p *peer, _ uint32) { flood(30_000, func(int) { _ = p.WriteSettings() }) }, "bring nothing on", upstream.BadResponse, false},
		"unknown frames": {func(p *peer, id uint32) { flood(30_000, func(int) { p.raw(0x55, 0, id, "") }) }, "bring nothing on", upstream.BadResponse, false},
		"interim flood":  {func(p *peer, id uint32) { flood(1000, func(int) { p.head(id, false, ok, "103", "x", "v") }) }, "informational", upstream.BadResponse, false},
		"empty DATA": {func(p *peer, id uint32) {
			p.head(id, false, ok, "200")
			flood(30_000, func(int) { _ = p.WriteData(id, false, nil) })
		}, "empty DATA", 0, true},
		"push": {func(p *peer, id uint32) {
			_ = p.WritePushPromise(http2.PushPromiseParam{StreamID: id, PromiseID: 2, BlockFragment: p.encode(":method", "GET"), EndHeaders: true})
		}, "pushes", upstream.BadResponse, false},
		"a stream of its own":    {func(p *peer, _ uint32) { p.head(2, true, ok, "200") }, "never opened", upstream.BadResponse, false},
		"a stream of the future": {func(p *peer, id uint32) { p.head(id+100, true, ok, "200") }, "never opened", upstream.BadResponse, false},
		"HPACK nonsense": {func(p *peer, id uint32) {
			p.raw(http2.FrameHeaders, http2.FlagHeadersEndHeaders, id, "\xff\xff\xff\xff\xff\xff")
		}, "", upstream.BadResponse, false},
		"a long frame":           {func(p *peer, id uint32) { p.raw(http2.FrameData, 0, id, strings.Repeat("x", 1<<15)) }, "", upstream.BadResponse, false},
		"a short SETTINGS":       {func(p *peer, _ uint32) { p.raw(http2.FrameSettings, 0, 0, "abc") }, "SETTINGS", upstream.BadResponse, false},
		"a window of too much":   {func(p *peer, _ uint32) { _ = p.WriteWindowUpdate(0, 1<<31-1) }, "window", upstream.BadResponse, false},
		"its window of too much": {func(p *peer, id uint32) { _ = p.WriteWindowUpdate(id, 1<<31-1) }, "window", upstream.BadResponse, false},
		"a window of nothing":    {func(p *peer, id uint32) { _ = p.WriteWindowUpdate(id, 0) }, "WINDOW_UPDATE", upstream.BadResponse, false},
		"padding of too much":    {func(p *peer, id uint32) { p.raw(http2.FrameData, http2.FlagDataPadded, id, "\xffabc") }, "padding", upstream.BadResponse, false},
		"the end":                {func(p *peer, _ uint32) { _ = p.conn.Close() }, "ended", upstream.NoResponse, false},
		"reset":                  {func(p *peer, id uint32) { _ = p.WriteRSTStream(id, http2.ErrCodeInternal) }, "INTERNAL_ERROR", upstream.ResetByTarget, false},
		"too much content": {func(p *peer, id uint32) {
			p.head(id, false, ok, "200", "content-length", "3")
			_ = p.WriteData(id, true, []byte("four"))
		}, "Content-Length", 0, true},
		"too little content": {func(p *peer, id uint32) {
			p.head(id, false, ok, "200", "content-length", "5")
			_ = p.WriteData(id, true, []byte("four"))
		}, "Content-Length", 0, true},
		"reset amid content": {func(p *peer, id uint32) {
			p.head(id, false, ok, "200")
			_ = p.WriteData(id, false, []byte("four"))
			_ = p.WriteRSTStream(id, http2.ErrCodeInternal)
		}, "INTERNAL_ERROR", 0, true},
		"the end amid content": {func(p *peer, id uint32) {
			p.head(id, false, ok, "200")
			_ = p.WriteData(id, false, []byte("four"))
			_ = p.conn.Close()
		}, "EOF", 0, true},
		"more than the window": {func(p *peer, id uint32) {
			p.head(id, false, ok, "200")
			flood(20, func(int) { _ = p.WriteData(id, false, make([]byte, 16<<10)) })
		}, "window", 0, true},
		"a head amid content": {func(p *peer, id uint32) {
			p.head(id, false, ok, "200")
			p.head(id, false, "x", "v")
		}, "amid", 0, true},
		"a pseudo-field in the trailer": {func(p *peer, id uint32) {
			p.head(id, false, ok, "200")
			p.head(id, true, ok, "200")
		}, "", 0, true},
		"connection fields": {func(p *peer, id uint32) {
			p.head(id, true, ok, "200", "connection", "close", "keep-alive", "timeout=1")
		}, "", upstream.BadResponse, false},
		"padded": {func(p *peer, id uint32) {
			p.raw(http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersPadded, id, "\x03"+string(p.encode(ok, "200"))+"\x00\x00\x00")
			_ = p.WriteDataPadded(id, true, []byte("good"), make([]byte, 200))
		}, "", 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			said := make(chan struct{}) // all that it wants to; until then nothing of the content is read
			listener := framePeer(t, func(p *peer, number int) {
				_ = p.WriteSettings()
				for {
					id, there := p.request()
					if !there {
						return
					}
					if number == 0 && id == 1 {
						c.answer(p, id)
						close(said)
					} else {
						p.answer(id)
					}
				}
			})
			pool := h2Pool(t, listener, "h2c://app.example", nil)
			call := newCall(&plainRequest{method: "POST", path: "/"})
			call.Idempotent = false
			err := call.Do(pool)
			if err == nil {
				<-said
				_, err = readAll(call)
				if c.late != (err != nil) {
					t.Fatalf("the content: %v", err)
				}
			} else {
				failure, _ := errors.AsType[*upstream.Failure](err)
				if failure == nil || failure.Reason != c.reason {
					t.Fatalf("%v, want %v", err, c.reason)
				}
			}
			if c.reason == 0 && !c.late {
				if err != nil {
					t.Error(err)
				}
			} else if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q in it", err, c.want)
			}
			if _, body, err := do(pool, &plainRequest{method: "GET", path: "/"}); body != "good" || err != nil {
				t.Errorf("afterwards: %q, %v", body, err)
			}
		})
	}
}

// TestHTTP2Wrong is what is said of targets that speak something else.
func TestHTTP2Wrong(t *testing.T) {
	cert, roots := certificate(t)
	plain, _ := goServer(t, nil, 100, echo)
	secure, _ := goServer(t, &cert, 100, echo)
	for _, c := range []struct {
		url, want string
		secure    bool
	}{
		{"h2c://app.example", "speaks TLS", true},
		{"grpc://app.example", "grpcs://", true},
		{"h2://app.example", "without TLS", false},
	} {
		listener := plain
		if c.secure {
			listener = secure
		}
		pool := h2Pool(t, listener, c.url, func(o *upstream.Options, _ *upstream.PoolConfig) { o.RootCAs = roots })
		if _, _, err := do(pool, &plainRequest{method: "GET", path: "/"}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q in it", c.url, err, c.want)
		}
	}
}
