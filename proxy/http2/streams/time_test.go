package streams_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// TestTimeouts: what HTTP/1's clients have time for, those of HTTP/2 have, too; what
// is late on one stream harms no other.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	server := serve(t, "server: {timeouts: {header: 300ms, body_idle: 300ms, write_idle: 300ms, keepalive: 400ms}, min_rate: 0}", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/large" {
			_, _ = w.Write(bytes.Repeat([]byte("x"), 1<<20))
			return
		}
		echo(w, r)
	}))
	t.Run("no request", func(t *testing.T) {
		t.Parallel()
		r := connect(t, server).read(false, func(*reading) bool { return false })
		if r.code() != "NO_ERROR" || r.err != io.EOF {
			t.Errorf("got %s, %v", r.code(), r.err)
		}
	})
	t.Run("half a head", func(t *testing.T) {
		t.Parallel()
		p := connect(t, server)
		p.silent = true
		p.try(p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.block(":method", "GET"), EndStream: true}))
		r := p.read(false, func(*reading) bool { return false })
		if r.code() != "NO_ERROR" || r.err != io.EOF {
			t.Errorf("got %s, %v", r.code(), r.err)
		}
	})
	t.Run("idle", func(t *testing.T) {
		t.Parallel()
		p := connect(t, server)
		p.ask(1, "GET", "/", true)
		r := p.read(false, func(*reading) bool { return false })
		if a := r.answers[1]; a == nil || a.status != "200" || r.code() != "NO_ERROR" || r.err != io.EOF {
			t.Errorf("got %+v, %s, %v", a, r.code(), r.err)
		}
	})
	t.Run("a body that pauses", func(t *testing.T) {
		t.Parallel()
		p := connect(t, server)
		p.ask(1, "POST", "/", false)
		p.try(p.framer.WriteData(1, false, []byte("x")))
		r := p.read(false, func(r *reading) bool { return r.ended(1) })
		if a := r.answers[1]; a == nil || a.status != "408" || a.header["x-gateway-error"] != "body_timeout" {
			t.Errorf("got %+v, %v", a, r.err)
		}
	})
	t.Run("windows that stay shut", func(t *testing.T) {
		t.Parallel()
		p := connect(t, server)
		p.ask(1, "GET", "/large", true)
		r := p.read(false, func(r *reading) bool { return r.ended(1) })
		if a := r.answers[1]; a == nil || a.status != "200" || !a.isReset || a.reset != http2.ErrCodeCancel || len(a.body) != 65535 {
			t.Errorf("got %+v, %v", a, r.err)
		}
		p.try(p.framer.WriteWindowUpdate(0, 1000))
		p.ask(3, "GET", "/", true)
		if r := p.read(false, func(r *reading) bool { return r.ended(3) }); r.answers[3] == nil || r.answers[3].status != "200" {
			t.Errorf("after it: %+v, %v", r.answers[3], r.err)
		}
	})
}

// TestFirstIdle: a connection waits for its next request as long as it may, however
// the first one has come.
func TestFirstIdle(t *testing.T) {
	t.Parallel()
	const keepalive = 6 * time.Second
	server := serve(t, "server: {timeouts: {header: 3s, keepalive: 6s}}", echo)
	for name, whole := range map[string]bool{"in parts": false, "as a whole": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var p *peer
			asked := time.Now()
			if whole {
				p = connectAsking(t, server)
			} else {
				p = connect(t, server)
				p.read(false, func(r *reading) bool { return r.settings })
				asked = time.Now()
				p.ask(1, "GET", "/", true)
			}
			r := p.read(false, func(r *reading) bool { return len(r.goaways) > 0 })
			if a := r.answers[1]; a == nil || a.status != "200" || time.Since(asked) < keepalive {
				t.Errorf("got %+v, %s after %v", a, r.code(), time.Since(asked))
			}
		})
	}
}

// TestPriorities: of what waits for the client, what is urgent goes first, and what
// says nothing of it in turn.
func TestPriorities(t *testing.T) {
	t.Parallel()
	server := serve(t, "", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(bytes.Repeat([]byte("x"), 10<<10))
	}))
	p := connect(t, server)
	p.try(p.framer.WriteSettings(settingWindow(0)))
	p.ask(1, "GET", "/", true, "priority", "u=6")
	p.ask(3, "GET", "/", true)
	p.ask(5, "GET", "/", true, "priority", "i")
	p.ask(7, "GET", "/", true, "priority", "u=0, i=?0;x")
	p.ask(9, "GET", "/", true, "priority", "u=5")
	p.try(p.framer.WriteRawFrame(0x10, 0, 0, append([]byte{0, 0, 0, 9}, "u=1"...))) // PRIORITY_UPDATE
	p.read(false, func(r *reading) bool { return len(r.answers) == 5 })
	p.try(p.framer.WriteSettings(settingWindow(1 << 20)))
	var order []uint32
	for len(order) < 5 {
		f, err := p.framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if d, ok := f.(*http2.DataFrame); ok && d.Length > 0 && !slices.Contains(order, d.StreamID) { // the rest may come by itself
			order = append(order, d.StreamID)
		}
	}
	if got := fmt.Sprint(order); got != "[7 9 3 5 1]" && got != "[7 9 5 3 1]" {
		t.Errorf("served in the order %s, want 7, 9, 3 and 5, 1", got)
	}
}

// TestNoneStarves: while urgent streams have more to send than the client takes, the
// least urgent gets a frame now and then.
func TestNoneStarves(t *testing.T) {
	t.Parallel()
	const urgent, most = 20, 5000 // a fair share needs some 150
	span := bytes.Repeat([]byte("x"), 64<<10)
	server := serve(t, "", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/last" {
			_, _ = w.Write(span)
			return
		}
		for {
			if _, err := w.Write(span); err != nil {
				return
			}
		}
	}))
	p := connect(t, server)
	p.try(p.framer.WriteSettings(settingWindow(0)))
	for i := range uint32(urgent) {
		p.ask(2*i+1, "GET", "/", true, "priority", "u=0, i")
	}
	const last = 2*urgent + 1
	p.ask(last, "GET", "/last", true, "priority", "u=7")
	p.read(false, func(r *reading) bool { return len(r.answers) == urgent+1 })
	p.try(p.framer.WriteSettings(settingWindow(1<<31 - 1)))
	p.try(p.framer.WriteWindowUpdate(0, 1<<30))
	others, mine := 0, 0
	for mine < len(span) && others < most {
		f, err := p.framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		switch d, ok := f.(*http2.DataFrame); {
		case !ok:
		case d.StreamID == last:
			mine += len(d.Data())
		default:
			others++
		}
	}
	if mine < len(span) {
		t.Errorf("after %d frames of others %d bytes of %d have come", others, mine, len(span))
	}
}
