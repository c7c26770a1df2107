package streams

import (
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/http3"
	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/proxy/multiplex"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// Leave tells the client that the connection isn't to go on: it opens another one for
// what it asks next. Any goroutine may call it.
func (c *Conn) Leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leaving != multiplex.Staying || c.control == nil || c.closed {
		return
	}
	c.leaving, c.leftAt = multiplex.Announced, socket.Nanotime()+c.roundTrip()
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
	c.leaving, c.leftAt, c.goaway = multiplex.Left, now, c.next
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
	case c.leaving == multiplex.Announced && now >= c.leftAt, c.leaving == multiplex.Staying && idle && now-c.idleSince >= patience:
		c.leaveNow(now)
	case c.leaving == multiplex.Left && idle && now-max(c.idleSince, c.leftAt) >= c.roundTrip():
		c.closed = true
		go c.fail(&http3.ConnError{Code: http3.NoError}) // it waits until QUIC has done it
	case c.leaving == multiplex.Staying && c.o.Ending():
		c.leaving, c.leftAt = multiplex.Announced, now+c.roundTrip()
		c.sayGoAway(http3.MaxStream)
	}
}

// Held appends what each of the streams holds.
func (c *Conn) Held(account *memory.Account, list []multiplex.Held) []multiplex.Held {
	c.mu.Lock()
	defer c.mu.Unlock()
	for number, s := range c.streams {
		if n := s.charge.Held(); n > 0 && s.charge.On(account) {
			list = append(list, multiplex.Held{Bytes: n, Since: s.since, Of: c, Number: number})
		}
	}
	return list
}

// CutStream gives a stream up because of what it holds, if it is still there.
func (c *Conn) CutStream(number uint64, account *memory.Account, cause error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.streams[number]
	if s == nil || !s.charge.On(account) {
		return false
	}
	s.giveUp(cause, http3.ExcessiveLoad)
	return true
}
