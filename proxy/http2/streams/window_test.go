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
