package proxy_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// The windows of a connection of HTTP/2, in bytes.
const (
	ourWindow   = 65535   // what the gateway may send: what RFC 9113 §6.9.2 begins with
	theirWindow = 1 << 20 // what it lets clients send
)

// stormPlan is one request. All that is sent and answered names its number.
type stormPlan struct {
	number   uint64
	tenant   string
	up, down int
	sized    bool // Content-Length says how much is sent
	kind     stormKind
	at       int // of which byte, up or down, it is given up
	piece    int // how much content a frame has
}

type stormKind int

const (
	wholeRequest stormKind = iota
	cutByTarget            // in the response
	earlyAnswer            // before the content has come
	resetAtOnce
	resetSending
	resetReading
	noRequest // since it breaks RFC 9113 §8.2; its content comes all the same
	kinds
)

func (k stormKind) givenUp() bool { return k >= resetAtOnce }

func newStormPlan(number uint64, random *rand.Rand) *stormPlan {
	p := &stormPlan{number: number, tenant: []string{"one", "two"}[random.IntN(2)], sized: random.IntN(2) == 0, piece: 100 + random.IntN(10_000)}
	p.up, p.down = 8*random.IntN(1<<random.IntN(14)), 8*random.IntN(1<<random.IntN(14))
	if kind := random.IntN(40); kind < 7 { // the more are whole
		p.kind = stormKind(kind)
	}
	if most := map[stormKind]int{resetSending: p.up, resetReading: p.down}[p.kind]; most > 0 {
		p.at = random.IntN(most)
	}
	return p
}

func (p *stormPlan) path() string {
	path := fmt.Sprintf("/%s/?n=%d&down=%d", p.tenant, p.number, p.down)
	return path + map[stormKind]string{cutByTarget: "&cut", earlyAnswer: "&early"}[p.kind]
}

// stormConn is a connection of HTTP/2 on which frames are written by hand, so that its
// windows can be looked at.
type stormConn struct {
	t       *testing.T
	busy    *atomic.Uint64 // the storm's
	conn    net.Conn
	places  chan struct{} // of streams at once
	readers sync.WaitGroup

	mu      sync.Mutex
	change  *sync.Cond
	framer  *http2.Framer
	block   bytes.Buffer
	encode  *hpack.Encoder
	next    uint32
	window  int64
	initial int64
	due     uint32 // of the connection's window, to be given back
	streams map[uint32]*stormStream
	pongs   int
	resets  int // that the gateway counts
	err     error
}

type stormStream struct {
	*stormPlan
	window int64
	got    int
	status string
	named  string
	code   string // of the gateway's error
	ended  bool
	reset  bool
	over   bool // nobody waits for it
}

func dialStorm(t *testing.T, address string, busy *atomic.Uint64) (*stormConn, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	c := &stormConn{t: t, busy: busy, conn: conn, places: make(chan struct{}, 60), framer: http2.NewFramer(conn, conn), next: 1, window: ourWindow, initial: ourWindow, streams: map[uint32]*stormStream{}}
	_ = conn.SetDeadline(time.Now().Add(10 * time.Minute))
	c.change = sync.NewCond(&c.mu)
	c.encode = hpack.NewEncoder(&c.block)
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if _, err = io.WriteString(conn, http2.ClientPreface); err == nil {
		err = c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
	}
	c.readers.Go(c.read)
	return c, err
}

func (c *stormConn) close() {
	_ = c.conn.Close()
	c.readers.Wait()
}

func (c *stormConn) failed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err != nil
}

