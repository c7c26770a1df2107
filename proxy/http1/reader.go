package http1

import (
	"bytes"
	"errors"
	"io"

	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// Allowance is asked before a large buffer is taken, and told when it is given
// back. It must be safe for concurrent use.
type Allowance interface {
	Acquire(bytes int64) bool
	Release(bytes int64)
}

// LazySource is a source that can wait without holding a buffer.
type LazySource interface {
	ReadLazily(acquire func() []byte, release func([]byte)) ([]byte, int, error)
}

// ErrNothing reports that a connection ended before the first byte of a
// message: not an error, but the end of a keep-alive connection. It wraps the
// source's error.
type ErrNothing struct{ Err error }

func (e *ErrNothing) Error() string { return "nothing received: " + e.Err.Error() }

// Unwrap returns the source's error.
func (e *ErrNothing) Unwrap() error { return e.Err }

// Reader is a buffered reader of messages. Its buffer is pooled, held only
// while there is something in it, and becomes a large one when a body makes
// that worthwhile. It is not safe for concurrent use.
type Reader struct {
	// Acquire returns the buffer to begin with; nil is AcquireSmall.
	Acquire func() []byte
	// Allowance grants large buffers; nil grants all. A body that gets none is
	// read through a smaller one. It may be changed only while Charged is 0.
	Allowance Allowance

	src     io.Reader
	lazy    LazySource // src, if it can
	buf     []byte
	r, w    int   // buf[r:w] is unread
	charged int64 // of Allowance
	reads   int   // of the source so far
	// scanned is how far beyond r the head's line ends have been checked.
	scanned int
	// skipEmpty lets one empty line before a head pass.
	skipEmpty bool
	// wide says that a body has asked for large buffers. Then large is
	// acquireLarge, and giveBack release.
	wide     bool
	large    func() []byte
	giveBack func([]byte)
}

// Reset makes r read from src. What was buffered is lost.
func (r *Reader) Reset(src io.Reader) {
	r.Release()
	r.src = src
	r.lazy, _ = src.(LazySource)
}

// Release gives the buffer back, with whatever is in it.
func (r *Reader) Release() {
	if r.buf != nil {
		r.release(r.buf)
	}
	r.buf, r.r, r.w, r.scanned, r.skipEmpty, r.wide = nil, 0, 0, 0, false, false
}

// release gives a buffer back that was acquired with the charge there is.
func (r *Reader) release(buf []byte) {
	if buf != nil {
		memory.ReleaseBuffer(buf)
	}
	if r.charged > 0 {
		r.Allowance.Release(r.charged)
		r.charged = 0
	}
}

// acquire returns a buffer of that size; one larger than usual is charged, and
// nil if that isn't allowed. What is charged for the buffer that it is to
// replace is in was, for the caller to release.
func (r *Reader) acquire(size int) (buf []byte, was int64) {
	was = r.charged
	if r.Allowance != nil {
		if !r.Allowance.Acquire(int64(size)) {
			return nil, was
		}
		r.charged = int64(size)
	}
	if size == memory.LargeBuffer {
		return memory.AcquireBuffer(size), was
	}
	return make([]byte, size), was
}

// acquireLarge is acquire for an empty reader that is about to wait.
func (r *Reader) acquireLarge() []byte {
	if buf, _ := r.acquire(memory.LargeBuffer); buf != nil {
		return buf
	}
	return r.acquireFunc()()
}

// Charged returns what the buffer is charged.
func (r *Reader) Charged() int64 { return r.charged }

// Buffered returns the number of unread bytes.
func (r *Reader) Buffered() int { return r.w - r.r }

// Reads returns how often the source has been read.
func (r *Reader) Reads() int { return r.reads }

// Wait returns when at least one byte is buffered. The error of a source that
// ended before is an *ErrNothing.
func (r *Reader) Wait() error {
	r.wide = false
	if r.r < r.w {
		return nil
	}
	if err := r.fill(); err != nil {
		r.Release()
		return &ErrNothing{Err: err}
	}
	return nil
}

// ReadHead appends the next head, from its first line to the empty line, to
// dst and consumes it. It fails with a Violation as soon as the bytes can't
// become a head of at most limit bytes; with io.ErrUnexpectedEOF when the
// source ends within; with an *ErrNothing when it ends before.
func (r *Reader) ReadHead(dst []byte, limit int) ([]byte, error) {
	if err := r.Wait(); err != nil {
		return dst, err
	}
	for {
		n, err := r.scanHead(limit)
		if err != nil {
			return dst, err
		}
		if n > 0 {
			dst = append(dst, r.buf[r.r:r.r+n]...)
			r.consume(n)
			return dst, nil
		}
		if err := r.more(limit); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return dst, err
		}
	}
}

