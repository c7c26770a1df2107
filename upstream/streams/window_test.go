package streams_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	ours "github.com/keystone-gateway/keystone-gateway/proxy/http2"
	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/upstream/streams"
)

// sender is a target that sends a response's content, each byte by its place, as the
// windows allow, and what is read of it.
type sender struct {
	t       *testing.T
	process memory.Process
	account memory.Account
	charge  memory.Charge
	stream  *streams.Stream
	far     net.Conn
	framer  *http2.Framer
	windows map[uint32]int // of the connection, and of the stream
	most    int            // the largest window of the stream that there was, with what nobody has read
	sent    int
	read    int
}

const (
	narrow = memory.MediumBuffer
	wide   = memory.LargeBuffer
)

// newSender begins a response of that length, which isn't told where it is below 0, to
// somebody who may hold limit; 0 is no limit.
func newSender(t *testing.T, limit int64, length int) *sender {
	t.Helper()
	s := &sender{t: t, windows: map[uint32]int{0: ours.FirstWindow, 1: narrow}}
	s.account.Open(&s.process)
	s.account.SetLimit(limit)
	s.charge.Begin(&s.account)
	c, far := connected(t, streams.Options{Most: 10, Idle: patience, WriteIdle: patience})
	t.Cleanup(c.Close)
	if !c.Reserve() {
		t.Fatal("no room")
	}
	s.stream = streams.Acquire(c, &s.charge)
	if err := s.stream.Begin([]byte{0x82, 0x86, 0x84}, nil, true, false); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(far, make([]byte, len(http2.ClientPreface))); err != nil {
		t.Fatal(err)
	}
	s.far, s.framer = far, http2.NewFramer(far, far)
	block := []byte{0x88}
	if length >= 0 {
		var out blockBuffer
		_ = hpack.NewEncoder(&out).WriteField(hpack.HeaderField{Name: "content-length", Value: fmt.Sprint(length)})
		block = append(block, out...)
	}
	s.try(s.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block, EndHeaders: true}))
	s.settle()
	if _, _, err := s.stream.ReadHead(); err != nil {
		t.Fatal(err)
	}
	return s
}

type blockBuffer []byte

func (b *blockBuffer) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}

