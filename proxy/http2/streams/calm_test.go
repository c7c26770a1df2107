package streams_test

import (
	"net/http"
	"testing"

	"golang.org/x/net/http2"
)

// TestNoRequestAfterAnother: who sends one request that is none at a time is told to
// calm down, too.
func TestNoRequestAfterAnother(t *testing.T) {
	t.Parallel()
	p := connect(t, serve(t, "", echo))
	for i := range uint32(100_000) {
		block := p.block(":method", "GET", "x", "y")
		if p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 1, BlockFragment: block, EndStream: true, EndHeaders: true}) != nil {
			break
		}
		r := p.read(false, func(r *reading) bool { return r.ended(2*i+1) || len(r.goaways) > 0 })
		if a := r.answers[2*i+1]; len(r.goaways) == 0 && (a == nil || a.status != "400" && !a.isReset) {
			t.Fatalf("request %d: %+v, %v", i, a, r.err)
		}
		if len(r.goaways) > 0 {
			if r.code() != "ENHANCE_YOUR_CALM" {
				t.Errorf("got %s", r.code())
			}
			return
		}
	}
	t.Error("nobody has said anything")
}

// TestResetsAfterTheEnd: a client that resets each stream after its response, for it
// has more to send, or to be sure, does no harm, however many there are.
func TestResetsAfterTheEnd(t *testing.T) {
	t.Parallel()
	p := connect(t, serve(t, "", echo))
	for i := range uint32(1200) {
		p.ask(2*i+1, "GET", "/", true)
		r := p.read(true, func(r *reading) bool { return r.ended(2*i+1) || len(r.goaways) > 0 })
		if a := r.answers[2*i+1]; a == nil || a.status != "200" || len(r.goaways) > 0 {
			t.Fatalf("request %d: %+v, %s, %v", i, a, r.code(), r.err)
		}
		p.try(p.framer.WriteRSTStream(2*i+1, http2.ErrCodeNo))
	}
}

// TestStreamsAfterGoaway: those that are opened though the client has been told which
// are served are not served, and many of them end the connection.
func TestStreamsAfterGoaway(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	server := serveOn(t, "[{address: '127.0.0.1:0', protocols: [h2c], max_requests_per_connection: 1}]", "", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}))
	defer close(hang)
	p := connect(t, server)
	p.ask(1, "GET", "/", true)
	p.read(false, func(r *reading) bool { return len(r.goaways) == 2 })
	p.silent = true
	ended := make(chan *reading, 1)
	go func() { ended <- p.read(false, func(r *reading) bool { return len(r.goaways) > 0 }) }()
	for i := range uint32(100_000) {
		if p.send(2*i+3, "GET", "/", true) != nil {
			break
		}
	}
	if r := <-ended; r.code() != "ENHANCE_YOUR_CALM" {
		t.Errorf("got %s", r.code())
	}
}

// TestEmptyTable: before all header blocks the client is told that no dynamic table
// is used, which it may insist on.
func TestEmptyTable(t *testing.T) {
	t.Parallel()
	p := connect(t, serve(t, "", echo))
	p.framer.ReadMetaHeaders = nil
	p.try(p.framer.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0}))
	for i, want := range []bool{true, false} {
		p.ask(uint32(2*i+1), "GET", "/", true)
		for {
			f, err := p.framer.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			if h, ok := f.(*http2.HeadersFrame); ok {
				if got := h.HeaderBlockFragment()[0] == 0x20; got != want {
					t.Errorf("block %d begins with %#x", i, h.HeaderBlockFragment()[0])
				}
				break
			}
		}
	}
}
