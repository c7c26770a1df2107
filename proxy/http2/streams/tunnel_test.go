package streams_test

import (
	"bufio"
	"io"
	"net/http"
	"testing"

	"golang.org/x/net/http2"

	wire "github.com/keystone-gateway/keystone-gateway/proxy/http2"
)

// TestExtendedConnect: a WebSocket over a stream reaches a target as HTTP/1's upgrade,
// and bytes flow both ways until both sides have ended.
func TestExtendedConnect(t *testing.T) {
	t.Parallel()
	server := serve(t, "", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := r.Header.Get("Sec-WebSocket-Key")
		if r.Method != http.MethodGet || r.Header.Get("Upgrade") != "websocket" || r.Header.Get("Sec-WebSocket-Version") != "13" || len(key) != 24 {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if r.URL.Path == "/fine" {
			w.WriteHeader(http.StatusOK)
			return
		}
		if r.URL.Path == "/refused" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		accept := wire.AcceptOf(key)
		if r.URL.Path == "/wrong" {
			accept = "x"
		}
		conn, buffered, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: "+accept+"\r\nX-Own: y\r\n\r\n")
		in := bufio.NewReader(buffered)
		for {
			line, err := in.ReadString('\n')
			if _, werr := io.WriteString(conn, "<"+line+">"); err != nil || werr != nil {
				return
			}
		}
	}))
	p := connect(t, server)
	open := func(stream uint32, path string) {
		block := p.block(":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":authority", "a.example", ":path", path, "sec-websocket-version", "13")
		p.try(p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block, EndHeaders: true}))
	}
	open(1, "/chat")
	r := p.read(false, func(r *reading) bool { return r.answers[1] != nil && r.answers[1].status != "" })
	a := r.answers[1]
	if a == nil || a.status != "200" || a.header["x-own"] != "y" || a.header["sec-websocket-accept"] != "" || a.header["upgrade"] != "" || a.trailer != nil {
		t.Fatalf("got %+v, %v", a, r.err)
	}
	p.try(p.framer.WriteData(1, false, []byte("hel")))
	p.try(p.framer.WriteData(1, false, []byte("lo\n")))
	p.read(false, func(r *reading) bool { return r.answers[1] != nil && string(r.answers[1].body) == "<hello\n>" })
	p.try(p.framer.WriteData(1, true, []byte("end")))
	r = p.read(false, func(r *reading) bool { return r.ended(1) })
	if a := r.answers[1]; a == nil || a.isReset || string(a.body) != "<end>" {
		t.Errorf("at the end: %+v, %v", a, r.err)
	}
	open(3, "/refused")
	open(5, "/wrong")
	open(7, "/fine")
	r = p.read(false, func(r *reading) bool { return r.ended(3) && r.ended(5) && r.ended(7) })
	if a := r.answers[3]; a.status != "403" {
		t.Errorf("refused: %+v", a)
	}
	for _, stream := range []uint32{5, 7} {
		if a := r.answers[stream]; a.status != "502" || a.header["x-gateway-error"] != "upstream_bad_response" {
			t.Errorf("a target that didn't mean it: %+v", a)
		}
	}
}
