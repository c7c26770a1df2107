package streams_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

func settingWindow(n uint32) http2.Setting {
	return http2.Setting{ID: http2.SettingInitialWindowSize, Val: n}
}

// TestFloods: what costs the client less than it costs the gateway ends the
// connection, whoever began it, and others are served all the while.
func TestFloods(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	server := serve(t, "", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hang" {
			select {
			case <-r.Context().Done():
			case <-hang:
			}
		}
		echo(w, r)
	}))
	defer close(hang)
	const many = 100_000
	for name, flood := range map[string]func(p *peer, i int) error{
		"rapid reset": func(p *peer, i int) error {
			if err := p.send(uint32(2*i+1), "GET", "/hang", true); err != nil {
				return err
			}
			return p.framer.WriteRSTStream(uint32(2*i+1), http2.ErrCodeCancel)
		},
		"rapid reset without an error": func(p *peer, i int) error {
			if err := p.send(uint32(2*i+1), "GET", "/hang", true); err != nil {
				return err
			}
			return p.framer.WriteRSTStream(uint32(2*i+1), http2.ErrCodeNo)
		},
		"resets of a stream that has ended": func(p *peer, i int) error {
			if i == 0 {
				p.ask(1, "GET", "/hang", true)
			}
			return p.framer.WriteRSTStream(1, http2.ErrCodeNo)
		},
		"heads of a stream that was reset": func(p *peer, i int) error {
			if i == 0 {
				p.ask(1, "POST", "/hang", false)
				p.try(p.framer.WriteRawFrame(http2.FrameWindowUpdate, 0, 1, []byte{0, 0, 0, 0}))
			}
			return p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.block("x", "y"), EndStream: true, EndHeaders: true})
		},
		"made you reset": func(p *peer, i int) error {
			if err := p.send(uint32(2*i+1), "GET", "/hang", true); err != nil {
				return err
			}
			return p.framer.WriteRawFrame(http2.FrameWindowUpdate, 0, uint32(2*i+1), []byte{0, 0, 0, 0})
		},
		"requests that are none": func(p *peer, i int) error {
			block := p.block(":method", "GET", "x", "y")
			return p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: block, EndStream: true, EndHeaders: true})
		},
		"settings": func(p *peer, _ int) error { return p.framer.WriteSettings(settingWindow(1)) },
		"pings":    func(p *peer, i int) error { return p.framer.WritePing(false, [8]byte{byte(i)}) },
		"empty frames": func(p *peer, i int) error {
			if i == 0 {
				p.ask(1, "POST", "/hang", false)
			}
			return p.framer.WriteData(1, false, nil)
		},
		"padding alone": func(p *peer, i int) error {
			if i == 0 {
				p.ask(1, "POST", "/hang", false)
			}
			return p.framer.WriteDataPadded(1, false, nil, make([]byte, 10))
		},
		"window updates": func(p *peer, _ int) error { return p.framer.WriteWindowUpdate(0, 1) },
		"priorities":     func(p *peer, _ int) error { return p.framer.WritePriority(1, http2.PriorityParam{StreamDep: 3}) },
		"unknown frames": func(p *peer, _ int) error { return p.framer.WriteRawFrame(0x77, 0, 0, nil) },
		"continuations": func(p *peer, i int) error {
			if i == 0 {
				return p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.block(":method", "GET")})
			}
			return p.framer.WriteContinuation(1, false, nil)
		},
		"large continuations": func(p *peer, i int) error {
			if i == 0 {
				return p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.block(":method", "GET")})
			}
			return p.framer.WriteContinuation(1, false, p.block("x", strings.Repeat("y", 10_000)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := connect(t, server)
			p.silent = true
			ended := make(chan *reading, 1)
			go func() { ended <- p.read(false, func(r *reading) bool { return len(r.goaways) > 0 }) }()
			var r *reading
			for i := 0; i < many && r == nil; i++ {
				select {
				case r = <-ended:
				default:
					if flood(p, i) != nil {
						r = <-ended
					}
				}
			}
			if r == nil {
				r = <-ended
			}
			if r.code() != "ENHANCE_YOUR_CALM" {
				t.Errorf("got %s", r.code())
			}
			other := connect(t, server)
			other.ask(1, "GET", "/", true)
			if r := other.read(false, func(r *reading) bool { return r.ended(1) }); r.answers[1] == nil || r.answers[1].status != "200" {
				t.Errorf("beside it: %+v", r)
			}
		})
	}
}

// TestTooManyStreams: those beyond the limit are refused by themselves, though the
// client has given up those before them.
func TestTooManyStreams(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	server := serve(t, "", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-hang
	}))
	defer close(hang)
	p := connect(t, server)
	for i := range 128 {
		p.ask(uint32(2*i+1), "GET", "/", true)
	}
	p.ask(257, "GET", "/", true)
	r := p.read(false, func(r *reading) bool { return r.ended(257) })
	if a := r.answers[257]; a == nil || a.reset != http2.ErrCodeRefusedStream || len(r.answers) != 1 {
		t.Errorf("got %+v of %d", a, len(r.answers))
	}
}