// SkipEmptyLine lets the next head have one empty line before it, as some
// clients send after a body (RFC 9112 §2.2).
func (r *Reader) SkipEmptyLine() { r.skipEmpty = true }

// Adopt takes over a buffer of AcquireBuffer's with n bytes in it; only for an
// empty reader.
func (r *Reader) Adopt(buf []byte, n int) {
	r.Release()
	r.buf, r.w = buf, n
}

// scanHead returns the head's length once it is complete, else 0. It checks
// line ends and the first byte of the head as they come, so that a sender of
// garbage need not be waited for.
func (r *Reader) scanHead(limit int) (int, error) {
	data := r.buf[r.r:r.w]
	if r.scanned == 0 {
		if r.skipEmpty && len(data) > 1 && data[0] == '\r' && data[1] == '\n' {
			r.skipEmpty = false
			r.consume(2)
			data = data[2:]
		}
		if len(data) > 0 && (data[0] != '\r' || !r.skipEmpty) && !message.IsTokenByte(data[0]) {
			return 0, message.BadRequestLine
		}
		if len(data) > 1 && data[0] == '\r' {
			return 0, message.BadLineEnd
		}
	}
	for at := r.scanned; ; {
		i := bytes.IndexByte(data[at:], '\n')
		if i < 0 {
			r.scanned = at
			if len(data) > limit && at == 0 {
				return 0, message.TargetTooLong
			}
			if len(data) > limit {
				return 0, message.HeaderTooLarge
			}
			return 0, nil
		}
		end := at + i
		switch {
		case end == 0 || data[end-1] != '\r':
			return 0, message.BadLineEnd
		case end+1 > limit && at == 0:
			return 0, message.TargetTooLong
		case end+1 > limit:
			return 0, message.HeaderTooLarge
		case end == at+1: // an empty line
			r.scanned = 0
			return end + 1, nil
		}
		at = end + 1
	}
}

// more reads on, into a larger buffer where this one is full.
func (r *Reader) more(limit int) error {
	if r.buf != nil && r.w == len(r.buf) {
		switch {
		case r.r > 0:
			r.compact()
		case len(r.buf) < memory.LargeBuffer:
			if err := r.grow(memory.LargeBuffer); err != nil {
				return err
			}
		case len(r.buf) <= limit:
			if err := r.grow(2 * len(r.buf)); err != nil {
				return err
			}
		default:
			return message.HeaderTooLarge
		}
	}
	return r.fill()
}

func (r *Reader) compact() {
	r.w = copy(r.buf, r.buf[r.r:r.w])
	r.r = 0
}

func (r *Reader) grow(size int) error {
	buf, was := r.acquire(size)
	if buf == nil {
		return memory.ErrNoMemory
	}
	n := copy(buf, r.buf[r.r:r.w])
	memory.ReleaseBuffer(r.buf)
	if was > 0 {
		r.Allowance.Release(was)
	}
	r.buf, r.r, r.w = buf, 0, n
	return nil
}

// fill reads once. An empty reader whose source can wait without a buffer
// does, or everyone who is slow would keep one.
func (r *Reader) fill() error {
	r.reads++
	acquire, giveBack := r.acquireFunc(), memory.ReleaseBuffer
	if r.wide {
		acquire, giveBack = r.large, r.giveBack
	}
	if r.r == r.w && r.lazy != nil {
		if r.buf != nil {
			r.release(r.buf)
			r.buf, r.r, r.w = nil, 0, 0
		}
		buf, n, err := r.lazy.ReadLazily(acquire, giveBack)
		if err != nil {
			return err
		}
		r.buf, r.r, r.w = buf, 0, n
		return nil
	}
	if r.buf == nil {
		r.buf = acquire()
	}
	if r.r == r.w {
		r.r, r.w = 0, 0
	}
	n, err := r.src.Read(r.buf[r.w:])
	r.w += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

func (r *Reader) acquireFunc() func() []byte {
	if r.Acquire != nil {
		return r.Acquire
	}
	return memory.AcquireSmall
}

// consume drops n bytes, and the buffer with the last of them.
func (r *Reader) consume(n int) {
	r.r += n
	if r.r == r.w {
		r.r, r.w = 0, 0
	}
}

// Peek returns what is buffered, without consuming it; it is valid until the
// next call.
func (r *Reader) Peek() []byte { return r.buf[r.r:r.w] }

// Take returns what is buffered, and consumes it; it is valid until the next
// call.
func (r *Reader) Take() []byte {
	data := r.buf[r.r:r.w]
	r.consume(len(data))
	return data
}
