package streams_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"
)

// TestMalformed: requests that are none are refused one by one; the connection goes on.
func TestMalformed(t *testing.T) {
	g := serve(t, "", "", echo)
	h := connect(t, g)
	trailer := frame(1, section("x-t", "1"))
	for name, a := range map[string]struct {
		parts [][]byte
		open  bool // the client doesn't end the stream
		want  string
	}{
		"good":                          {[][]byte{head("GET", "/")}, false, "200"},
		"content":                       {[][]byte{head("POST", "/", "content-length", "2"), frame(0, []byte("ab"))}, false, "200"},
		"content in parts":              {[][]byte{head("POST", "/"), frame(0, []byte("a")), frame(0x21, []byte("unknown")), frame(0, []byte("b"))}, false, "200"},
		"a trailer section":             {[][]byte{head("POST", "/"), frame(0, []byte("a")), trailer}, false, "200"},
		"content that is never ended":   {[][]byte{head("POST", "/", "content-length", "2"), frame(0, []byte("ab"))}, true, "200"},
		"upper case":                    {[][]byte{frame(1, []byte("\x00\x00\xd1\xd7\x50\x09a.example\xc1\x21X\x01v"))}, false, "400"},
		"a connection's field":          {[][]byte{head("GET", "/", "connection", "close")}, false, "400"},
		"a line's end in a value":       {[][]byte{head("GET", "/", "x", "a\r\nb: c")}, false, "400"},
		"no path":                       {[][]byte{frame(1, section(":method", "GET", ":scheme", "https", ":authority", "a.example"))}, false, "400"},
		"a pseudo-field behind others":  {[][]byte{frame(1, section(":method", "GET", ":scheme", "https", "x", "y", ":path", "/"))}, false, "400"},
		"two hosts":                     {[][]byte{head("GET", "/", "host", "b.example")}, false, "400"},
		"extended CONNECT":              {[][]byte{head("CONNECT", "/", ":protocol", "websocket")}, false, "400"},
		"less content than is said":     {[][]byte{head("POST", "/", "content-length", "3"), frame(0, []byte("ab"))}, false, "400"},
		"more content than is said":     {[][]byte{head("POST", "/", "content-length", "1"), frame(0, []byte("ab"))}, false, "400"},
		"a trailer with a pseudo-field": {[][]byte{head("POST", "/"), frame(1, section(":path", "/"))}, false, "400"},
		"nothing":                       {nil, false, "stream H3_REQUEST_CANCELLED"},
	} {
		s := h.send(!a.open, a.parts...)
		if got := answer(s); got != a.want {
			t.Errorf("%s: %q, want %q", name, got, a.want)
		}
	}
}

