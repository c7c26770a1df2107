package streams_test

import (
	"io"
	"net/http"
	"testing"

	"golang.org/x/net/http2"

	"github.com/keystone-gateway/keystone-gateway/proxy/multiplex"
)

// TestAsManyAsAllowed: a client that has as many streams as it may opens the next one as
// soon as one has ended, as gRPC's do: none is refused.
func TestAsManyAsAllowed(t *testing.T) {
	t.Parallel()
	server := serve(t, "", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	p := connect(t, server)
	p.read(false, func(r *reading) bool { return r.settings })
	const all = 5000
	next := uint32(1)
	ask := func() {
		p.ask(next, "GET", "/", true)
		next += 2
	}
	for range multiplex.MaxStreams {
		ask()
	}
	for ended := 0; ended < all; {
		f, err := p.framer.ReadFrame()
		if err != nil {
			t.Fatalf("after %d streams: %v", ended, err)
		}
		switch f := f.(type) {
		case *http2.RSTStreamFrame:
			t.Fatalf("after %d streams one is ended with %v", ended, f.ErrCode)
		case *http2.GoAwayFrame:
			t.Fatalf("after %d streams: %v %q", ended, f.ErrCode, f.DebugData())
		case *http2.PingFrame:
			if !f.IsAck() {
				p.try(p.framer.WritePing(true, f.Data))
			}
		case *http2.DataFrame:
			if p.try(p.framer.WriteWindowUpdate(0, max(1, f.Length))); f.StreamEnded() {
				ended++
				if next < 2*all {
					ask()
				}
			}
		}
	}
}
