package socket

import (
	"sync"
	"time"
)

// Pace judges how fast a peer goes that is waited for, over a window of waiting:
// neither what it did before nor the time in which nobody waited counts. The
// window is two halves, the one that fills and the one before it, so that a
// look costs nothing. It isn't safe for concurrent use.
type Pace struct {
	waited, bytes             int64 // nanoseconds and bytes of the half that fills
	waitedBefore, bytesBefore int64 // of the half before; 0 is none
}

// Add counts a wait, in nanoseconds, in which the peer has brought or taken so
// many bytes. It reports whether that was too slow: less than rate, in bytes a
// second, over at least the last window of waiting. A rate of 0 is no bound.
func (p *Pace) Add(waited, bytes, window, rate int64) (tooSlow bool) {
	p.waited += waited
	p.bytes += bytes
	if p.waited < window/2 {
		return false
	}
	waited, bytes = p.waited+p.waitedBefore, p.bytes+p.bytesBefore
	tooSlow = rate > 0 && waited >= window && float64(bytes) < float64(rate)*float64(waited)/1e9
	*p = Pace{waitedBefore: p.waited, bytesBefore: p.bytes}
	return tooSlow
}

// lookEvery is how often a peer that lets a write wait is looked at, which is a
// system call.
const lookEvery = int64(250 * time.Millisecond)

// writeWait is what the sweeper knows of a write that waits for its peer.
//
// What counts is what the peer has taken: what the socket takes can be 256 KiB
// ahead of that, which a slow peer needs an hour for.
type writeWait struct {
	mu                sync.Mutex
	waiting           bool
	idle, rate, total int64 // see SetWriteLimits
	given             int64 // what the socket has been given so far
	since             int64 // when the waiting began that pace doesn't know of yet
	unjudged          int64 // what was waited before that
	looked            int64 // when the peer was looked at last; 0 is never
	taken             int64 // what it had taken then
	slow              bool
	pace              Pace
}

// SetWriteLimits bounds the time in which the peer takes nothing, in
// nanoseconds, its rate over that time of waiting, in bytes a second (see Pace),
// and the end of all writes (Nanotime); 0 is no bound. Most writes never wait:
// the clock is looked at when one does. Only the writing goroutine may call it.
func (c *Conn) SetWriteLimits(idle, rate, total int64) {
	c.writeIdle, c.writeRate, c.writeTotal = idle, rate, total
	c.changeWriteExpiry(total)
}

// parkWrite parks the writer, with a new expiry if it is parked for the first
// time or there was progress since the last one.
func (c *Conn) parkWrite(fd uintptr) bool {
	if c.writeIdle <= 0 && c.writeRate <= 0 {
		return false
	}
	w, now := &c.wait, Nanotime()
	w.mu.Lock()
	if !w.waiting {
		w.waiting, w.since = true, now
		w.idle, w.rate, w.total = c.writeIdle, c.writeRate, c.writeTotal
	}
	w.given = c.wsent + int64(c.wn)
	if now-w.looked >= lookEvery {
		w.look(now, rawUnsent(fd))
	}
	w.mu.Unlock()
	if c.wn > c.wparked {
		c.wparked = c.wn
		at := c.writeTotal
		if c.writeIdle > 0 {
			at = earlier(at, now+c.writeIdle)
		}
		c.writeExpiry.Store(at)
	}
	return false
}

// endWait comes when a write that was parked has ended.
func (c *Conn) endWait() {
	w := &c.wait
	w.mu.Lock()
	if w.waiting {
		w.waiting = false
		w.unjudged += Nanotime() - w.since
	}
	w.mu.Unlock()
}

// look judges the peer, of whose bytes so many are still to be taken; that is
// negative where it isn't known. It reports whether it has taken any.
func (w *writeWait) look(now int64, unsent int) bool {
	taken, first := w.given-max(0, int64(unsent)), w.looked == 0
	more := max(0, taken-w.taken)
	waited := w.unjudged + now - w.since
	w.looked, w.taken, w.since, w.unjudged = now, taken, now, 0
	if first {
		return false
	}
	w.slow = w.pace.Add(waited, more, w.idle, w.rate)
	return more > 0
}

// sweepWrite looks at a write that waits; its expiry was that before.
func (c *Conn) sweepWrite(now, expiry int64) {
	w := &c.wait
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.waiting {
		return
	}
	if w.looked == 0 || now-w.looked >= lookEvery || now >= expiry {
		if w.look(now, c.unsent()) && w.idle > 0 {
			c.writeExpiry.CompareAndSwap(expiry, earlier(w.total, now+w.idle)) // or the write has just ended
		}
	}
	if w.slow {
		c.writeExpiry.CompareAndSwap(expiry, 1)
	}
}

// unsent is how many bytes the peer has not taken yet; -1 is not known.
func (c *Conn) unsent() int {
	n := -1
	_ = c.rc.Control(func(fd uintptr) { n = rawUnsent(fd) })
	return n
}
