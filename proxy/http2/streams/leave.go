package streams

import (
	"errors"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/http2"
	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// leaving is how far a connection is on its way to its end (RFC 9113 §6.8): the first
// GOAWAY says that it is near, and refuses nothing; the second, a round trip later,
// which streams are still served. So no request is lost that was on its way.
type leaving uint8

const (
	staying leaving = iota
	announced
	left
)

// roundTrip is how long the answer to the PING behind the first GOAWAY is waited for.
const roundTrip = int64(time.Second)

// closeTime bounds the end of a connection.
const closeTime = int64(time.Second)

var leaveData = [8]byte{'l', 'e', 'a', 'v', 'i', 'n', 'g', '.'}

// announce begins to leave; it needs c.mu.
func (c *Conn) announce() {
	if c.leaving != staying || !c.greeted || c.err != nil {
		return
	}
	c.leaving, c.leaveAt = announced, socket.Nanotime()+roundTrip
	c.room(2 * 32)
	c.out = http2.AppendGoAway(c.out, http2.MaxStream, http2.NoError, "")
	c.out = http2.AppendPing(c.out, 0, leaveData)
	c.wake()
}

// leaveNow takes no more streams; it needs c.mu.
func (c *Conn) leaveNow() {
	if c.leaving == left || c.err != nil {
		return
	}
	c.leaving, c.goaway = left, c.last
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
	case c.leaving == left:
		return Linger, nil
	case head != 0, now < c.idleSince+c.patience:
		return going, nil
	}
	if c.sleepy && !c.writing && c.leaving == staying && c.reader.Buffered() == 0 && c.block.stream == 0 {
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
		c.leaving, end = left, Linger
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
	case c.leaving == announced && now >= c.leaveAt:
		c.leaveNow()
	case c.leaving == staying && c.o.Ending():
		c.announce()
	}
}

// Held is what a stream holds of an account, and how to cut it.
type Held struct {
	Bytes, Since int64
	conn         *Conn
	number       uint32
}

// Held appends those of the connection.
func (c *Conn) Held(account *memory.Account, list []Held) []Held {
	c.mu.Lock()
	defer c.mu.Unlock()
	for number, s := range c.streams {
		if n := s.charge.Held() + s.intake.Held(); n > 0 && s.charge.On(account) {
			list = append(list, Held{n, s.arrived, c, number})
		}
	}
	return list
}

// Cut gives the stream up, if it is still there.
func (h Held) Cut(account *memory.Account, cause error) bool {
	h.conn.mu.Lock()
	defer h.conn.mu.Unlock()
	s := h.conn.streams[h.number]
	if s == nil || s.isReset || !s.charge.On(account) {
		return false
	}
	s.sendReset(http2.EnhanceYourCalm)
	s.giveUp(cause)
	return true
}
