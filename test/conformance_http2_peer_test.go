package test

import (
	"bytes"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// peerHTTP2 is a client that writes frames by hand. One goroutine has it.
type peerHTTP2 struct {
	t       *testing.T
	conn    net.Conn
	framer  *http2.Framer
	block   bytes.Buffer
	encode  *hpack.Encoder
	window  int64 // of the connection, for content
	initial int64 // of each stream
	streams map[uint32]*streamHTTP2
	end     error // of the connection; nil is none
	leaves  bool  // the gateway may end it
}

// streamHTTP2 is what has come on a stream.
type streamHTTP2 struct {
	response         // the final one; its status is 0 before that
	early    []field // of interim responses
	interim  []int
	window   int64
	reset    bool
	code     http2.ErrCode
}

func dialHTTP2(t *testing.T, address string) *peerHTTP2 {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return peerOn(t, conn)
}

// peerOn is dialHTTP2 with a connection that there is.
func peerOn(t *testing.T, conn net.Conn) *peerHTTP2 {
	t.Helper()
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	const initial = 65535 // RFC 9113 §6.9.2
	p := &peerHTTP2{t: t, conn: conn, framer: http2.NewFramer(conn, conn), window: initial, initial: initial, streams: map[uint32]*streamHTTP2{}}
	p.framer.AllowIllegalWrites = true
	p.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	p.encode = hpack.NewEncoder(&p.block)
	_, err := io.WriteString(conn, http2.ClientPreface)
	p.try(err)
	p.try(p.framer.WriteSettings())
	return p
}

func (p *peerHTTP2) try(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *peerHTTP2) stream(number uint32) *streamHTTP2 {
	if p.streams[number] == nil {
		p.streams[number] = &streamHTTP2{window: p.initial}
	}
	return p.streams[number]
}

// send sends a request as a whole.
func (p *peerHTTP2) send(stream uint32, f *http2Request) {
	p.t.Helper()
	p.head(stream, f, f.body == "")
	if f.body != "" {
		p.data(stream, f.body, true)
	}
}

// head sends that of a request.
func (p *peerHTTP2) head(stream uint32, f *http2Request, last bool) {
	p.t.Helper()
	fields := []hpack.HeaderField{{Name: ":method", Value: f.method}, {Name: ":scheme", Value: "http"}, {Name: ":authority", Value: f.authority}, {Name: ":path", Value: f.target}}
	p.fields(stream, append(fields, f.fields...), last)
}

// fields sends a block of them, with names in lower case.
func (p *peerHTTP2) fields(stream uint32, fields []hpack.HeaderField, last bool) {
	p.t.Helper()
	p.block.Reset()
	for _, h := range fields {
		_ = p.encode.WriteField(hpack.HeaderField{Name: strings.ToLower(h.Name), Value: h.Value})
	}
	const most = 16 << 10
	block := p.block.Bytes()
	first := block[:min(most, len(block))]
	block = block[len(first):]
	p.try(p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: first, EndHeaders: len(block) == 0, EndStream: last}))
	for len(block) > 0 {
		part := block[:min(most, len(block))]
		block = block[len(part):]
		p.try(p.framer.WriteContinuation(stream, len(block) == 0, part))
	}
}

// data sends content as far as the gateway's windows allow, and reads while they don't;
// it is false if the stream has ended before all was sent.
func (p *peerHTTP2) data(stream uint32, content string, last bool) bool {
	p.t.Helper()
	s := p.stream(stream)
	for {
		for len(content) > 0 && min(p.window, s.window) == 0 && p.end == nil && !s.ended() {
			p.next()
		}
		if p.end != nil || s.ended() {
			return false
		}
		part := content[:min(int64(len(content)), p.window, s.window, 16<<10)]
		content = content[len(part):]
		p.window, s.window = p.window-int64(len(part)), s.window-int64(len(part))
		p.try(p.framer.WriteData(stream, last && content == "", []byte(part)))
		if content == "" {
			return true
		}
	}
}

func (s *streamHTTP2) ended() bool { return s.complete || s.reset }

// whole is the response if it has come to its end, and nil if not.
func (s *streamHTTP2) whole() *response {
	if !s.complete {
		return nil
	}
	r := s.response
	r.interim, r.early = s.interim, s.early
	return &r
}

// outcome words what has come as that of HTTP/1 does.
func (s *streamHTTP2) outcome() string {
	switch {
	case s.complete:
		return strconv.Itoa(s.status)
	case s.status > 0:
		return "cut"
	}
	return "none"
}

// answer reads until a stream ends.
func (p *peerHTTP2) answer(stream uint32) *streamHTTP2 {
	p.t.Helper()
	s := p.stream(stream)
	for !s.ended() && p.end == nil {
		p.next()
	}
	return s
}

// next reads a frame, and gives windows back.
func (p *peerHTTP2) next() {
	p.t.Helper()
	f, err := p.framer.ReadFrame()
	if err != nil {
		if p.end = err; !p.leaves {
			p.t.Fatal(err)
		}
		return
	}
	switch f := f.(type) {
	case *http2.SettingsFrame:
		p.settings(f)
	case *http2.PingFrame:
		if !f.IsAck() {
			p.try(p.framer.WritePing(true, f.Data))
		}
	case *http2.GoAwayFrame:
		if !p.leaves {
			p.t.Errorf("the connection ends: %s, %s", f.ErrCode, f.DebugData())
			p.end = io.EOF
		}
	case *http2.WindowUpdateFrame:
		if f.StreamID == 0 {
			p.window += int64(f.Increment)
		} else {
			p.stream(f.StreamID).window += int64(f.Increment)
		}
	case *http2.RSTStreamFrame:
		if s := p.stream(f.StreamID); !s.reset {
			s.reset, s.code = true, f.ErrCode
		}
	case *http2.MetaHeadersFrame:
		p.stream(f.StreamID).take(p.t, f)
	case *http2.DataFrame:
		s := p.stream(f.StreamID)
		s.body = append(s.body, f.Data()...)
		s.complete = f.StreamEnded()
		if f.Length > 0 && !s.complete {
			p.try(p.framer.WriteWindowUpdate(f.StreamID, f.Length))
		}
		if f.Length > 0 {
			p.try(p.framer.WriteWindowUpdate(0, f.Length))
		}
	}
}

func (p *peerHTTP2) settings(f *http2.SettingsFrame) {
	if f.IsAck() {
		return
	}
	if initial, ok := f.Value(http2.SettingInitialWindowSize); ok {
		for _, s := range p.streams {
			s.window += int64(initial) - p.initial
		}
		p.initial = int64(initial)
	}
	p.try(p.framer.WriteSettingsAck())
}

// take takes a head or a trailer section.
func (s *streamHTTP2) take(t *testing.T, f *http2.MetaHeadersFrame) {
	var fields []field
	for _, h := range f.RegularFields() {
		fields = append(fields, field{name: h.Name, value: h.Value, line: h.Name + ": " + h.Value})
	}
	status, _ := strconv.Atoi(f.PseudoValue("status"))
	switch {
	case s.status > 0 && (status > 0 || !f.StreamEnded()):
		t.Errorf("a second head on stream %d: %v", f.StreamID, f.Fields)
	case s.status > 0:
		s.trailers = fields
	case status >= 100 && status < 200:
		s.interim, s.early = append(s.interim, status), append(s.early, fields...)
	default:
		s.status, s.version, s.fields = status, "HTTP/2.0", fields
	}
	s.complete = f.StreamEnded()
}