func (s *sender) try(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// settle returns once the gateway has taken all that was sent, and counts what it allows.
func (s *sender) settle() {
	s.t.Helper()
	s.try(s.framer.WritePing(false, [8]byte{1}))
	for {
		f, err := s.framer.ReadFrame()
		s.try(err)
		switch f := f.(type) {
		case *http2.WindowUpdateFrame:
			s.windows[f.StreamID] += int(f.Increment)
		case *http2.RSTStreamFrame:
			s.t.Fatal(f)
		case *http2.PingFrame:
			if f.IsAck() {
				s.most = max(s.most, s.windows[1]+s.sent-s.read)
				return
			}
		}
	}
}

func at(i int) byte { return byte(i % 251) }

// send sends so many bytes, or what the windows allow.
func (s *sender) send(n int) {
	s.t.Helper()
	s.settle()
	for n = min(n, s.windows[0], s.windows[1]); n > 0; {
		frame := make([]byte, min(n, ours.MaxFrame))
		for i := range frame {
			frame[i] = at(s.sent + i)
		}
		s.try(s.framer.WriteData(1, false, frame))
		for id := range s.windows {
			s.windows[id] -= len(frame)
		}
		s.sent, n = s.sent+len(frame), n-len(frame)
	}
	s.settle()
}

// take reads so much at least, as there is, and waits for more where that was all.
func (s *sender) take(n int) {
	s.t.Helper()
	for goal := min(s.sent, s.read+n); s.read < goal; {
		s.try(s.next())
	}
	if s.read < s.sent {
		return
	}
	s.stream.SetReadExpiry(1)
	if _, err := s.stream.Next(); !errors.Is(err, socket.ErrTimeout) {
		s.t.Fatal(err)
	}
	s.stream.SetReadExpiry(0)
}

func (s *sender) next() error {
	s.t.Helper()
	span, err := s.stream.Next()
	for i, b := range span {
		if b != at(s.read+i) {
			s.t.Fatalf("byte %d is %d", s.read+i, b)
		}
	}
	s.read += len(span)
	return err
}

// end demands that nothing is left.
func (s *sender) end() {
	s.t.Helper()
	s.try(s.framer.WriteData(1, true, nil))
	s.settle()
	err := error(nil)
	for err == nil {
		err = s.next()
	}
	if !errors.Is(err, io.EOF) || s.read != s.sent {
		s.t.Errorf("at the end: %d of %d bytes, %v", s.read, s.sent, err)
	}
	s.stream.Release()
	if s.account.Used() != 0 || s.process.Used() != 0 {
		s.t.Errorf("%d and %d bytes are still charged", s.account.Used(), s.process.Used())
	}
}

// TestWindowFollowsReader: the window grows while what comes is read, and shrinks when it
// isn't; what may come is charged before.
func TestWindowFollowsReader(t *testing.T) {
	t.Parallel()
	unread := newSender(t, 0, -1)
	unread.send(1 << 20)
	if unread.sent != narrow || unread.account.Used() > 0 {
		t.Errorf("that nobody reads: %d bytes are taken, %d charged", unread.sent, unread.account.Used())
	}
	unread.take(1)
	unread.send(1 << 20)
	if unread.sent-unread.read > wide || unread.account.Used() != wide {
		t.Errorf("of which nobody reads more: %d bytes are taken, %d charged", unread.sent, unread.account.Used())
	}
	unread.end()

	s := newSender(t, 0, -1)
	for range 20 {
		s.send(1 << 20)
		s.take(1 << 20)
	}
	if s.most != ours.MostWindow || s.account.Used() != ours.MostWindow {
		t.Errorf("of a fast reader: the window is %d, charged are %d", s.most, s.account.Used())
	}
	s.send(1 << 20) // and then nobody reads
	if s.sent-s.read != ours.MostWindow || s.account.Used() != ours.MostWindow {
		t.Errorf("unread: %d of %d bytes are charged", s.account.Used(), s.sent-s.read)
	}
	for range 100 {
		s.send(1 << 20)
		s.take(16 << 10)
	}
	if unread := s.windows[1] + s.sent - s.read; unread > 2*wide || s.account.Used() > 2*wide {
		t.Errorf("of a slow reader: the window is %d, charged are %d", unread, s.account.Used())
	}
	s.end()
}

// TestWindowIsBounded: by what is to come, and by half of what the owner may hold.
func TestWindowIsBounded(t *testing.T) {
	t.Parallel()
	const length = 200_000
	s := newSender(t, 0, length)
	for s.sent < length {
		s.send(length - s.sent)
		for s.read < s.sent { // which waits for nothing, since all may have come
			s.try(s.next())
		}
		s.stream.SetReadExpiry(1)
		_ = s.next()
		s.stream.SetReadExpiry(0)
	}
	if s.most > length || s.account.Used() > length {
		t.Errorf("for content of %d bytes the window is %d, charged are %d", length, s.most, s.account.Used())
	}
	s.end()

	const limit = 400_000
	s = newSender(t, limit, -1)
	for range 20 {
		s.send(1 << 20)
		s.take(1 << 20)
	}
	if s.most <= wide || s.account.Used() > limit/2 {
		t.Errorf("of an owner who may hold %d: the window is %d, charged are %d", limit, s.most, s.account.Used())
	}
	var other memory.Charge
	other.Begin(&s.account)
	if !other.Acquire(limit / 2) {
		t.Error("there is nothing left for others")
	}
	for range 20 { // memory is short now
		s.send(1 << 20)
		s.take(1 << 20)
	}
	if s.windows[1] > wide || s.account.Used() != limit/2+wide {
		t.Errorf("where memory is short the window is %d, charged are %d", s.windows[1], s.account.Used())
	}
	other.End(&s.account, 0)
	s.end()

	s = newSender(t, wide/2, -1)
	for range 20 {
		s.send(1 << 20)
		s.take(1 << 20)
	}
	if s.most > narrow || s.account.Used() != 0 {
		t.Errorf("where there is no memory the window is %d, charged are %d", s.most, s.account.Used())
	}
	s.end()
}

// TestContentKeepsOrder: whatever is sent and read when, it is the same, also of a stream
// that is used again.
func TestContentKeepsOrder(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		random := rand.New(rand.NewPCG(seed, 1)) // #nosec G404 -- it is to be the same again
		s := newSender(t, 0, -1)
		for range 40 {
			s.send(random.IntN(1 << (3 + random.IntN(18))))
			s.take(random.IntN(1 << (3 + random.IntN(18))))
		}
		s.end()
	}
}
