package clients

import "time"

// An idle connection needs no goroutine: its stack, fasthttp's context and the
// buffers of that take 6 KiB, and more after Lua or TLS. So the goroutine
// leaves a connection that has been idle for a while, and one for all of them
// watches for what comes next (listener.Conn.Sleep).
//
// The client's state tells who may do what:
//
//	idle    its goroutine waits for a request (await)
//	dozing  that has told fasthttp that the connection ended (doze), and
//	        fasthttp returns to Close, until which it uses the connection
//	asleep  no goroutine has it. Whoever takes it out of this state owns it:
//	        Wake, which gives it a new goroutine, or the sweeper at its expiry
//
// A drain closes the connection in any of them, which ends a sleep.

// To sleep and be woken costs about 15 µs of CPU, as much as a small request.
// So where few connections are open they are left awake for longer, and who
// sends requests at intervals sleeps at most once.

const (
	// WakeShare is how long the goroutines of all open connections together
	// may wait: 20 connections 10 s each, 200 one second.
	WakeShare = int64(200 * time.Second)
	// leastAwake is for how long a connection is kept awake at least.
	leastAwake = int64(200 * time.Millisecond)
	// shortSleep is a sleep that wasn't worth its cost, from the request before.
	shortSleep = int64(10 * time.Second)
)

// patience is how long a request is waited for, and whether the connection
// sleeps after that, instead of ending.
func (c *client) patience(l *Limits) (nanoseconds int64, sleepy bool) {
	if c.served == 0 {
		return l.Header, false
	}
	open := c.server.Open()
	awake := max(c.server.Awake.Load()/max(open, 1), leastAwake, c.stay)
	if c.woken || awake >= l.Keepalive {
		return l.Keepalive, false
	}
	return awake, true
}

// doze begins the sleep, on the connection's goroutine, unless somebody has chosen to close
// the connection meanwhile: that stays so, or else it would be woken for a request, and
// closed with it.
func (c *client) doze() {
	c.Sock.SetReadExpiry(0) // endSleep watches the idle time
	c.head = nil
	c.rebase(sleepSize)
	c.state.CompareAndSwap(clientIdle, clientDozing)
}

// fallAsleep is false if the connection must end instead.
func (c *client) fallAsleep() bool {
	if !c.state.CompareAndSwap(clientDozing, clientAsleep) {
		return false
	}
	return c.Sleep(c) == nil || !c.state.CompareAndSwap(clientAsleep, clientEnded) // somebody else has it already
}

// Wake has fasthttp serve the connection again.
func (c *client) Wake() {
	if c.state.CompareAndSwap(clientAsleep, clientIdle) {
		c.resume()
	}
}

// resume is for the one who has ended the sleep.
func (c *client) resume() {
	c.woken = true
	c.rebase(awakeSize)
	go c.serve() // ends with the connection, or its next sleep
}

// noteSleep comes with the first request after a sleep: if that was short, the
// next one begins only after twice the time.
func (c *client) noteSleep() {
	c.woken, c.stay = false, 0
	if idle := c.headAt - c.idleSince.Load(); idle < shortSleep {
		c.stay = 2 * idle
	}
}

// endSleep ends a connection whose idle time has passed.
func (c *client) endSleep(now int64) {
	if !c.sleptEnough(now) || !c.state.CompareAndSwap(clientAsleep, clientEnded) {
		return
	}
	if c.many.Load() != nil || !c.sleptEnough(now) { // it says goodbye, or in between it was woken, served and fell asleep anew
		c.state.Store(clientIdle)
		c.resume()
		return
	}
	_ = c.end()
}

func (c *client) sleptEnough(now int64) bool {
	return now-c.idleSince.Load() >= c.server.Limits.Load().Keepalive
}
