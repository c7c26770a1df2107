package streams

import (
	"errors"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/http2"
	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/proxy/multiplex"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// roundTrip is how long the answer to the PING behind the first GOAWAY is waited for.
const roundTrip = int64(time.Second)

// closeTime bounds the end of a connection.
const closeTime = int64(time.Second)

var leaveData = [8]byte{'l', 'e', 'a', 'v', 'i', 'n', 'g', '.'}

// announce begins to leave; it needs c.mu.
func (c *Conn) announce() {
	if c.leaving != multiplex.Staying || !c.greeted || c.err != nil {
		return
	}
	c.leaving, c.leaveAt = multiplex.Announced, socket.Nanotime()+roundTrip
	c.room(2 * 32)
	c.out = http2.AppendGoAway(c.out, http2.MaxStream, http2.NoError, "")
	c.out = http2.AppendPing(c.out, 0, leaveData)
	c.wake()
}

// leaveNow takes no more streams; it needs c.mu.
func (c *Conn) leaveNow() {
	if c.leaving == multiplex.Left || c.err != nil {
		return
	}
	c.leaving, c.goaway = multiplex.Left, c.last
	c.room(32)
	c.out = http2.AppendGoAway(c.out, c.last, http2.NoError, "")
	c.wake()
	c.bound()
}

// noteBad counts a request that was none; too many end the connection. It needs c.mu.
func (c *Conn) noteBad(now int64) {
	if c.fatal == nil && !c.bad.Take(now, resets) {
		c.fatal = c.calmed(Resets)
		c.bound()
	}
}

// judge says what is to become of the connection after an error of reading.
func (c *Conn) judge(err error) (End, error) {
	if !errors.Is(err, socket.ErrTimeout) {
		return going, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now, head := socket.Nanotime(), c.headAt.Load()
	switch {
	case c.fatal != nil:
		return going, c.fatal
	case c.err != nil:
		return going, c.err
	case !c.begun:
		return going, err
	case head != 0 && now >= head+c.server.Header():
		return going, &http2.ConnError{Code: http2.NoError, Why: exchange.SlowHead.Message}
	case len(c.streams) > 0:
		return going, nil
	case c.leaving == multiplex.Left:
		return Linger, nil
	case head != 0, now < c.idleSince+c.patience:
		return going, nil
	}
	if c.sleepy && !c.writing && c.leaving == multiplex.Staying && c.reader.Buffered() == 0 && c.block.stream == 0 {
		return Drowsy, nil
	}
	c.leaveNow()
	return Linger, nil
}

// end ends the connection: streams are given up, and what is to be written is, within
// a while.
func (c *Conn) end(end End, err error) End {
	c.mu.Lock()
	defer c.mu.Unlock()
	if end == going {
		end = Ended
	}
	c.closing = socket.Nanotime()
	if wrong, ok := errors.AsType[*http2.ConnError](err); ok && c.err == nil {
		c.leaving, end = multiplex.Left, Linger
		c.room(64 + len(wrong.Why))
		c.out = http2.AppendGoAway(c.out, c.last, wrong.Code, wrong.Why)
		c.wake()
	}
	for _, s := range c.streams {
		s.giveUp(exchange.ErrClientGone)
	}
	if end == Ended && c.err == nil {
		c.err = exchange.ErrClientGone
	}
	for c.writing || len(c.streams) > 0 {
		c.quiet.Wait()
	}
	c.reader.Release()
	return end
}

// Leave tells the client that the connection isn't to go on: it opens another one for
// what it asks next. Any goroutine may call it.
func (c *Conn) Leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.announce()
}

// Abort gives all streams up.
func (c *Conn) Abort(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failAll(cause)
}

// IdleSince is when the last stream has ended.
func (c *Conn) IdleSince() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.idleSince
}

// Streams returns how many are open.
func (c *Conn) Streams() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.streams)
}

// Sweep looks after time-outs; it is called every now and then, at that time
// (socket.Nanotime).
func (c *Conn) Sweep(now int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.streams {
		s.intake.Sweep(now)
		if s.waits && (s.isLate(now) || s.minRate > 0 && now-s.since >= int64(s.idle)/2) {
			s.signal()
		}
	}
	switch {
	case c.closing != 0:
		if now-c.closing > closeTime {
			c.o.Sock.Abort(exchange.ErrClientGone)
		}
	case c.leaving == multiplex.Announced && now >= c.leaveAt:
		c.leaveNow()
	case c.leaving == multiplex.Staying && c.o.Ending():
		c.announce()
	}
}

// Held appends what each of the streams holds.
func (c *Conn) Held(account *memory.Account, list []multiplex.Held) []multiplex.Held {
	c.mu.Lock()
	defer c.mu.Unlock()
	for number, s := range c.streams {
		if n := s.charge.Held() + s.intake.Held(); n > 0 && s.charge.On(account) {
			list = append(list, multiplex.Held{Bytes: n, Since: s.arrived, Of: c, Number: uint64(number)})
		}
	}
	return list
}

// CutStream gives a stream up, if it is still there.
func (c *Conn) CutStream(number uint64, account *memory.Account, cause error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.streams[uint32(number)] //nolint:gosec // G115: it is one of Held's
	if s == nil || s.isReset || !s.charge.On(account) {
		return false
	}
	s.sendReset(http2.EnhanceYourCalm)
	s.giveUp(cause)
	return true
}
