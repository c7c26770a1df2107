package streams

import (
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/http3"
	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// leaving is how far a connection is on its way to its end (RFC 9114 §5.2): the first
// GOAWAY says that it is near, and refuses nothing; the second, a round trip later, which
// streams are still served. So no request is lost that was on its way.
type leaving uint8

const (
	staying leaving = iota
	announced
	left
)

// Leave tells the client that the connection isn't to go on: it opens another one for
// what it asks next. Any goroutine may call it.
func (c *Conn) Leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leaving != staying || c.control == nil || c.closed {
		return
	}
	c.leaving, c.leftAt = announced, socket.Nanotime()+c.roundTrip()
	c.sayGoAway(http3.MaxStream)
}

// roundTrip is how long what is on its way may take to come, and what is sent last to
// arrive.
func (c *Conn) roundTrip() int64 {
	const least, most = 50 * time.Millisecond, time.Second
	return int64(min(max(2*c.o.Conn.ConnectionStats().SmoothedRTT, least), most))
}

// sayGoAway needs c.mu.
func (c *Conn) sayGoAway(stream uint64) {
	// A client whose window has no room for it learns by the connection's end.
	_ = c.control.TryWriteAll(http3.AppendGoAway(nil, stream))
}

// leaveNow takes no more streams. It needs c.mu.
func (c *Conn) leaveNow(now int64) {
	c.leaving, c.leftAt, c.goaway = left, now, c.next
	c.sayGoAway(c.goaway)
}

// Sweep looks after the connection's time; it is called every now and then, at that time
// (socket.Nanotime).
func (c *Conn) Sweep(now int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	idle := len(c.streams) == 0
	patience := c.server.Keepalive()
	if c.opened == 0 {
		patience = c.server.Header()
	}
	switch {
	case c.closed || c.control == nil:
	case c.leaving == announced && now >= c.leftAt, c.leaving == staying && idle && now-c.idleSince >= patience:
		c.leaveNow(now)
	case c.leaving == left && idle && now-max(c.idleSince, c.leftAt) >= c.roundTrip():
		c.closed = true
		go c.fail(&http3.ConnError{Code: http3.NoError}) // it waits until QUIC has done it
	case c.leaving == staying && c.o.Ending():
		c.leaving, c.leftAt = announced, now+c.roundTrip()
		c.sayGoAway(http3.MaxStream)
	}
}

// Held is what a stream holds of an account, and how to cut it.
type Held struct {
	Bytes, Since int64
	conn         *Conn
	number       uint64
}

// Held appends those of the connection.
func (c *Conn) Held(account *memory.Account, list []Held) []Held {
	c.mu.Lock()
	defer c.mu.Unlock()
	for number, s := range c.streams {
		if n := s.charge.Held(); n > 0 && s.charge.On(account) {
			list = append(list, Held{n, s.since, c, number})
		}
	}
	return list
}

// Cut gives the stream up, if it is still there.
func (h Held) Cut(account *memory.Account, cause error) bool {
	h.conn.mu.Lock()
	s := h.conn.streams[h.number]
	there := s != nil && s.charge.On(account)
	if there {
		s.giveUp(cause)
	}
	h.conn.mu.Unlock()
	return there
}
