package clients

import (
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

const (
	// watchAfter is the age from which a waiting request's client is watched.
	watchAfter = int64(socket.SweepInterval)
	// maxLook is the longest time between two looks at it, which is a system call.
	maxLook = int64(500 * time.Millisecond)
)

// beginWait has call aborted when the client goes away; now is the time.
func (c *client) beginWait(call exchange.Aborter, now int64) {
	c.mu.Lock()
	c.call, c.silent, c.asked = call, true, false
	c.mu.Unlock()
	c.neverLooked()
	c.lastWrite.Store(now)
	c.waiting.Store(now)
}

// neverLooked forgets what Sweep has seen. Mostly that was nothing, and a load costs
// much less than a store.
func (c *client) neverLooked() {
	if c.finished.Load() != 0 {
		c.finished.Store(0)
	}
	if c.nextLook.Load() != 0 {
		c.nextLook.Store(0)
	}
}

// beginScriptWait is beginWait for what a script waits for: cancel is called
// when the client is gone. silent says that nothing has been sent yet. The
// function that it returns ends the wait.
func (c *client) beginScriptWait(cancel func(), silent bool) (end func()) {
	c.mu.Lock()
	c.cancel = cancel
	c.mu.Unlock()
	now := socket.Nanotime()
	began := c.waiting.CompareAndSwap(0, now)
	if began { // it may wait for a target's body already
		c.mu.Lock()
		c.silent, c.asked = silent, false
		c.mu.Unlock()
		c.neverLooked()
		c.lastWrite.Store(now)
	}
	return func() {
		if began {
			c.waiting.Store(0)
		}
		c.mu.Lock()
		c.cancel = nil
		if began {
			c.silent = false
		}
		c.mu.Unlock()
	}
}

func (c *client) endWait() {
	if c.call == nil { // which only this goroutine changes: it has ended already
		return
	}
	c.waiting.Store(0)
	c.mu.Lock()
	c.call, c.silent = nil, false
	c.mu.Unlock()
}

// pauseAnswer comes after an interim response: the client may be asked again
// whether it is there.
func (c *client) pauseAnswer() {
	c.mu.Lock()
	c.silent = c.call != nil || c.cancel != nil
	c.mu.Unlock()
}

// beginAnswer comes before anything is written to the client.
func (c *client) beginAnswer() {
	if !c.wrote.Load() {
		c.wrote.Store(true)
	}
	c.mu.Lock()
	c.silent = false
	c.mu.Unlock()
}

// Sweep is socket.Swept's. It looks only at clients whose request has
// waited for a while.
//
// A client that has closed only its sending side, and still wants its answer,
// looks like one that is gone. After half_close it is asked: an interim
// response, which every client of HTTP/1.1 must be ready for (RFC 9110 §15.2),
// makes the system of one that is gone answer with a reset. Where nobody can
// be asked, it is taken for gone; not while it is being written to, since
// then the write tells.
func (c *client) Sweep(now int64) {
	defer func() {
		if cause := recover(); cause != nil {
			c.server.Plane.LogPanic(cause)
		}
	}()
	if c.state.Load() == clientAsleep {
		c.endSleep(now)
		return
	}
	if many := c.many.Load(); many != nil {
		many.Sweep(now)
		return
	}
	since := c.waiting.Load()
	if c.wrote.Load() && c.wrote.Swap(false) {
		c.lastWrite.Store(now)
	}
	if since == 0 || now-since < watchAfter || now < c.nextLook.Load() || c.writing.Load() {
		return
	}
	if waited := now - since; c.finished.Load() == 0 {
		c.nextLook.Store(now + min(waited/4, maxLook)) // the longer it waits, the less often
	}
	switch c.Sock.Peer() {
	case socket.PeerGone:
		c.abort(exchange.ErrClientGone)
	case socket.PeerFinished:
		if c.finished.CompareAndSwap(0, now) {
			return
		}
		grace := c.server.Limits.Load().HalfClose
		if now-max(c.finished.Load(), c.lastWrite.Load()) >= grace && !c.ask() {
			c.abort(exchange.ErrClientGone)
		}
	}
}

// ask asks a finished client whether it is still there, once a request. It is
// false where that is not possible.
func (c *client) ask() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.asked:
		return true
	case !c.silent || c.Secure || !c.takesInterim.Load():
		return false
	}
	switch n := c.Sock.TryWrite(continueLine); {
	case n == len(continueLine):
		c.asked = true
		return true
	case n == socket.Again: // it reads earlier answers slowly: later
		return true
	}
	return false
}

func (c *client) abort(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.call != nil {
		c.call.Abort(cause)
	}
	if c.cancel != nil {
		c.cancel()
	}
}

// Deadlines are the exchange's business.