// TestFatal: what nobody can go on after ends the connection.
func TestFatal(t *testing.T) {
	g := serve(t, "", "", echo)
	on := func(parts ...[]byte) func(h *hand) {
		return func(h *hand) { _ = answer(h.send(true, parts...)) }
	}
	control := func(p []byte) func(h *hand) {
		return func(h *hand) { _, _ = h.control.Write(p) }
	}
	plain := func(kind uint64, more ...byte) func(h *hand) {
		return func(h *hand) { h.uni(kind, more...) }
	}
	for name, a := range map[string]struct {
		do   func(h *hand)
		want string
	}{
		"DATA first":                 {on(frame(0, []byte("x"))), "H3_FRAME_UNEXPECTED"},
		"SETTINGS on a request":      {on(frame(4, nil)), "H3_FRAME_UNEXPECTED"},
		"HTTP/2's PRIORITY":          {on(frame(2, nil)), "H3_FRAME_UNEXPECTED"},
		"PUSH_PROMISE":               {on(head("GET", "/"), frame(5, []byte{0})), "H3_FRAME_UNEXPECTED"},
		"DATA behind a trailer":      {on(head("POST", "/"), frame(1, section("x", "y")), frame(0, []byte("x"))), "H3_FRAME_UNEXPECTED"},
		"a frame that is cut":        {on(head("POST", "/"), []byte{0, 9, 'x'}), "H3_FRAME_ERROR"},
		"a head that is cut":         {on([]byte{1, 9, 0, 0}), "H3_FRAME_ERROR"},
		"an index that isn't":        {on(frame(1, []byte{0, 0, 0xff, 0x40})), "QPACK_DECOMPRESSION_FAILED"},
		"a dynamic index":            {on(frame(1, []byte{0, 0, 0x80})), "QPACK_DECOMPRESSION_FAILED"},
		"a section that waits":       {on(frame(1, []byte{2, 0, 0x80})), "QPACK_DECOMPRESSION_FAILED"},
		"two SETTINGS":               {control(frame(4, nil)), "H3_FRAME_UNEXPECTED"},
		"DATA on control":            {control(frame(0, nil)), "H3_FRAME_UNEXPECTED"},
		"a long frame":               {control(quicvarint.Append(quicvarint.Append(nil, 0x21), 1<<40)), "H3_EXCESSIVE_LOAD"},
		"MAX_PUSH_ID that goes back": {control(append(frame(0xd, []byte{9}), frame(0xd, []byte{8})...)), "H3_ID_ERROR"},
		"CANCEL_PUSH":                {control(frame(3, []byte{1})), "H3_ID_ERROR"},
		"GOAWAY that goes forth":     {control(append(frame(7, []byte{8}), frame(7, []byte{12})...)), "H3_ID_ERROR"},
		"GOAWAY of more":             {control(frame(7, []byte{8, 8})), "H3_FRAME_ERROR"},
		"control that ends":          {func(h *hand) { _ = h.control.Close() }, "H3_CLOSED_CRITICAL_STREAM"},
		"control that is reset":      {func(h *hand) { _ = answer(h.send(true, head("GET", "/"))); h.control.CancelWrite(0x100) }, "H3_CLOSED_CRITICAL_STREAM"},
		"two control streams":        {plain(0), "H3_STREAM_CREATION_ERROR"},
		"a push stream":              {plain(1), "H3_STREAM_CREATION_ERROR"},
		"a table that grows":         {plain(2, 0x21), "QPACK_ENCODER_STREAM_ERROR"},
		"an insertion":               {plain(2, 0xc0, 1, 'x'), "QPACK_ENCODER_STREAM_ERROR"},
		"an acknowledgment":          {plain(3, 0x84), "QPACK_DECODER_STREAM_ERROR"},
		"an encoder that ends":       {func(h *hand) { _ = h.uni(2).Close() }, "H3_CLOSED_CRITICAL_STREAM"},
	} {
		h := connect(t, g)
		a.do(h)
		if got := h.ended(); got != "connection "+a.want {
			t.Errorf("%s: %q, want %q", name, got, a.want)
		}
	}
	for name, first := range map[string][]byte{
		"H3_MISSING_SETTINGS": frame(7, []byte{0}),
		"H3_SETTINGS_ERROR":   frame(4, []byte{2, 0}),
		"H3_FRAME_ERROR":      frame(4, []byte{6}),
	} {
		h := &hand{Conn: g.dial(), t: t}
		h.uni(0, first...)
		if got := h.ended(); got != "connection "+name {
			t.Errorf("%q, want %q", got, name)
		}
	}
}

// TestHarmless: what is nobody's fault doesn't end a connection.
func TestHarmless(t *testing.T) {
	h := connect(t, serve(t, "", "", echo))
	h.uni(2, 0x20)                    // a capacity of 0
	h.uni(3, 0x40, 0x7f, 0x81, 0x01)  // streams whose sections are needed no more
	h.uni(0x21, []byte("unknown")...) // a type that nobody knows
	_, _ = h.control.Write(bytes.Join([][]byte{
		frame(0x21, []byte("unknown")), frame(0xd, []byte{8}), frame(7, []byte{8}), frame(0xf0700, []byte("\x00u=1, i")),
	}, nil))
	if got := answer(h.send(true, frame(0x21, nil), head("GET", "/", "priority", "u=0"))); got != "200" {
		t.Error(got)
	}
}