func (c *stormConn) read() {
	for {
		f, err := c.framer.ReadFrame()
		c.mu.Lock()
		if err != nil {
			c.err = err
		} else {
			c.take(f)
		}
		c.change.Broadcast()
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (c *stormConn) take(f http2.Frame) {
	s := c.streams[f.Header().StreamID]
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if initial, ok := f.Value(http2.SettingInitialWindowSize); ok && !f.IsAck() {
			for _, s := range c.streams {
				s.window += int64(initial) - c.initial
			}
			c.initial = int64(initial)
		}
		if !f.IsAck() {
			_ = c.framer.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if f.IsAck() {
			c.pongs++
		} else {
			_ = c.framer.WritePing(true, f.Data)
		}
	case *http2.GoAwayFrame:
		c.t.Errorf("a connection is ended: %s, %s", f.ErrCode, f.DebugData())
	case *http2.WindowUpdateFrame:
		if f.StreamID == 0 {
			c.window += int64(f.Increment)
		} else if s != nil {
			s.window += int64(f.Increment)
		}
	case *http2.RSTStreamFrame:
		s.reset = true
	case *http2.MetaHeadersFrame:
		if status := f.PseudoValue("status"); status >= "200" {
			s.status = status
			for _, h := range f.RegularFields() {
				switch h.Name {
				case "x-number":
					s.named = h.Value
				case "x-gateway-error":
					s.code = h.Value
				}
			}
		}
		s.ended = f.StreamEnded()
	case *http2.DataFrame:
		s.take(c.t, f)
		if c.due += f.Length; c.due > ourWindow/2 {
			_ = c.framer.WriteWindowUpdate(0, c.due)
			c.due = 0
		}
	}
}

// take judges content, also of a stream that was given up.
func (s *stormStream) take(t *testing.T, f *http2.DataFrame) {
	if s.status == "200" {
		var each [8]byte
		binary.BigEndian.PutUint64(each[:], s.number*stormFactor)
		for i, b := range f.Data() {
			if b != each[(s.got+i)%8] {
				t.Errorf("request %d has got something of another", s.number)
				break
			}
		}
	}
	s.got += len(f.Data())
	s.ended = f.StreamEnded()
}

// stormFactor makes numbers into bytes that have nothing in common.
const stormFactor = 0x9e3779b97f4a7c15

// run makes a request.
func (c *stormConn) run(p *stormPlan) {
	c.mu.Lock()
	defer c.mu.Unlock()
	number := c.next
	c.next += 2
	s := &stormStream{stormPlan: p, window: c.initial}
	c.streams[number] = s
	if p.kind.givenUp() || p.kind == cutByTarget {
		c.resets++
	}
	c.head(number, s)
	if p.kind == resetAtOnce {
		_ = c.framer.WriteRSTStream(number, http2.ErrCodeCancel)
		s.over = true
		return
	}
	if p.kind != noRequest && !c.upload(number, s) {
		return
	}
	for !s.ended && !s.reset && c.err == nil && (p.kind != resetReading || s.got < p.at) {
		c.change.Wait()
	}
	if n := min(p.up, int(c.window), ourWindow); p.kind == noRequest && n > 0 { // as if it had been on its way
		c.window -= int64(n)
		for content := own(p.number, n); len(content) > 0; content = content[min(len(content), p.piece):] {
			_ = c.framer.WriteData(number, false, content[:min(len(content), p.piece)])
		}
	}
	if s.over = true; p.kind == resetReading && !s.ended && !s.reset {
		_ = c.framer.WriteRSTStream(number, http2.ErrCodeCancel)
		return
	}
	c.judge(s)
}

func (c *stormConn) head(number uint32, s *stormStream) {
	c.block.Reset()
	fields := []hpack.HeaderField{{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "http"}, {Name: ":authority", Value: "a.example"}, {Name: ":path", Value: s.path()}}
	if s.sized {
		fields = append(fields, hpack.HeaderField{Name: "content-length", Value: strconv.Itoa(s.up)})
	}
	if s.kind == noRequest {
		fields = append(fields, hpack.HeaderField{Name: "Upper", Value: "case"})
	}
	for _, f := range fields {
		_ = c.encode.WriteField(f)
	}
	_ = c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: number, BlockFragment: c.block.Bytes(), EndHeaders: true})
}

// upload sends content as windows allow; it is false if the stream was given up.
func (c *stormConn) upload(number uint32, s *stormStream) bool {
	content := own(s.number, s.up)
	for sent := 0; ; {
		for min(c.window, s.window) == 0 && !s.ended && !s.reset && c.err == nil {
			c.change.Wait()
		}
		if s.ended || s.reset || c.err != nil {
			return true // there is an answer, or none
		}
		n := int(min(c.window, s.window, int64(s.up-sent), int64(s.piece)))
		if s.kind == resetSending && sent+n > s.at {
			_ = c.framer.WriteRSTStream(number, http2.ErrCodeCancel)
			s.over = true
			return false
		}
		c.window, s.window = c.window-int64(n), s.window-int64(n)
		_ = c.framer.WriteData(number, sent+n == s.up, content[sent:sent+n])
		if sent += n; sent == s.up {
			return true
		}
	}
}

// judge says whether a request that was not given up has got what is its own.
func (c *stormConn) judge(s *stormStream) {
	switch whole := s.ended && s.status == "200" && s.got == s.down; {
	case c.err != nil: // the connection was closed in the middle
	case busy[s.code]:
		c.busy.Add(1)
	case s.kind == noRequest:
		if s.status != "400" && !s.reset {
			c.t.Errorf("request %d is none, and got %s", s.number, s.status)
		}
	case s.kind == cutByTarget:
		if whole && s.down > 8 {
			c.t.Errorf("request %d was cut, and looks complete", s.number)
		}
	case s.kind == wholeRequest && (!whole || s.named != strconv.FormatUint(s.number, 10)):
		c.t.Errorf("request %d of %d bytes: %s %s of %s, %d bytes of %d, reset %v", s.number, s.up, s.status, s.code, s.named, s.got, s.down, s.reset)
	}
}

// settle waits until the gateway has taken all, and says how much may be sent then.
func (c *stormConn) settle() (window int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.framer.WritePing(false, [8]byte{})
	for pongs := c.pongs; c.pongs == pongs && c.err == nil; {
		c.change.Wait()
	}
	return c.window
}
