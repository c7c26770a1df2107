package streams

import (
	"bytes"
	"fmt"
	"math"

	"github.com/keystone-gateway/keystone-gateway/proxy/http2"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// incoming is what the reading goroutine keeps between frames.
type incoming struct {
	reader  http2.Reader
	decoder http2.Decoder
	block   []byte      // of a header section that isn't complete
	head    http2.Frame // the HEADERS that began it; Stream 0 where there is none
	waste   http2.Block // what belongs to no stream any more
	left    int         // of the connection's window
}

func (c *Conn) read() error {
	if err := c.sniff(); err != nil {
		return err
	}
	for {
		frame, err := c.recv.reader.Next()
		if err != nil {
			return err
		}
		c.lastRead.Store(socket.Nanotime())
		c.mu.Lock()
		for err == nil {
			err = c.take(frame)
			if err != nil || !c.recv.reader.Ready() {
				break
			}
			frame, err = c.recv.reader.Next()
		}
		if err != nil {
			c.mu.Unlock()
			return err
		}
		c.flush()
	}
}

// sniff reads the beginning of what the target says, which tells one that speaks
// another protocol.
func (c *Conn) sniff() error {
	var begin [64]byte
	n := 0
	for n < http2.FrameHead {
		more, err := c.net.Read(begin[n:])
		n += more
		if err != nil {
			return err
		}
	}
	switch {
	case bytes.HasPrefix(begin[:n], []byte("HTTP/1.")):
		return ErrHTTP1
	case c.plain && begin[0] >= 0x14 && begin[0] <= 0x17 && begin[1] == 3: // a TLS record (RFC 8446 §5.1)
		return ErrTLS
	case http2.FrameType(begin[3]) != http2.SettingsFrame || begin[4]&http2.FlagAck != 0:
		return violation(http2.ProtocolError, "the connection does not begin with SETTINGS")
	}
	c.recv.reader.Reset(c.net, begin[:n])
	return nil
}

func violation(code http2.Code, why string) error { return &http2.ConnError{Code: code, Why: why} }

// take takes a frame. An error ends the connection.
func (c *Conn) take(f *http2.Frame) error {
	if c.recv.head.Stream != 0 && f.Type != http2.Continuation {
		return violation(http2.ProtocolError, "a header section is interrupted by another frame")
	}
	if c.dead != nil {
		return c.dead
	}
	switch f.Type {
	case http2.Data:
		return c.takeData(f)
	case http2.Headers:
		return c.takeHeaders(f)
	case http2.Continuation:
		return c.takeContinuation(f)
	}
	if !c.budget.spend(1) {
		return violation(http2.EnhanceYourCalm, "too many frames that bring nothing on")
	}
	switch f.Type {
	case http2.SettingsFrame:
		return c.takeSettings(f)
	case http2.Ping:
		return c.takePing(f)
	case http2.WindowUpdate:
		return c.takeWindow(f)
	case http2.ResetStream:
		return c.takeReset(f)
	case http2.GoAway:
		return c.takeGoAway(f)
	case http2.PushPromise:
		return violation(http2.ProtocolError, "it pushes, which it was told not to")
	case http2.Priority:
		if f.Stream == 0 {
			return violation(http2.ProtocolError, "PRIORITY on stream 0")
		}
	}
	return nil // others are to be ignored (RFC 9113 §5.5)
}

// known says which stream a frame is of; nil is one that has ended.
func (c *Conn) known(f *http2.Frame) (*Stream, error) {
	if s := c.streams[f.Stream]; s != nil {
		return s, nil
	}
	if f.Stream == 0 || f.Stream%2 == 0 || f.Stream >= c.next {
		return nil, violation(http2.ProtocolError, fmt.Sprintf("a frame on stream %d, which was never opened", f.Stream))
	}
	return nil, nil //nolint:nilnil // it has ended
}

func (c *Conn) takeData(f *http2.Frame) error {
	s, err := c.known(f)
	if err != nil {
		return err
	}
	if err := c.count(f.Length); err != nil {
		return err
	}
	if err := f.Unpad(); err != nil {
		return err
	}
	end := f.Has(http2.FlagEndStream)
	if len(f.Payload) == 0 && !end && !c.budget.spend(1) {
		return violation(http2.EnhanceYourCalm, "too many empty DATA frames")
	}
	if s == nil || s.err != nil {
		// It has been reset, and what is on its way was granted to it.
		if !c.budget.spend(1) {
			return violation(http2.EnhanceYourCalm, "too much DATA on streams that have ended")
		}
		return nil
	}
	if len(f.Payload) > 0 {
		c.budget.earn(1 + len(f.Payload)/earnedBytes)
	}
	s.takeData(f, end)
	return nil
}

// count holds the target to the connection's window. What has come counts as
// read: streams have windows of their own.
func (c *Conn) count(n int) error {
	in := &c.recv
	if in.left -= n; in.left < 0 {
		return violation(http2.FlowControlError, "more DATA than the connection's window allows")
	}
	if in.left < connWindow/2 {
		c.out.buf = http2.AppendWindowUpdate(c.out.buf, 0, uint32(connWindow-in.left))
		in.left = connWindow
	}
	return nil
}

func (c *Conn) takeHeaders(f *http2.Frame) error {
	if _, err := c.known(f); err != nil {
		return err
	}
	c.recv.head = *f
	if err := f.Unpad(); err != nil {
		return err
	}
	return c.takeFragment(f)
}

func (c *Conn) takeContinuation(f *http2.Frame) error {
	if f.Stream == 0 || c.recv.head.Stream != f.Stream {
		return violation(http2.ProtocolError, "CONTINUATION without HEADERS before it")
	}
	if !c.budget.spend(1) {
		return violation(http2.EnhanceYourCalm, "too many CONTINUATION frames")
	}
	return c.takeFragment(f)
}

// takeFragment gathers a header section, and decodes it once it is complete.
func (c *Conn) takeFragment(f *http2.Frame) error {
	in := &c.recv
	block := f.Payload
	if len(in.block) > 0 || !f.Has(http2.FlagEndHeaders) {
		if len(in.block)+len(block) > maxBlock {
			return violation(http2.EnhanceYourCalm, fmt.Sprintf("a header section of more than %d bytes", maxBlock))
		}
		in.block = append(in.block, block...)
		block = in.block
	}
	if !f.Has(http2.FlagEndHeaders) {
		return nil
	}
	err := c.takeSection(block)
	in.head = http2.Frame{}
	if in.block = in.block[:0]; cap(in.block) > http2.MaxFrame {
		in.block = nil
	}
	return err
}

// takeSection decodes a header section, whoever wants it: the decoder has to
// follow.
func (c *Conn) takeSection(block []byte) error {
	in := &c.recv
	s := c.streams[in.head.Stream]
	if s == nil || s.err != nil {
		in.waste.Reset(maxHead)
		if !c.budget.spend(1) {
			return violation(http2.EnhanceYourCalm, "too many header sections on streams that have ended")
		}
		return in.decoder.Decode(block, &in.waste)
	}
	b := acquireBlock()
	if err := in.decoder.Decode(block, b); err != nil {
		releaseBlock(b)
		return err
	}
	c.budget.earn(1)
	s.takeHead(b, in.head.Has(http2.FlagEndStream))
	return nil
}

func (c *Conn) takeSettings(f *http2.Frame) error {
	if f.Stream != 0 {
		return violation(http2.ProtocolError, "SETTINGS on a stream")
	}
	if f.Has(http2.FlagAck) {
		if f.Length != 0 {
			return violation(http2.FrameSizeError, "the answer to SETTINGS isn't empty")
		}
		return nil
	}
	if !c.budget.spend(f.Length / 60) {
		return violation(http2.EnhanceYourCalm, "too many SETTINGS")
	}
	before := c.peer.Window
	if err := c.peer.Apply(f); err != nil {
		return err
	}
	c.out.buf = http2.AppendSettingsAck(c.out.buf)
	if delta := int64(c.peer.Window) - int64(before); delta != 0 {
		for _, s := range c.streams {
			if s.window += delta; s.window > math.MaxInt32 {
				return violation(http2.FlowControlError, "SETTINGS_INITIAL_WINDOW_SIZE makes a window too large")
			}
		}
		c.unblock()
	}
	if first := !c.settled; first {
		c.settle()
	} else if c.o.Freed != nil {
		go c.o.Freed() // its limit may have grown
	}
	return nil
}

func (c *Conn) takePing(f *http2.Frame) error {
	data, err := f.PingData()
	if err != nil {
		return err
	}
	if f.Stream != 0 {
		return violation(http2.ProtocolError, "PING on a stream")
	}
	if !f.Has(http2.FlagAck) {
		c.out.buf = http2.AppendPing(c.out.buf, http2.FlagAck, data)
	}
	return nil
}

func (c *Conn) takeWindow(f *http2.Frame) error {
	n, err := f.Increment()
	if f.Stream == 0 {
		if err != nil {
			return err
		}
		if c.send += int64(n); c.send > math.MaxInt32 {
			return violation(http2.FlowControlError, "WINDOW_UPDATE makes the connection's window too large")
		}
		c.unblock()
		return nil
	}
	s, unknown := c.known(f)
	switch {
	case unknown != nil:
		return unknown
	case s == nil:
		return nil
	case err != nil:
		if _, whole := err.(*http2.ConnError); whole { //nolint:errorlint // it is returned as it is
			return err
		}
		s.refuseLocked(http2.ProtocolError, "WINDOW_UPDATE adds 0")
		return nil
	}
	if s.window += int64(n); s.window > math.MaxInt32 {
		s.refuseLocked(http2.FlowControlError, "WINDOW_UPDATE makes its window too large")
		return nil
	}
	s.resumeLocked()
	return nil
}

func (c *Conn) takeReset(f *http2.Frame) error {
	s, err := c.known(f)
	if err != nil {
		return err
	}
	code, err := f.Code()
	if err != nil || s == nil {
		return err
	}
	if s.ended { // it has answered, and wants no more of the request
		s.stopLocked()
		return nil
	}
	s.gone = true
	s.failLocked(&ResetError{Code: code, Begun: s.begun})
	return nil
}

// takeGoAway has requests fail that the target hasn't looked at, which may be
// sent again; the others go on.
func (c *Conn) takeGoAway(f *http2.Frame) error {
	last, code, err := f.GoAway()
	if err != nil {
		return err
	}
	if f.Stream != 0 {
		return violation(http2.ProtocolError, "GOAWAY on a stream")
	}
	c.goAway = &GoAwayError{Code: code, Text: printable(f.Payload[8:])}
	for id, s := range c.streams {
		if id > last && !s.ended {
			s.gone = true // it doesn't know the stream
			s.failLocked(c.goAway)
		}
	}
	c.drainLocked(c.goAway)
	return nil
}
