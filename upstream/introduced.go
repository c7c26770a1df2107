package upstream

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// introduced are a target's connections that began with a header of the PROXY protocol.
// Each is for whom its header says, to whom the target may have granted something: it
// serves no request with another header. So they are kept apart, by their headers,
// and not in a HostClient, whose connections are all alike. Its zero value is empty.
type introduced struct {
	mu      sync.Mutex
	open    int             // those in use, idle or being dialled; guarded by mu, as all below
	idle    []*Conn         // what was used last at the end
	waiting []chan struct{} // for a connection to end, or to idle; closed for one of them
	era     int             // of settings: connections of another one aren't kept
	sweeps  bool            // sweep is going to look
}

// maxIntroduced bounds the idle ones of a target, which are looked through.
const maxIntroduced = 1024

// acquireIntroduced is acquire for a target that is told who its clients are.
func (t *Target) acquireIntroduced(header []byte, wait time.Duration, now int64) (*Conn, error) {
	in := &t.introduced
	for {
		c, era, err := in.take(t.tuned.Load(), header, wait)
		if err != nil {
			return nil, err
		}
		if c == nil {
			return t.dialIntroduced(header, wait, era)
		}
		c.used = true
		if !c.expired(now) && c.quiet() {
			return c, nil
		}
		c.giveBack(false)
	}
}

// dialIntroduced opens a connection, for which take has made room.
func (t *Target) dialIntroduced(header []byte, wait time.Duration, era int) (*Conn, error) {
	in := &t.introduced
	header = bytes.Clone(header)
	c, err := t.dialWith(wait, introducing(header, t.openSocket))
	if isLocal(err) && in.evict() { // idle ones have what is missing
		c, err = t.dialWith(wait, introducing(header, t.openSocket))
	}
	if err != nil {
		in.leave()
		return nil, err
	}
	c.header, c.era = header, era
	c.giveBack = func(reusable bool) {
		if !reusable || t.retired.Load() || !in.keep(c, t.tuned.Load().idleTimeout) {
			_ = c.Close()
			in.leave()
		}
	}
	return c, nil
}

// dialWith is dial with another opener.
func (t *Target) dialWith(timeout time.Duration, open opener) (*Conn, error) {
	limit := t.tuned.Load().connect
	if timeout > 0 && timeout < limit {
		limit = timeout
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	start := socket.Nanotime()
	conn, err := t.connectAside(ctx, open)
	if err != nil {
		return nil, within(err, "timeouts.connect", limit)
	}
	return newConn(conn, time.Duration(socket.Nanotime()-start)), nil
}

// take returns an idle connection with that header; or nil, where there is room for a
// new one, for which leave must be called if it isn't made. It waits for room as a
// HostClient does, with its errors.
func (in *introduced) take(tuned *tuning, header []byte, wait time.Duration) (c *Conn, era int, err error) {
	limit, late := tuned.pendingTimeout, fasthttp.ErrNoFreeConns
	if wait > 0 && wait < limit {
		limit, late = wait, fasthttp.ErrTimeout
	}
	var timer *time.Timer
	for {
		in.mu.Lock()
		if c = in.find(header); c != nil {
			in.mu.Unlock()
			return c, 0, nil
		}
		if in.open >= tuned.maxConns {
			in.evictLocked()
		}
		if in.open < tuned.maxConns {
			in.open++
			era = in.era
			in.mu.Unlock()
			return nil, era, nil
		}
		freed := make(chan struct{})
		in.waiting = append(in.waiting, freed)
		in.mu.Unlock()
		if timer == nil {
			timer = time.NewTimer(limit)
			defer timer.Stop() //nolint:revive // one for all rounds
		}
		select {
		case <-freed:
		case <-timer.C:
			in.giveUp(freed)
			return nil, 0, late
		}
	}
}

// find takes out the idle connection with a header that was used last; it needs in.mu.
func (in *introduced) find(header []byte) *Conn {
	for i := len(in.idle) - 1; i >= 0; i-- {
		if c := in.idle[i]; bytes.Equal(c.header, header) {
			in.idle = remove(in.idle, i)
			return c
		}
	}
	return nil
}

// remove leaves no pointer behind.
func remove[T any](list []T, at int) []T {
	copy(list[at:], list[at+1:])
	var none T
	list[len(list)-1] = none
	return list[:len(list)-1]
}

// giveUp takes a waiter out. One that was called meanwhile passes the call on.
func (in *introduced) giveUp(freed chan struct{}) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for i := range in.waiting {
		if in.waiting[i] == freed {
			in.waiting = remove(in.waiting, i)
			return
		}
	}
	in.callLocked()
}

// callLocked has who waits for longest look again.
func (in *introduced) callLocked() {
	if len(in.waiting) > 0 {
		close(in.waiting[0])
		in.waiting = remove(in.waiting, 0)
	}
}

// leave makes room for another connection.
func (in *introduced) leave() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.open--
	in.callLocked()
}

// keep keeps a connection for its next request; false is that it has to be closed.
func (in *introduced) keep(c *Conn, idleTimeout time.Duration) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if c.era != in.era {
		return false
	}
	if len(in.idle) >= maxIntroduced {
		in.evictLocked()
	}
	c.idleSince = socket.Nanotime()
	in.idle = append(in.idle, c)
	if !in.sweeps {
		in.sweeps = true
		time.AfterFunc(idleTimeout, func() { in.sweep(idleTimeout) })
	}
	in.callLocked()
	return true
}

// evict closes the connection that has been idle for longest; false is that none is.
func (in *introduced) evict() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.evictLocked()
}

func (in *introduced) evictLocked() bool {
	if len(in.idle) == 0 {
		return false
	}
	_ = in.idle[0].Close()
	in.idle = remove(in.idle, 0)
	in.open--
	return true
}

// sweep closes what has been idle for too long, and looks again while there are others.
func (in *introduced) sweep(idleTimeout time.Duration) {
	in.mu.Lock()
	defer in.mu.Unlock()
	before := socket.Nanotime() - int64(idleTimeout)
	for len(in.idle) > 0 && in.idle[0].idleSince <= before {
		in.evictLocked()
		in.callLocked()
	}
	if in.sweeps = len(in.idle) > 0; in.sweeps {
		time.AfterFunc(time.Duration(in.idle[0].idleSince-before), func() { in.sweep(idleTimeout) })
	}
}

// closeIdle closes those that idle. With renewed, those in use aren't kept any more.
func (in *introduced) closeIdle(renewed bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if renewed {
		in.era++
	}
	for in.evictLocked() {
		in.callLocked()
	}
}
