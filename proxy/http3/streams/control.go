package streams

import (
	"context"
	"io"

	"github.com/quic-go/quic-go"

	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/http2"
	"github.com/keystone-gateway/keystone-gateway/proxy/http3"
	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
)

// DecoderIs is the last of the streams of one direction of which a client has one each.
const DecoderIs = http3.DecoderStream

// takeUni accepts the client's streams of one direction, each of which is read by a
// goroutine of its own.
func (c *Conn) takeUni() {
	for {
		incoming, err := c.o.Conn.AcceptUniStream(context.Background())
		if err != nil {
			return
		}
		c.wait.Go(func() { c.guard(func() { c.readUni(incoming) }) })
	}
}

// readUni reads a stream of one direction to its end.
func (c *Conn) readUni(incoming *quic.ReceiveStream) {
	in := plain{from: incoming}
	defer incoming.ReleaseStreamCredit()
	t, err := in.integer()
	if err != nil {
		return // it has ended before it began
	}
	switch kind := http3.StreamType(t); {
	case kind == http3.PushStream:
		err = &http3.ConnError{Code: http3.StreamCreationError, Why: "clients don't push"}
	case kind > DecoderIs:
		incoming.CancelRead(quic.StreamErrorCode(http3.StreamCreationError)) // of no known type: to be ignored (RFC 9114 §6.2)
		err = asError(c.calm(Others))
	case !c.isFirst(kind):
		err = &http3.ConnError{Code: http3.StreamCreationError, Why: "there are two streams of a type of which there is one"}
	case kind == http3.ControlStream:
		err = c.readControl(&in)
	default:
		err = c.readTable(&in, kind)
	}
	if wrong, ok := err.(*http3.ConnError); ok { //nolint:errorlint // it isn't wrapped
		c.fail(wrong)
	}
}

// isFirst notes a stream of a type of which there is one.
func (c *Conn) isFirst(kind http3.StreamType) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := !c.had[kind]
	c.had[kind] = true
	return first
}

var errClosed = &http3.ConnError{Code: http3.ClosedCriticalStream, Why: "a stream has ended that must not"}

// readControl reads frames of the control stream.
func (c *Conn) readControl(in *plain) error {
	for first := true; ; first = false {
		t, length, err := in.frame()
		if err != nil {
			return closedIf(err)
		}
		if first != (t == http3.SettingsFrame) {
			if first {
				return &http3.ConnError{Code: http3.MissingSettings, Why: "the first frame is not SETTINGS"}
			}
			return &http3.ConnError{Code: http3.FrameUnexpected, Why: "there are two SETTINGS"}
		}
		if err := c.controlFrame(in, t, length); err != nil {
			return closedIf(err)
		}
	}
}

// closedIf is what the end of a stream means that must not end; how the connection has
// ended is no fault.
func closedIf(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return errClosed
	}
	return err
}

func (c *Conn) controlFrame(in *plain, t http3.FrameType, length uint64) error {
	switch {
	case t == http3.Data, t == http3.Headers, t == http3.PushPromise, t.IsHTTP2s():
		return &http3.ConnError{Code: http3.FrameUnexpected, Why: "a frame has come where it must not"}
	case t != http3.SettingsFrame && t != http3.GoAway && t != http3.MaxPushID && t != http3.CancelPush && t != http3.PriorityUpdate && t != http3.PriorityOfPush:
		if length > maxUnknown {
			return &http3.ConnError{Code: http3.ExcessiveLoad, Why: "a frame of an unknown type is too long"}
		}
		if err := c.calm(Others); err != nil {
			return err
		}
		return in.skip(length)
	case length > maxControl:
		return &http3.ConnError{Code: http3.ExcessiveLoad, Why: "a frame of a control stream is too long"}
	}
	p, err := in.payload(int(length))
	if err != nil {
		return err
	}
	if t == http3.SettingsFrame {
		return http3.CheckSettings(p)
	}
	if err := c.calm(Priorities); err != nil { // which clients have reason to send
		return err
	}
	value, n := http3.ParseInteger(p)
	if n == 0 || t != http3.PriorityUpdate && t != http3.PriorityOfPush && n != len(p) {
		return &http3.ConnError{Code: http3.FrameError, Why: "a frame of a control stream is not as long as what it says"}
	}
	return c.number(t, value, p[n:])
}