// TestFloods: what costs the client less than the gateway ends the connection, and only
// that.
func TestFloods(t *testing.T) {
	g := serve(t, "", "", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				return // the connection; one whose content isn't read isn't watched
			}
			<-r.Context().Done()
		}
		echo(w, r)
	}))
	times := func(n int, f func() error) {
		for range n {
			if f() != nil {
				return
			}
		}
	}
	for name, flood := range map[string]func(h *hand){
		"requests that are given up": func(h *hand) {
			times(2000, func() error {
				s, err := h.OpenStreamSync(t.Context())
				if err == nil {
					_, err = s.Write(head("GET", "/wait"))
					s.CancelRead(0x10c)
					s.CancelWrite(0x10c)
				}
				return err
			})
		},
		"requests that are none": func(h *hand) {
			times(2000, func() error {
				s, err := h.OpenStreamSync(t.Context())
				if err == nil {
					_, err = s.Write(head("GET", "/", "connection", "x"))
					_ = s.Close()
					s.CancelRead(0x10c)
				}
				return err
			})
		},
		"empty DATA": func(h *hand) {
			s := h.send(false, head("POST", "/"))
			times(2000, func() error { _, err := s.Write(frame(0, nil)); return err })
		},
		"DATA of a byte": func(h *hand) {
			s := h.send(false, head("POST", "/"))
			many := bytes.Repeat(frame(0, []byte("x")), 1000)
			times(1000, func() error { _, err := s.Write(many); return err })
		},
		"frames of no type": func(h *hand) {
			s := h.send(false, head("POST", "/"))
			times(2000, func() error { _, err := s.Write(frame(0x21, nil)); return err })
		},
		"frames of no type on control": func(h *hand) {
			times(2000, func() error { _, err := h.control.Write(frame(0x21, nil)); return err })
		},
		"priorities": func(h *hand) {
			times(5000, func() error { _, err := h.control.Write(frame(0xf0700, []byte("\x00u=1"))); return err })
		},
		"instructions": func(h *hand) {
			s := h.uni(2)
			times(5000, func() error { _, err := s.Write([]byte{0x20}); return err })
		},
		"streams of no type": func(h *hand) {
			times(2000, func() error {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				s, err := h.OpenUniStreamSync(ctx)
				if err == nil {
					_, err = s.Write([]byte{0x21})
					_ = s.Close()
				}
				return err
			})
		},
	} {
		h := connect(t, g)
		flood(h)
		if got := h.ended(); got != "connection H3_EXCESSIVE_LOAD" {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := answer(connect(t, g).send(true, head("GET", "/"))); got != "200" {
		t.Errorf("another client gets %q", got)
	}
}

// TestManyStreams: a stream counts until its exchange has ended, whoever has given it up.
func TestManyStreams(t *testing.T) {
	release := make(chan struct{})
	g := serve(t, "", "", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			<-release
		}
		echo(w, r)
	}))
	h := connect(t, g)
	var open []*quic.Stream
	for range 128 {
		open = append(open, h.send(true, head("GET", "/wait")))
	}
	if _, err := h.OpenStream(); err == nil {
		t.Error("there are more than 128 streams")
	}
	close(release)
	for _, s := range open {
		if got := answer(s); got != "200" {
			t.Fatal(got)
		}
	}
	if got := answer(h.send(true, head("GET", "/"))); got != "200" {
		t.Error(got)
	}
}

// TestHeadInParts: a head may come in parts, and be longer than a buffer.
func TestHeadInParts(t *testing.T) {
	h := connect(t, serve(t, "", "", echo))
	all := append(head("POST", "/", "x", strings.Repeat("é", 9000), "content-length", "6000"), frame(0, bytes.Repeat([]byte("x"), 6000))...)
	s := h.send(false)
	for len(all) > 0 {
		n := min(len(all), 1000)
		if n == 1000 && len(all) > 20_000 {
			n = 1
		}
		if _, err := s.Write(all[:n]); err != nil {
			t.Fatal(err)
		}
		all = all[n:]
	}
	if got := answer(s); got != "200" {
		t.Error(got)
	}
}
