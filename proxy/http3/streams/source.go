package streams

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/http3"
	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// source reads what comes on a stream, and the heads of frames in place. One goroutine
// reads; Expire, Interrupt and Resume may be called by any.
type source struct {
	from  *quic.Stream
	buf   []byte // buf[r:w] has been read; nil: nothing has
	r, w  int
	ended bool // all has been read from QUIC
	peek  [1]byte

	mu      sync.Mutex
	waits   bool  // guarded by mu, as all below
	expiry  int64 // of reads; 0 is none
	applied int64 // which QUIC knows of
	stop    error // ends reads, until Resume
	gone    error // ends them for good
}

// buffered is how much has been read and not been taken.
func (in *source) buffered() int { return in.w - in.r }

// Expire bounds reads, and one under way (socket.Nanotime); 0 is no bound.
func (in *source) Expire(at int64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.expiry = at
	if in.waits {
		in.apply()
	}
}

// Interrupt ends reads with an error, until Resume.
func (in *source) Interrupt(cause error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.stop = cause
	if in.waits {
		in.apply()
	}
}

// Resume undoes Interrupt.
func (in *source) Resume() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.stop = nil
}

// fail ends reads for good.
func (in *source) fail(cause error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.gone == nil {
		in.gone = cause
	}
	if in.waits {
		in.apply()
	}
}

// why is what ends reads, if anything. It needs mu.
func (in *source) why() error {
	if in.gone != nil {
		return in.gone
	}
	return in.stop
}

// stopped is a time that has passed.
const stopped = int64(1)

// apply tells QUIC until when to wait. It needs mu.
func (in *source) apply() {
	at := in.expiry
	if in.why() != nil {
		at = stopped
	}
	if at == in.applied {
		return
	}
	in.applied = at
	var deadline time.Time
	if at != 0 {
		deadline = time.Now().Add(time.Duration(at - socket.Nanotime()))
	}
	_ = in.from.SetReadDeadline(deadline) // it has no errors
}

// read reads into p, or with peek only waits for what there is to read.
func (in *source) read(p []byte, peek bool) (n int, err error) {
	in.mu.Lock()
	if why := in.why(); why != nil {
		in.mu.Unlock()
		return 0, why
	}
	in.waits = true
	in.apply()
	in.mu.Unlock()
	if peek {
		n, err = in.from.Peek(p)
	} else {
		n, err = in.from.Read(p)
	}
	in.mu.Lock()
	in.waits = false
	why := in.why()
	in.mu.Unlock()
	switch {
	case err == nil || n > 0 && err != io.EOF:
		return n, nil
	case err == io.EOF:
		in.ended = in.ended || !peek
		if n > 0 {
			err = nil
		}
		return n, err
	case why != nil:
		return 0, why
	case errors.Is(err, os.ErrDeadlineExceeded):
		return 0, socket.ErrTimeout
	}
	return 0, exchange.ErrClientGone
}

// fill reads more into the buffer. At the end of all it returns io.EOF.
func (in *source) fill() error {
	if in.ended {
		return io.EOF
	}
	if in.buf == nil {
		in.buf = memory.AcquireBuffer(memory.SmallBuffer)
	}
	if in.r > 0 {
		in.r, in.w = 0, copy(in.buf, in.buf[in.r:in.w])
	}
	n, err := in.read(in.buf[in.w:], false)
	in.w += n
	return err
}

var errTruncated = &http3.ConnError{Code: http3.FrameError, Why: "a stream ends within a frame"}

// frame reads the head of the next frame; io.EOF: there is none.
func (in *source) frame() (t http3.FrameType, length uint64, err error) {
	for {
		t, length, n := http3.ParseFrame(in.buf[in.r:in.w])
		if n > 0 {
			in.r += n
			return t, length, nil
		}
		if err := in.fill(); err != nil {
			if err == io.EOF && in.buffered() > 0 {
				err = errTruncated
			}
			return 0, 0, err
		}
	}
}

// skip reads what isn't wanted.
func (in *source) skip(length uint64) error {
	for length > 0 {
		if in.buffered() == 0 {
			if err := in.fill(); err != nil {
				return truncated(err)
			}
			continue
		}
		n := min(length, uint64(in.buffered())) //nolint:gosec // G115: it isn't negative
		in.r += int(n)                          //nolint:gosec // G115: it is less than the buffer
		length -= n
	}
	return nil
}

// truncated is what the end of a stream means within a frame.
func truncated(err error) error {
	if err == io.EOF {
		return errTruncated
	}
	return err
}

// payload reads all of a frame, within the buffer if it fits, else into memory that is
// charged, as it comes, and which free gives back.
func (in *source) payload(length int, charge *memory.Charge) (p []byte, free func(), err error) {
	if length <= memory.SmallBuffer && (in.buf == nil || len(in.buf) >= length) {
		for in.buffered() < length {
			if err := in.fill(); err != nil {
				return nil, nil, truncated(err)
			}
		}
		p = in.buf[in.r : in.r+length]
		in.r += length
		return p, func() {}, nil
	}
	free = func() { charge.Release(int64(cap(p))) }
	for len(p) < length {
		if in.buffered() == 0 {
			if err := in.fill(); err != nil {
				free()
				return nil, nil, truncated(err)
			}
			continue
		}
		n := min(length-len(p), in.buffered())
		for cap(p)-len(p) < n {
			grown := charge.Grow(p, int64(length)+memory.SmallBuffer)
			if grown == nil {
				free()
				return nil, nil, memory.ErrNoMemory
			}
			p = grown
		}
		p = append(p, in.buf[in.r:in.r+n]...)
		in.r += n
	}
	return p, free, nil
}

// release gives the buffer back.
func (in *source) release(charge *memory.Charge) {
	if in.buf == nil {
		return
	}
	if cap(in.buf) > memory.SmallBuffer {
		charge.Release(int64(cap(in.buf)))
	}
	memory.ReleaseBuffer(in.buf)
	in.buf, in.r, in.w = nil, 0, 0
}

// reset forgets the stream. Nobody else may have it.
func (in *source) reset() {
	in.from, in.buf, in.r, in.w, in.ended = nil, nil, 0, 0, false
	in.waits, in.expiry, in.applied, in.stop, in.gone = false, 0, 0, nil, nil
}
