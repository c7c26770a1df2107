package streams

import (
	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/http2"
	"github.com/keystone-gateway/keystone-gateway/proxy/multiplex"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// takeData hands content to its stream. The connection's window is given back at
// once, whoever reads it.
func (c *Conn) takeData(f *http2.Frame) error {
	if f.Stream == 0 {
		return &http2.ConnError{Code: http2.ProtocolError, Why: "DATA without a stream"}
	}
	if err := f.Unpad(); err != nil {
		return err
	}
	if n := len(f.Payload); n <= tiny && !f.Has(http2.FlagEndStream) {
		if err := c.calm(&c.budgets.tiny, tinyFrames, TinyFrames); err != nil {
			return err
		}
		if n == 0 {
			if err := c.calm(&c.budgets.empty, emptyFrames, EmptyFrames); err != nil {
				return err
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.giveConnBack(f.Length); err != nil {
		return err
	}
	s, err := c.find(f)
	if s == nil {
		return err
	}
	if err := s.intake.Put(f.Payload, f.Length); err != nil {
		return s.wrong(err)
	}
	if f.Has(http2.FlagEndStream) {
		return s.wrong(s.intake.End(nil))
	}
	return nil
}

// giveConnBack counts what a frame takes of the connection's window, and returns it.
// It needs c.mu.
func (c *Conn) giveConnBack(n int) error {
	if c.due += uint32(n); c.due > connWindow { //nolint:gosec // G115: it is a frame's
		return &http2.ConnError{Code: http2.FlowControlError, Why: "DATA is beyond the connection's window"}
	}
	if c.due >= connWindow/2 {
		if err := c.control(updateLen); err != nil {
			return err
		}
		c.out = http2.AppendWindowUpdate(c.out, 0, c.due)
		c.due = 0
		c.wake()
	}
	return nil
}

const updateLen = http2.FrameHead + 4

// find returns the stream of a frame; nil is one that has ended, or never was: an
// error, unless the frame was on its way when the gateway gave the stream up. It
// needs c.mu, and so does who uses the stream: without it, it may be another one by
// then.
func (c *Conn) find(f *http2.Frame) (*stream, error) {
	s := c.streams[f.Stream]
	switch {
	case s != nil && !s.isReset:
		return s, nil
	case f.Stream&1 == 0 || f.Stream > c.last:
		return nil, &http2.ConnError{Code: http2.ProtocolError, Why: "a frame for a stream that was never opened"}
	case s != nil && !s.given, c.reset.has(f.Stream):
		return nil, nil //nolint:nilnil // there is nothing to do
	case f.Type == http2.Headers:
		return nil, &http2.ConnError{Code: http2.StreamClosed, Why: "HEADERS for a stream that has ended"}
	case f.Type == http2.Data:
		return nil, &http2.StreamError{Stream: f.Stream, Code: http2.StreamClosed, Why: "DATA for a stream that has ended"}
	}
	return nil, nil //nolint:nilnil // the rest does no harm
}

func (c *Conn) takeReset(f *http2.Frame) error {
	if _, err := f.Code(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s, err := c.find(f)
	if err != nil {
		return err
	}
	if s == nil || s.closed { // its response has been sent: all that is given up is the rest of the request
		if err := c.calm(&c.budgets.lateResets, lateResets, Late); s == nil || err != nil {
			return err
		}
	} else if err := c.calm(&c.budgets.resets, resets, Resets); err != nil {
		return err
	} else {
		c.server.Counters.Given.Add(1)
	}
	s.given = true
	s.giveUp(exchange.ErrClientGone)
	return nil
}

func (c *Conn) takeSettings(f *http2.Frame) error {
	if f.Stream != 0 {
		return &http2.ConnError{Code: http2.ProtocolError, Why: "SETTINGS of a stream"}
	}
	if f.Has(http2.FlagAck) {
		if len(f.Payload) > 0 {
			return &http2.ConnError{Code: http2.FrameSizeError, Why: "an answer to SETTINGS is not empty"}
		}
		return c.calm(&c.budgets.other, otherFrames, Others)
	}
	if err := c.calm(&c.budgets.settings, settingsFrames, SettingsFrames); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.peer.Window
	if err := c.peer.Apply(f); err != nil {
		return err
	}
	if by := int64(c.peer.Window) - int64(before); by != 0 {
		for _, s := range c.streams {
			if s.window += by; s.window > http2.MaxWindow {
				return &http2.ConnError{Code: http2.FlowControlError, Why: "SETTINGS_INITIAL_WINDOW_SIZE makes a window larger than 2^31-1"}
			}
		}
	}
	if err := c.control(http2.FrameHead); err != nil {
		return err
	}
	c.out = http2.AppendSettingsAck(c.out)
	c.wake()
	c.grant()
	return nil
}

func (c *Conn) takePing(f *http2.Frame) error {
	data, err := f.PingData()
	if err != nil {
		return err
	}
	if f.Stream != 0 {
		return &http2.ConnError{Code: http2.ProtocolError, Why: "PING of a stream"}
	}
	if err := c.calm(&c.budgets.pings, pings, Pings); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.Has(http2.FlagAck) {
		if c.leaving == multiplex.Announced && data == leaveData {
			c.leaveNow()
		}
		return nil
	}
	if err := c.control(http2.FrameHead + len(data)); err != nil {
		return err
	}
	c.out = http2.AppendPing(c.out, http2.FlagAck, data)
	c.wake()
	return nil
}

// takeGoAway: the client opens no more streams, and ends the connection itself.
func (c *Conn) takeGoAway(f *http2.Frame) error {
	if f.Stream != 0 {
		return &http2.ConnError{Code: http2.ProtocolError, Why: "GOAWAY of a stream"}
	}
	if _, _, err := f.GoAway(); err != nil {
		return err
	}
	return c.calm(&c.budgets.other, otherFrames, Others)
}

func (c *Conn) takeWindowUpdate(f *http2.Frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var s *stream
	if f.Stream != 0 {
		var err error
		if s, err = c.find(f); err != nil {
			return err
		}
	}
	n, err := f.Increment()
	if _, ofStream := err.(*http2.StreamError); err != nil && (!ofStream || s != nil) { //nolint:errorlint // Increment doesn't wrap it
		return err
	}
	if c.earned > 0 {
		c.earned--
	} else if !c.updates.Take(socket.Nanotime(), windowUpdates) {
		return c.calmed(WindowUpdates)
	}
	switch {
	case f.Stream == 0:
		if c.window += int64(n); c.window > http2.MaxWindow {
			return &http2.ConnError{Code: http2.FlowControlError, Why: "the connection's window is larger than 2^31-1"}
		}
	case s != nil:
		if s.window += int64(n); s.window > http2.MaxWindow {
			return &http2.StreamError{Stream: f.Stream, Code: http2.FlowControlError, Why: "a stream's window is larger than 2^31-1"}
		}
	}
	c.grant()
	return nil
}

// takePriority takes the priority of RFC 9218; that of RFC 7540 means nothing.
func (c *Conn) takePriority(f *http2.Frame) error {
	if err := c.calm(&c.budgets.priority, priorityFrames, Priorities); err != nil {
		return err
	}
	if f.Type == http2.Priority {
		if f.Stream == 0 {
			return &http2.ConnError{Code: http2.ProtocolError, Why: "PRIORITY without a stream"}
		}
		return f.CheckPriority()
	}
	if f.Stream != 0 || len(f.Payload) < 4 {
		return &http2.ConnError{Code: http2.ProtocolError, Why: "PRIORITY_UPDATE is malformed"}
	}
	number := uint32(f.Payload[0]&0x7f)<<24 | uint32(f.Payload[1])<<16 | uint32(f.Payload[2])<<8 | uint32(f.Payload[3])
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.streams[number]; s != nil {
		s.urgency, s.incremental = http2.PriorityOf(f.Payload[4:])
		s.updated = true
	}
	return nil
}