// number takes a frame that is about a number.
func (c *Conn) number(t http3.FrameType, value uint64, rest []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch t { //nolint:exhaustive // the others have been dealt with
	case http3.GoAway: // of pushes, of which there are none
		if value > c.retracted {
			return &http3.ConnError{Code: http3.IDError, Why: "GOAWAY takes back what another one has said"}
		}
		c.retracted = value
	case http3.MaxPushID:
		if value < c.pushes {
			return &http3.ConnError{Code: http3.IDError, Why: "MAX_PUSH_ID takes back what another one has said"}
		}
		c.pushes = value
	case http3.CancelPush, http3.PriorityOfPush:
		return &http3.ConnError{Code: http3.IDError, Why: "there are no pushes"}
	case http3.PriorityUpdate:
		if value&3 != 0 {
			return &http3.ConnError{Code: http3.IDError, Why: "PRIORITY_UPDATE is for a stream that has no request"}
		}
		if s := c.streams[value]; s != nil {
			s.prioritize(rest)
		}
	}
	return nil
}

// prioritize says how urgent the response is (RFC 9218).
func (s *stream) prioritize(value []byte) {
	urgency, incremental := http2.PriorityOf(value)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.quic != nil {
		s.quic.SetPriority(int8(urgency), incremental) //nolint:gosec // G115: it is below 8
	}
}

// readTable reads what a client says of dynamic tables. Its encoder has none to put
// anything into, and its decoder gets no section that it could acknowledge: it may say
// that it needs a stream's no more (RFC 9204 §4.4.2).
func (c *Conn) readTable(in *plain, kind http3.StreamType) error {
	for {
		first, err := in.byte()
		if err != nil {
			return closedIf(err)
		}
		wrong := http3.EncoderStreamError
		prefix := 5 // a capacity, of which 0 is allowed (§4.3.1)
		ok := first&0xe0 == 0x20
		if kind == http3.DecoderStream {
			wrong, prefix = http3.DecoderStreamError, 6
			ok = first&0xc0 == 0x40
		}
		if !ok {
			return &http3.ConnError{Code: wrong, Why: "there is no dynamic table"}
		}
		value, err := in.rest(first, prefix)
		if err != nil {
			return closedIf(err)
		}
		if kind == http3.EncoderStream && value != 0 {
			return &http3.ConnError{Code: wrong, Why: "the dynamic table has no room"}
		}
		if err := c.calm(Instructions); err != nil {
			return err
		}
	}
}

// plain reads a stream of one direction.
type plain struct {
	from *quic.ReceiveStream
	buf  [64]byte // most say little, and then wait for ever
	r, w int
}

func (in *plain) byte() (byte, error) {
	if in.r == in.w {
		n, err := in.from.Read(in.buf[:])
		if n == 0 {
			if err == nil || err == io.EOF {
				return 0, io.EOF
			}
			if reset, ok := err.(*quic.StreamError); ok && reset.Remote { //nolint:errorlint // it isn't wrapped
				return 0, io.EOF
			}
			return 0, exchange.ErrClientGone
		}
		in.r, in.w = 0, n
	}
	b := in.buf[in.r]
	in.r++
	return b, nil
}

func (in *plain) integer() (uint64, error) {
	first, err := in.byte()
	if err != nil {
		return 0, err
	}
	value := uint64(first & 0x3f)
	for range 1<<(first>>6) - 1 {
		next, err := in.byte()
		if err != nil {
			return 0, err
		}
		value = value<<8 | uint64(next)
	}
	return value, nil
}

func (in *plain) frame() (t http3.FrameType, length uint64, err error) {
	kind, err := in.integer()
	if err != nil {
		return 0, 0, err
	}
	length, err = in.integer()
	return http3.FrameType(kind), length, err
}

// rest reads an integer of which the first byte is there (RFC 7541 §5.1).
func (in *plain) rest(first byte, prefix int) (uint64, error) {
	most := uint64(1)<<prefix - 1
	n := uint64(first) & most
	if n < most {
		return n, nil
	}
	for shift := 0; ; shift += 7 {
		b, err := in.byte()
		if err != nil {
			return 0, err
		}
		if shift > 56 {
			return 0, &http3.ConnError{Code: http3.GeneralProtocolError, Why: "an integer is too long"}
		}
		n += uint64(b&0x7f) << shift
		if b&0x80 == 0 {
			return n, nil
		}
	}
}

func (in *plain) payload(length int) ([]byte, error) {
	p := make([]byte, 0, min(length, memory.SmallBuffer))
	for len(p) < length {
		b, err := in.byte()
		if err != nil {
			return nil, err
		}
		p = append(p, b)
	}
	return p, nil
}

func (in *plain) skip(length uint64) error {
	for ; length > 0; length-- {
		if _, err := in.byte(); err != nil {
			return err
		}
	}
	return nil
}
