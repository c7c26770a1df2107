package http2

import (
	"io"
	"sync"

	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// Intake is the content that a stream receives: a window, and the bytes that nobody
// has read yet. One goroutine puts in what comes (Put, End), one takes it out (Next
// and the other methods of a body); Fail, Interrupt, Expire and Sweep may be called
// by any.
//
// The window is given back as content is taken, so that a stream that nobody reads
// holds one window at most, and takes nothing from others. It grows while content is
// taken as fast as it comes, and shrinks when it no longer is (window.go). What
// is held is charged: to the account that Begin names, until content is taken, and then
// to the owner's.
type Intake struct {
	mu     sync.Mutex
	cond   sync.Cond // something has changed
	buf    []byte    // buf[r:w] has come; guarded by mu, as all below
	r, w   int
	later  []part // what has come behind it
	unread int    // bytes of both
	window int32  // what may still come
	size   Window // what the client may send that nobody has read
	left   int64  // of the content's length; below 0 where it isn't known
	came   int64
	taken  int64
	limit  int64
	ended  bool  // all has come
	err    error // stays
	stop   error // of Interrupt
	expiry int64
	waits  bool

	trailer message.Header

	charge   memory.Charge
	owner    *memory.Charge // whose account the charge is on from the first content that is taken
	followed bool

	view     []byte // what Next has returned a part of; the taker's
	GiveBack func(increment uint32)
}

// keepTrailer is the room for fields of a trailer section that is kept.
const keepTrailer = 16

// unknownLength is what is left where no length is known.
const unknownLength = int64(-1)

// Begin makes i ready for content of a length that isn't known. What is held is
// charged to the account, and once it is asked for, to that of owner, which is then
// left alone by whoever else moves it.
func (i *Intake) Begin(account *memory.Account, owner *memory.Charge) {
	i.cond.L = &i.mu
	i.window, i.left, i.owner = FirstWindow, unknownLength, owner
	i.size.Begin(FirstWindow)
	i.charge.Begin(account)
}

// Expect says how long the content is; message.Unsized is not known. It reports
// whether that is true of what has come already.
func (i *Intake) Expect(length int64) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if length < 0 || i.err != nil {
		return true
	}
	if i.left = length - i.came; i.left < 0 || i.left > 0 && i.ended {
		i.left = 0
		i.fail(message.WrongLength)
		return false
	}
	return true
}

// Reset ends the use of i: nobody else may have it.
func (i *Intake) Reset(account *memory.Account) {
	i.mu.Lock()
	i.drop()
	i.mu.Unlock()
	i.charge.End(account, 0)
	trailer := i.trailer[:0]
	if clear(i.trailer); cap(trailer) > keepTrailer {
		trailer = nil
	}
	*i = Intake{trailer: trailer, later: i.later, GiveBack: i.GiveBack}
}

// drop gives all buffers back; it needs mu.
func (i *Intake) drop() {
	i.free(i.buf)
	i.free(i.view)
	i.buf, i.view, i.r, i.w, i.unread = nil, nil, 0, 0, 0
	for _, p := range i.later {
		i.free(p.buf)
	}
	clear(i.later)
	i.later = i.later[:0]
	i.breakPromise()
}

func (i *Intake) free(buf []byte) {
	if buf != nil {
		i.charge.Release(int64(cap(buf)))
		memory.ReleaseBuffer(buf)
	}
}

// Put takes what has come; flow is what it counts in the window, with padding. An
// error is the stream's: a *StreamError without its number.
func (i *Intake) Put(p []byte, flow int) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if flow > int(i.window) {
		return &StreamError{Code: FlowControlError, Why: "DATA is beyond the stream's window"}
	}
	i.window -= int32(flow) //nolint:gosec // G115: it fits, see above
	i.came += int64(len(p))
	switch {
	case i.ended:
		return &StreamError{Code: StreamClosed, Why: "DATA after the end of the stream"}
	case i.err != nil: // nobody wants it
		return nil
	case i.left >= 0 && int64(len(p)) > i.left:
		i.fail(message.WrongLength)
		return &StreamError{Code: ProtocolError, Why: message.WrongLength.Error()}
	case i.left >= 0:
		i.left -= int64(len(p))
	}
	if len(p) > 0 && !i.add(p) {
		i.fail(memory.ErrNoMemory)
		return nil
	}
	i.cond.Broadcast()
	return nil
}

