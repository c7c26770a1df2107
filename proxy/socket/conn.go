// Package socket is the bottom of the data plane: stream sockets that read
// and write with raw non-blocking system calls, coarse deadlines that cost a
// request no timer, and a sweeper that enforces them.
//
//	conn, err := socket.New(accepted, sweeper)
//	conn.SetReadExpiry(socket.Nanotime() + int64(time.Second))
//	n, err := conn.Read(buffer) // socket.ErrTimeout within 100 ms after that
//
// It knows nothing of HTTP. Both sides of the gateway use it: what the
// listener accepts and what a target's dialler opens.
package socket

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// ErrTimeout reports that a deadline set with SetReadExpiry or SetWriteExpiry
// has passed. It satisfies net.Error.
var ErrTimeout net.Error = &timeoutError{}

type timeoutError struct{}

func (*timeoutError) Error() string   { return "i/o timeout" }
func (*timeoutError) Timeout() bool   { return true }
func (*timeoutError) Temporary() bool { return true }

// longAgo, as a deadline, wakes a parked reader or writer at once.
var longAgo = time.Unix(1, 0)

// netConn is what a stream socket of package net offers beyond net.Conn.
type netConn interface {
	net.Conn
	syscall.Conn
	CloseWrite() error
}

// Conn is a TCP or Unix stream socket. One goroutine may read while another
// writes; Close, Abort and the expiry setters may be called by any.
//
// Reads and writes go straight to the descriptor inside the runtime poller's
// critical section. That saves the scheduler's bookkeeping of a blocking
// system call, which is 18 % of the CPU of a small proxied request.
type Conn struct {
	// OnClose, if not nil, is called once, when the socket has been closed. It is
	// set before the connection is used.
	OnClose func()

	nc netConn
	rc syscall.RawConn

	readExpiry, writeExpiry atomic.Int64 // Nanotime, 0 = none
	abort                   atomic.Pointer[error]
	onSweep                 atomic.Pointer[Swept]
	closed                  atomic.Bool

	// Operands and results of the closures below, each of which is made when it is
	// used first: few connections use all. The read side belongs to the reading
	// goroutine, the write side to the writing one.
	rbuf                 []byte
	rn                   int
	acquire              func() []byte
	release              func([]byte)
	readFn               func(uintptr) bool
	lazyFn               func(uintptr) bool
	wbuf                 []byte
	wvec                 [3][]byte
	wn                   int
	wparked              int // wn when the writer was parked last; -1 is not yet
	werr                 syscall.Errno
	writeIdle, writeRate int64 // see SetWriteLimits
	writeTotal           int64
	wsent                int64 // bytes that writes have written before the current one
	wait                 writeWait
	wtotal               int // bytes written until it was called
	nowFn                func(uintptr)
	writeFn              func(uintptr) bool
	vecFn                func(uintptr) bool
	sendFn               func(uintptr) bool
	sendStep             sendStep
	quiet                bool
	untuned              bool // see boundUnsent
	kept                 bool // SendReceive's
	early                bool
	peekFn               func(uintptr)

	// Of ReadPipe and WritePipe, likewise.
	spliceIn  *splicing
	spliceOut *splicing

	sweeper *Sweeper
	slot    int // index in the sweeper's shard, guarded by its lock
	shard   *sweeperShard
}

// sendStep is how far SendReceive has come.
type sendStep uint8

const (
	sendPending sendStep = iota
	sendParked
	sendRefused
)

// ErrStale reports that a kept connection has been closed by its peer, or has
// bytes that nobody asked for. Nothing was written.
var ErrStale = errors.New("the connection is stale")

// New wraps an accepted or dialled stream socket and registers it with the
// sweeper until it is closed. nc must be a *net.TCPConn or *net.UnixConn.
func New(nc net.Conn, sweeper *Sweeper) (*Conn, error) {
	stream, ok := nc.(netConn)
	if !ok {
		return nil, fmt.Errorf("cannot wrap a %T: a TCP or Unix stream socket was expected", nc)
	}
	rc, err := stream.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("cannot reach the descriptor of a %T: %w", nc, err)
	}
	_, tcp := nc.(*net.TCPConn)
	c := &Conn{nc: stream, rc: rc, sweeper: sweeper, untuned: tcp}
	sweeper.add(c)
	return c, nil
}

// Read fills p with what is there, parking until something is.
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.rbuf = p
	if c.readFn == nil {
		c.readFn = c.tryRead
	}
	err := c.parkReading(c.readFn)
	c.rbuf = nil
	return c.readResult(err)
}

// Peek fills p with what is there, as Read does, and leaves it there.
func (c *Conn) Peek(p []byte) (int, error) {
	return c.readResult(c.parkReading(func(fd uintptr) bool {
		c.rn = rawPeek(fd, p)
		return c.rn != errAgain
	}))
}

// ReadLazily parks without holding a buffer: acquire is called only when a
// read is about to be tried, and release when nothing was there. The returned
// slice is the acquired one, of which n bytes are filled; it is nil on error.
// An idle connection thereby costs no buffer.
func (c *Conn) ReadLazily(acquire func() []byte, release func([]byte)) (buf []byte, n int, err error) {
	c.acquire, c.release = acquire, release
	if c.lazyFn == nil {
		c.lazyFn = c.tryReadLazily
	}
	err = c.parkReading(c.lazyFn)
	buf, c.rbuf = c.rbuf, nil
	return c.lazyResult(buf, err)
}

// lazyResult is readResult; on error it releases the buffer.
func (c *Conn) lazyResult(buf []byte, err error) ([]byte, int, error) {
	n, err := c.readResult(err)
	if err != nil && buf != nil {
		c.release(buf)
		buf = nil
	}
	return buf, n, err
}

