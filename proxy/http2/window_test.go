package http2_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy/http2"
	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// sender sends a stream's content, each byte by its place, as the window allows.
type sender struct {
	t       *testing.T
	process memory.Process
	account memory.Account
	owner   memory.Charge
	intake  http2.Intake
	window  int
	most    int // the largest window there was, with what nobody has read
	sent    int
	read    int
}

func newSender(t *testing.T, limit, length int64) *sender {
	t.Helper()
	s := &sender{t: t, window: http2.FirstWindow}
	s.account.Open(&s.process)
	s.account.SetLimit(limit)
	s.owner.Begin(&s.account)
	s.intake.GiveBack = func(n uint32) { s.window += int(n) }
	s.intake.Begin(&s.account, &s.owner)
	s.intake.Expect(length)
	return s
}

func at(i int) byte { return byte(i % 251) }

// send sends so many bytes, or what the window allows.
func (s *sender) send(n int) {
	s.t.Helper()
	s.most = max(s.most, s.window+s.sent-s.read)
	for n = min(n, s.window); n > 0; {
		frame := make([]byte, min(n, http2.MaxFrame))
		for i := range frame {
			frame[i] = at(s.sent + i)
		}
		if err := s.intake.Put(frame, len(frame)); err != nil {
			s.t.Fatal(err)
		}
		s.sent, s.window, n = s.sent+len(frame), s.window-len(frame), n-len(frame)
	}
}

// take reads so much at least, as there is, and waits for more where that was all.
func (s *sender) take(n int, into []byte) {
	s.t.Helper()
	for goal := min(s.sent, s.read+n); s.read < goal; {
		var span []byte
		var err error
		if into == nil {
			span, err = s.intake.Next()
		} else {
			n, err = s.intake.ReadInto(into)
			span = into[:n]
		}
		if err != nil {
			s.t.Fatal(err)
		}
		for i, b := range span {
			if b != at(s.read+i) {
				s.t.Fatalf("byte %d is %d", s.read+i, b)
			}
		}
		s.read += len(span)
	}
	if s.read < s.sent || s.intake.Done() {
		return
	}
	s.intake.Expire(1)
	if _, err := s.intake.Next(); !errors.Is(err, socket.ErrTimeout) {
		s.t.Fatal(err)
	}
	s.intake.Expire(0)
}

// end demands that nothing is left.
func (s *sender) end() {
	s.t.Helper()
	if err := s.intake.End(nil); err != nil {
		s.t.Fatal(err)
	}
	s.take(s.sent, nil)
	if _, err := s.intake.Next(); !errors.Is(err, io.EOF) {
		s.t.Errorf("at the end: %v", err)
	}
	var idle memory.Account
	idle.Open(&s.process)
	s.intake.Reset(&idle)
	if s.account.Used() != 0 || s.process.Used() != 0 {
		s.t.Errorf("%d and %d bytes are still charged", s.account.Used(), s.process.Used())
	}
}

// TestWindowFollowsReader: the window grows while what comes is taken, and shrinks when
// it isn't; what may come is charged before.
func TestWindowFollowsReader(t *testing.T) {
	t.Parallel()
	unread := newSender(t, 0, -1)
	unread.send(1 << 20)
	if unread.sent != http2.FirstWindow || unread.account.Used() > memory.LargeBuffer {
		t.Errorf("that nobody reads: %d bytes are taken, %d charged", unread.sent, unread.account.Used())
	}
	unread.end()

	s := newSender(t, 0, -1)
	for range 20 {
		s.send(1 << 20)
		s.take(1<<20, nil)
	}
	if s.most != http2.MostWindow || s.account.Used() < http2.MostWindow-http2.FirstWindow {
		t.Errorf("of a fast reader: the window is %d, charged are %d", s.most, s.account.Used())
	}
	s.send(1 << 20) // and then nobody reads
	if charged := s.account.Used(); charged > http2.MostWindow+2*memory.LargeBuffer || charged < http2.MostWindow {
		t.Errorf("unread: %d bytes are charged", charged)
	}
	for range 100 {
		s.send(1 << 20)
		s.take(16<<10, nil)
	}
	if unread := s.window + s.sent - s.read; unread > 2*http2.FirstWindow+2 || s.account.Used() > 4*memory.LargeBuffer {
		t.Errorf("of a slow reader: the window is %d, charged are %d", unread, s.account.Used())
	}
	s.end()
}

// TestWindowIsCharged: where others have taken the memory meanwhile, no more is given back
// than what is charged.
func TestWindowIsCharged(t *testing.T) {
	t.Parallel()
	const limit = 4 << 20
	s := newSender(t, limit, -1)
	for range 20 {
		s.send(1 << 20)
		s.take(1<<20, nil)
	}
	s.send(1 << 20)
	others := int64(0)
	for s.read+http2.MostWindow/4 < s.sent {
		more := limit/2 - s.account.Used() - 20<<10
		s.account.Hold(more)
		others += more
		s.take(1, nil)
		if over := s.window + s.sent - s.read - http2.FirstWindow - int(s.intake.Held()); over > 0 {
			t.Fatalf("with %d bytes unread the client may send %d, which is %d beyond what is charged", s.sent-s.read, s.window, over)
		}
	}
	s.account.Hold(-others)
	s.end()
}

// TestWindowIsBounded: by what is to come, and by half of what the owner may hold.
func TestWindowIsBounded(t *testing.T) {
	t.Parallel()
	const length = 200_000
	s := newSender(t, 0, length)
	for range 20 {
		s.send(min(1<<20, length-s.sent))
		s.take(length, nil)
	}
	if s.most > length {
		t.Errorf("for content of %d bytes the window is %d", length, s.most)
	}
	s.end()

	const limit = 400_000
	s = newSender(t, limit, -1)
	for range 20 {
		s.send(1 << 20)
		s.take(1<<20, nil)
	}
	if s.most <= http2.FirstWindow || s.account.Used() > limit/2+2*memory.LargeBuffer {
		t.Errorf("of an owner who may hold %d: the window is %d, charged are %d", limit, s.most, s.account.Used())
	}
	var other memory.Charge
	other.Begin(&s.account)
	if !other.Acquire(limit / 2) {
		t.Error("there is nothing left for others")
	}
	for range 20 { // memory is short now
		s.send(1 << 20)
		s.take(1<<20, nil)
	}
	if s.window > http2.FirstWindow {
		t.Errorf("where memory is short the window is %d", s.window)
	}
	other.End(&s.account, 0)
	s.end()
}

// TestIntakeKeepsOrder: whatever is sent and read when, it is the same.
func TestIntakeKeepsOrder(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		random := rand.New(rand.NewPCG(seed, 1)) // #nosec G404 -- it is to be the same again
		s := newSender(t, 0, -1)
		for range 40 {
			s.send(random.IntN(1 << (3 + random.IntN(18))))
			var into []byte
			if random.IntN(2) == 0 {
				into = make([]byte, 1+random.IntN(100_000))
			}
			s.take(random.IntN(1<<(3+random.IntN(18))), into)
		}
		s.end()
	}
}