// End says that all has come, with the trailer section in a block, or without one.
// Errors are as those of Put.
func (i *Intake) End(trailer *Block) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.ended = true
	i.breakPromise() // there is nothing more to come
	defer i.cond.Broadcast()
	if i.err != nil {
		return nil
	}
	if i.left > 0 {
		i.fail(message.WrongLength)
		return &StreamError{Code: ProtocolError, Why: message.WrongLength.Error()}
	}
	if trailer == nil {
		return nil
	}
	if !i.charge.Acquire(trailer.Held()) { // until Reset
		i.fail(memory.ErrNoMemory)
		return nil
	}
	var err error
	if i.trailer, err = ParseTrailer(trailer, i.trailer[:0]); err != nil {
		i.fail(err)
		return &StreamError{Code: ProtocolError, Why: err.Error()}
	}
	return nil
}

// Fail ends the content with an error, unless it has ended: nothing more is taken.
func (i *Intake) Fail(err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.ended {
		i.fail(err)
	}
}

// fail needs mu.
func (i *Intake) fail(err error) {
	if i.err == nil {
		i.err = err
	}
	i.breakPromise()
	if i.cond.L != nil {
		i.cond.Broadcast()
	}
}

// Ended reports whether all has come.
func (i *Intake) Ended() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.ended
}

// Held is what is charged for it.
func (i *Intake) Held() int64 { return i.charge.Held() }

// Expire bounds the waits for content (socket.Nanotime), and one under way; 0 is no
// bound.
func (i *Intake) Expire(at int64) {
	i.mu.Lock()
	i.expiry = at
	i.mu.Unlock()
}

// Sweep ends a wait whose expiry has passed.
func (i *Intake) Sweep(now int64) {
	i.mu.Lock()
	if i.waits && i.expiry != 0 && now >= i.expiry {
		i.cond.Broadcast()
	}
	i.mu.Unlock()
}

// Interrupt ends waits with an error, until Resume.
func (i *Intake) Interrupt(cause error) {
	i.mu.Lock()
	i.stop = cause
	if i.cond.L != nil {
		i.cond.Broadcast()
	}
	i.mu.Unlock()
}

// Resume undoes that.
func (i *Intake) Resume() {
	i.mu.Lock()
	i.stop = nil
	i.mu.Unlock()
}

// Limit makes Next fail with message.BodyTooLarge as soon as there is more.
func (i *Intake) Limit(most int64) {
	i.mu.Lock()
	i.limit = most
	i.mu.Unlock()
}

// await returns once there is content, or none to come; it needs mu, which it may
// let go meanwhile.
func (i *Intake) await() error {
	if !i.followed {
		i.followed = true
		if !i.charge.Follow(i.owner) {
			i.fail(memory.ErrNoMemory)
		}
	}
	i.advance()
	for {
		switch {
		case i.limit > 0 && i.came > i.limit:
			i.fail(message.BodyTooLarge)
			return i.err
		case i.r < i.w:
			return nil
		case i.err != nil:
			return i.err
		case i.ended || i.left == 0:
			i.err = io.EOF
			return io.EOF
		case i.stop != nil:
			i.fail(i.stop)
			return i.err
		case i.expiry != 0 && socket.Nanotime() >= i.expiry:
			return socket.ErrTimeout
		}
		if i.returnCredit() { // of padding that came without content
			continue
		}
		i.free(i.buf) // who waits holds none
		i.buf, i.r, i.w = nil, 0, 0
		i.waits = true
		i.cond.Wait()
		i.waits = false
	}
}
