package streams_test

import (
	"io"
	"net/http"
	"testing"

	"golang.org/x/net/http2"

	ours "github.com/keystone-gateway/keystone-gateway/proxy/http2"
)

// TestUploadWindow: who sends what the target takes at once may send more and more of it
// unasked.
func TestUploadWindow(t *testing.T) {
	t.Parallel()
	server := serve(t, "", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	p := connect(t, server)
	p.ask(1, "POST", "/", false)
	windows := map[uint32]int{0: ours.FirstWindow, 1: ours.FirstWindow}
	send := func(stream uint32) {
		for n := min(windows[0], windows[stream]); n > 0; n = min(windows[0], windows[stream]) {
			n = min(n, ours.MaxFrame)
			p.try(p.framer.WriteData(stream, false, make([]byte, n)))
			windows[0], windows[stream] = windows[0]-n, windows[stream]-n
		}
	}
	most := 0
	for most < ours.MostWindow/2 {
		send(1)
		f, err := p.framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		switch f := f.(type) {
		case *http2.WindowUpdateFrame:
			windows[f.StreamID] += int(f.Increment)
			most = max(most, windows[1])
		case *http2.SettingsFrame:
			if !f.IsAck() {
				p.try(p.framer.WriteSettingsAck())
			}
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			t.Fatal(f)
		}
	}
}

// TestUpdatesForEachFrame: a client may give back what it has got frame by frame, of the
// stream and of the connection, however many frames have come before it does.
func TestUpdatesForEachFrame(t *testing.T) {
	t.Parallel()
	const chunks = 3000
	server := serve(t, "", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for range chunks {
			_, _ = w.Write([]byte("x"))
			w.(http.Flusher).Flush()
		}
	}))
	p := connect(t, server)
	stream := uint32(1)
	for frames := 0; frames < 2*chunks; stream += 2 {
		p.ask(stream, "GET", "/", true)
		for ended := false; !ended; {
			f, err := p.framer.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			if d, ok := f.(*http2.DataFrame); ok {
				ended = d.StreamEnded()
				frames++
			}
		}
		if stream > 20 {
			break // chunks have been joined
		}
	}
	for range 2 * chunks {
		p.try(p.framer.WriteWindowUpdate(0, 1))
		p.try(p.framer.WriteWindowUpdate(stream-2, 1))
	}
	p.ask(stream, "GET", "/", true)
	if r := p.read(false, func(r *reading) bool { return r.ended(stream) }); len(r.goaways) > 0 || r.answers[stream] == nil {
		t.Errorf("got %s, %+v", r.code(), r.answers)
	}
}
