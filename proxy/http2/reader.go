package http2

import (
	"encoding/binary"
	"errors"
	"io"

	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
)

// Reader reads frames. Its buffer is pooled, held only while there is something in
// it, where the source can wait without one, and becomes a large one when much
// comes. It is not safe for concurrent use.
type Reader struct {
	// Account counts large buffers; nil is none.
	Account *memory.Account

	src     io.Reader
	lazy    lazySource // src, if it can
	buf     []byte
	r, w    int // buf[r:w] is unread
	frame   Frame
	wide    bool // the last read has filled its buffer
	acquire func() []byte
	release func([]byte)
}

// lazySource is a source that can wait without holding a buffer.
type lazySource interface {
	ReadLazily(acquire func() []byte, release func([]byte)) ([]byte, int, error)
}

// Reset makes r read from src, after what has been read from it already.
func (r *Reader) Reset(src io.Reader, read []byte) {
	r.Release()
	r.src = src
	r.lazy, _ = src.(lazySource)
	if r.acquire == nil {
		r.acquire, r.release = r.acquireBuffer, r.releaseBuffer
	}
	if len(read) > 0 {
		r.wide = len(read) > memory.SmallBuffer
		r.buf = r.acquireBuffer()
		r.w = copy(r.buf, read)
	}
}

// Release gives the buffer back, with whatever is in it.
func (r *Reader) Release() {
	if r.buf != nil {
		r.releaseBuffer(r.buf)
	}
	r.buf, r.r, r.w, r.wide = nil, 0, 0, false
}

func (r *Reader) acquireBuffer() []byte {
	if !r.wide {
		return memory.AcquireBuffer(memory.SmallBuffer)
	}
	if r.Account != nil {
		r.Account.Hold(memory.LargeBuffer)
	}
	return memory.AcquireBuffer(memory.LargeBuffer)
}

func (r *Reader) releaseBuffer(buf []byte) {
	if len(buf) == memory.LargeBuffer && r.Account != nil {
		r.Account.Release(memory.LargeBuffer)
	}
	memory.ReleaseBuffer(buf)
}

// Buffered returns the number of bytes that have been read, and are no whole frame
// that Next has returned.
func (r *Reader) Buffered() int { return r.w - r.r }

// Ready reports whether Next would return at once.
func (r *Reader) Ready() bool {
	data := r.buf[r.r:r.w]
	return len(data) >= FrameHead && len(data)-FrameHead >= frameLength(data)
}

// Partial returns of which type the frame is of which only a part has been read, as
// far as that is known.
func (r *Reader) Partial() (t FrameType, ok bool) {
	data := r.buf[r.r:r.w]
	if len(data) <= 3 {
		return Headers, len(data) > 0
	}
	return FrameType(data[3]), true
}

func frameLength(head []byte) int {
	return int(head[0])<<16 | int(head[1])<<8 | int(head[2])
}

// Preface reads what a client begins with, or what is left of it.
func (r *Reader) Preface(left string) error {
	for r.Buffered() < len(left) {
		if n := r.Buffered(); string(r.buf[r.r:r.w]) != left[:n] {
			return errPreface
		}
		if err := r.fill(); err != nil {
			return err
		}
	}
	if string(r.buf[r.r:r.r+len(left)]) != left {
		return errPreface
	}
	r.r += len(left)
	return nil
}

var errPreface = connError(ProtocolError, "the connection does not begin with the preface of HTTP/2")

// Next returns the next frame, which is valid until it is called again. The source's
// errors are as they are, but for io.EOF within a frame.
func (r *Reader) Next() (*Frame, error) {
	for {
		if data := r.buf[r.r:r.w]; len(data) >= FrameHead {
			length := frameLength(data)
			if length > MaxFrame {
				return nil, frameSize("a frame is longer than SETTINGS_MAX_FRAME_SIZE")
			}
			if len(data) >= FrameHead+length {
				r.frame = Frame{
					Type: FrameType(data[3]), Flags: data[4], Stream: binary.BigEndian.Uint32(data[5:]) & MaxStream,
					Length: length, Payload: data[FrameHead : FrameHead+length : FrameHead+length],
				}
				r.r += FrameHead + length
				return &r.frame, nil
			}
			if FrameHead+length > len(r.buf) {
				r.widen()
			}
		}
		if err := r.fill(); err != nil {
			if errors.Is(err, io.EOF) && r.Buffered() > 0 {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
}

// widen goes on with a large buffer, in which every frame has room.
func (r *Reader) widen() {
	old := r.buf
	r.wide = true
	r.buf = r.acquireBuffer()
	r.w = copy(r.buf, old[r.r:r.w])
	r.r = 0
	r.releaseBuffer(old)
}

// fill reads once. An empty reader whose source can wait without a buffer does.
func (r *Reader) fill() error {
	if r.r == r.w {
		r.r, r.w = 0, 0
		if r.lazy != nil {
			if r.buf != nil {
				r.releaseBuffer(r.buf)
				r.buf = nil
			}
			buf, n, err := r.lazy.ReadLazily(r.acquire, r.release)
			if err != nil {
				return err
			}
			r.buf, r.w = buf, n
			r.wide = n == len(buf)
			return nil
		}
		if r.buf != nil && r.wide != (len(r.buf) == memory.LargeBuffer) {
			r.releaseBuffer(r.buf)
			r.buf = nil
		}
	}
	if r.buf == nil {
		r.buf = r.acquireBuffer()
	}
	if r.r > 0 && r.w == len(r.buf) {
		r.w = copy(r.buf, r.buf[r.r:r.w])
		r.r = 0
	}
	n, err := r.src.Read(r.buf[r.w:])
	r.w += n
	switch {
	case n > 0:
		r.wide = r.w == len(r.buf) || r.wide && n > memory.SmallBuffer
		return nil
	case err == nil:
		return io.ErrNoProgress
	}
	return err
}