// SendReceive writes out and parks before its first read: an answer can't be
// there yet, so the read that would find nothing is saved. It returns how much
// of out was written, and what was read as ReadLazily does: while it waits, it
// holds no buffer. An expiry must be set.
//
// kept says that the connection has served before: then it is ErrStale if the
// peer has closed it or sent something meanwhile. On a new one, something that
// is there already is read after writing; Early tells.
func (c *Conn) SendReceive(out []byte, acquire func() []byte, release func([]byte), kept bool) (written int, buf []byte, n int, err error) {
	c.acquire, c.release = acquire, release
	c.wbuf, c.wn, c.sendStep, c.kept, c.early = out, 0, sendPending, kept, false
	if c.sendFn == nil {
		c.sendFn = c.trySend
	}
	err = c.parkReading(c.sendFn)
	written, buf, c.rbuf, c.wbuf = c.wn, c.rbuf, nil, nil
	if err == nil && c.sendStep == sendRefused {
		return 0, nil, 0, ErrStale
	}
	if err == nil && c.sendStep == sendPending {
		// The socket's buffer was full, or the write failed.
		if c.rn < 0 && c.rn != errAgain {
			return written, nil, 0, os.NewSyscallError("write", syscall.Errno(-c.rn))
		}
		rest, werr := c.Write(out[written:])
		written += rest
		if werr != nil {
			return written, nil, 0, werr
		}
		buf, n, err = c.ReadLazily(acquire, release)
		return written, buf, n, err
	}
	buf, n, err = c.lazyResult(buf, err)
	return written, buf, n, err
}

// Write writes all of p.
func (c *Conn) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.wbuf, c.wn, c.wparked, c.werr = p, 0, -1, 0
	if c.writeFn == nil {
		c.writeFn = c.tryWrite
	}
	err := c.parkWriting(c.writeFn)
	c.wbuf = nil
	return c.wn, err
}

// WriteVec writes all of a, b and c with one system call where the socket
// takes them.
func (c *Conn) WriteVec(a, b, d []byte) (int, error) {
	c.wvec, c.wn, c.wparked, c.werr = [3][]byte{a, b, d}, 0, -1, 0
	if c.vecFn == nil {
		c.vecFn = c.tryWriteVec
	}
	err := c.parkWriting(c.vecFn)
	c.wvec = [3][]byte{}
	return c.wn, err
}

// Early reports whether the last SendReceive found something there before it
// had written: the connection must not be used again.
func (c *Conn) Early() bool { return c.early }

// Quiet reports whether the peer has neither closed the connection nor sent
// anything: only then may a kept connection be used for another request. Only
// the reading goroutine may call it.
func (c *Conn) Quiet() bool {
	c.quiet = false
	if c.peekFn == nil {
		c.peekFn = func(fd uintptr) { c.quiet = isQuiet(fd) }
	}
	return c.rc.Control(c.peekFn) == nil && c.quiet
}

// TryWrite writes what the socket takes at once. The caller must know that
// nobody else writes. It returns the count, or a negative number.
func (c *Conn) TryWrite(p []byte) (n int) {
	if err := c.rc.Control(func(fd uintptr) { n = rawWrite(fd, p) }); err != nil {
		return -1
	}
	return n
}

// Peer is what a look at the socket says of the other side.
type Peer uint8

// The states of a peer.
const (
	PeerOpen     Peer = iota
	PeerFinished      // it has closed its sending side, perhaps all of it
	PeerGone          // it has reset the connection
)

// Peer looks at the state of the other side without reading.
func (c *Conn) Peer() Peer {
	state := PeerGone
	if err := c.rc.Control(func(fd uintptr) { state = pollPeer(fd) }); err != nil {
		return PeerGone
	}
	return state
}

// Control calls f with the descriptor, which is not closed meanwhile; it fails
// on a closed connection.
func (c *Conn) Control(f func(fd uintptr)) error { return c.rc.Control(f) }

// OnSweep has who told of every sweep, until the connection is closed or somebody
// else, perhaps nil, is set.
func (c *Conn) OnSweep(who *Swept) { c.onSweep.Store(who) }

// Swept is told of sweeps (Nanotime), on the sweeper's goroutine.
type Swept interface{ Sweep(now int64) }

// Abort ends every current and later read and write with cause, without
// closing the descriptor. Only the first cause counts.
func (c *Conn) Abort(cause error) {
	if c.abort.CompareAndSwap(nil, &cause) {
		_ = c.nc.SetDeadline(longAgo) // fails only on a closed socket
	}
}

// Aborted returns the cause given to Abort, or nil.
func (c *Conn) Aborted() error {
	if cause := c.abort.Load(); cause != nil {
		return *cause
	}
	return nil
}

// ClearAbort makes the connection usable again after Abort.
func (c *Conn) ClearAbort() {
	c.abort.Store(nil)
	_ = c.nc.SetDeadline(time.Time{})
}

// Close closes the socket and ends what is parked on it.
func (c *Conn) Close() error {
	if !c.closed.CompareAndSwap(false, true) {
		return nil
	}
	c.sweeper.remove(c)
	err := c.nc.Close()
	if c.OnClose != nil {
		c.OnClose()
	}
	return err
}

// Reset closes the connection with a TCP reset, so that the peer can't take
// what it has received for complete.
func (c *Conn) Reset() error {
	if tc, ok := c.nc.(*net.TCPConn); ok {
		_ = tc.SetLinger(0)
	}
	return c.Close()
}

// CloseWrite ends the sending side.
func (c *Conn) CloseWrite() error { return c.nc.CloseWrite() }

// LocalAddr returns the local address.
func (c *Conn) LocalAddr() net.Addr { return c.nc.LocalAddr() }

// RemoteAddr returns the peer's address.
func (c *Conn) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }
