package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/upstream/streams"
)

// shared are the connections of a target that many requests use at once, each a
// stream: those of HTTP/2. The first that has room gets a request; another one is
// opened when none has, one at a time, so that a burst doesn't open as many as
// there are requests.
type shared struct {
	target *Target
	waits  atomic.Int32 // len(waiting), for who ends a stream

	mu      sync.Mutex // guards all below
	conns   []*streams.Conn
	dialing int
	waiting []*waiter // first come, first served
	closed  bool
}

// waiter is a request that waits for room.
type waiter struct {
	found chan found // holds one
}

// found is what a waiter gets: a connection with room reserved, or why none
// could be opened.
type found struct {
	conn *streams.Conn
	took time.Duration // to open it
	err  error
}

var (
	errFull  = errors.New("all connections have as many requests as they take")
	errOther = errors.New("the target has chosen HTTP/1")
)

// acquire returns a connection with room for a stream. wait bounds how long it is
// waited for one that is opened; for others to end, the settings do.
func (p *shared) acquire(wait time.Duration) found {
	p.mu.Lock()
	if len(p.waiting) == 0 { // nobody is passed
		for _, c := range p.conns {
			if c.Reserve() {
				p.mu.Unlock()
				return found{conn: c}
			}
		}
	}
	w := &waiter{found: make(chan found, 1)}
	p.waiting = append(p.waiting, w)
	p.waits.Add(1)
	p.serveLocked(0) // also what was freed before waits was counted up
	opening := p.dialing > 0
	p.mu.Unlock()
	limit := wait
	if !opening {
		limit = min(wait, p.target.tuned.Load().pendingTimeout)
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case f := <-w.found:
		return f
	case <-timer.C:
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.waiting, w); i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
		p.waits.Add(-1)
		if opening {
			t := p.target
			return found{err: within(&ConnectError{Target: t.Name(), Address: t.address.HostPort(), Err: context.DeadlineExceeded}, "timeouts.connect", wait)}
		}
		return found{err: errFull}
	}
	return <-w.found // it was just found
}

// openLocked opens a connection if there may be one more and none is being
// opened.
func (p *shared) openLocked() {
	if p.dialing == 0 && len(p.conns) < p.target.tuned.Load().maxConns {
		p.dialing++
		go p.open()
	}
}

// open opens a connection for those who wait.
func (p *shared) open() {
	start := socket.Nanotime()
	c, err := p.dial()
	took := time.Duration(socket.Nanotime() - start)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dialing--
	if err != nil {
		for _, w := range p.waiting {
			w.found <- found{err: err}
		}
		p.waits.Add(-int32(len(p.waiting))) //nolint:gosec // G115: as many as were added
		p.waiting = nil
		return
	}
	p.conns = append(p.conns, c)
	p.serveLocked(took)
	if p.closed {
		c.Drain()
	}
}

// serveLocked gives room to those who wait, and opens another connection if
// there is none left.
func (p *shared) serveLocked(took time.Duration) {
	for len(p.waiting) > 0 {
		i := slices.IndexFunc(p.conns, (*streams.Conn).Reserve)
		if i < 0 {
			p.openLocked()
			return
		}
		p.waiting[0].found <- found{conn: p.conns[i], took: took}
		p.waiting = slices.Delete(p.waiting, 0, 1)
		p.waits.Add(-1)
	}
}

// freed is told when a stream has ended.
func (p *shared) freed() {
	if p.waits.Load() == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.serveLocked(0)
}

// gone is told when a connection takes no more streams.
func (p *shared) gone(c *streams.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.conns, c); i >= 0 {
		p.conns = slices.Delete(p.conns, i, i+1)
	}
	p.serveLocked(0)
}

// drain has all connections end with their last streams.
func (p *shared) drain() {
	p.mu.Lock()
	p.closed = true
	conns := slices.Clone(p.conns)
	p.mu.Unlock()
	for _, c := range conns {
		c.Drain()
	}
}

// dial opens a connection within the connect timeout of the settings: it is for
// all who wait, however little time one of them has.
func (p *shared) dial() (_ *streams.Conn, err error) {
	t := p.target
	defer t.registry.recoverInto(&err, "dial")
	limit := t.tuned.Load().connect
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	conn, err := t.connect(ctx, t.openSocket, overHTTP2)
	if err == nil && choseHTTP1(conn) {
		p.hand(conn)
		return nil, errOther
	}
	var c *streams.Conn
	if err == nil {
		c, err = p.begin(ctx, conn)
	}
	return c, within(err, "timeouts.connect", limit)
}

// choseHTTP1 reports whether a target that may choose has chosen HTTP/1.
func choseHTTP1(conn net.Conn) bool {
	secure, ok := conn.(*tls.Conn)
	return ok && secure.ConnectionState().NegotiatedProtocol != "h2"
}

// begin speaks HTTP/2 on a connection.
func (p *shared) begin(ctx context.Context, conn net.Conn) (*streams.Conn, error) {
	t, tuned := p.target, p.target.tuned.Load()
	c, err := streams.NewConn(ctx, conn, socketOf(conn), streams.Options{
		Most: tuned.maxStreams, Idle: tuned.idleTimeout, WriteIdle: tuned.idle, Age: jitter(tuned.maxAge, t.registry.options.Rand()),
		Freed: p.freed, Gone: p.gone,
	})
	if err != nil {
		return nil, &ConnectError{Target: t.Name(), Address: t.address.HostPort(), Err: t.explainBegin(err)}
	}
	return c, nil
}

// hand leaves a connection of HTTP/1 to the request that is about to ask for one,
// and has the others ask there, too.
func (p *shared) hand(conn net.Conn) {
	t := p.target
	if old := t.spare.Swap(newConn(conn, 0)); old != nil {
		_ = old.Close()
	}
	t.chosen.Store(socket.Nanotime())
}

// askAgain is how long a target that has chosen HTTP/1 isn't asked again.
const askAgain = int64(10 * time.Minute)

// sharedConns returns the connections that requests share, nil where each has one
// of its own: a target of HTTP/1, or one that has chosen it.
func (t *Target) sharedConns(now int64) *shared {
	p := t.shared.Load()
	if p == nil {
		return nil
	}
	if at := t.chosen.Load(); at != 0 && now-at < askAgain {
		return nil
	}
	return p
}

// explainBegin says what a target is told apart by that doesn't speak HTTP/2.
func (t *Target) explainBegin(err error) error {
	switch {
	case errors.Is(err, streams.ErrHTTP1):
		return fmt.Errorf("it speaks HTTP/1: its url should begin with %s", insecureOr(t.address.Secure(), "https://", "http://"))
	case errors.Is(err, streams.ErrTLS):
		return fmt.Errorf("it speaks TLS, and was spoken to without: its url should begin with %s", secured[t.address.Scheme])
	}
	if secured := secured[t.address.Scheme]; secured != "" && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)) {
		return fmt.Errorf("%w; if it speaks TLS, its url should begin with %s, and with http:// if it speaks HTTP/1", err, secured)
	}
	return err
}

func insecureOr(secure bool, with, without string) string {
	if secure {
		return with
	}
	return without
}

var secured = map[string]string{"h2c": "h2://", "grpc": "grpcs://"}
