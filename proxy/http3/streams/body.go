package streams

import (
	"io"

	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/http2"
	"github.com/keystone-gateway/keystone-gateway/proxy/http3"
	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// body is the content of a request: an exchange.Body. What has come and isn't taken is
// in QUIC's hands, within the stream's window, which is charged as long as there may be
// content.
type body struct {
	s       *stream
	left    uint64 // of the DATA frame that is being taken
	rest    int64  // of the content's length; below 0 where it isn't known
	taken   int64
	limit   int64
	trailed bool  // the trailer section has come
	err     error // stays
	trailer message.Header
	block   http2.Block // the trailer's
}

// unknownLength is the rest where no length is known.
const unknownLength = int64(-1)

// begin says how long the content is; message.Unsized is not known.
func (b *body) begin(length int64) {
	b.rest = unknownLength
	if length >= 0 {
		b.rest = length
	}
	window := int64(FirstWindow)
	if b.rest >= 0 {
		window = min(window, b.rest)
	}
	if window == 0 || b.s.ended {
		return
	}
	if !b.s.charge.Acquire(window) { // until the end
		b.err = memory.ErrNoMemory
	}
}

// keepTrailer is the room for fields of a trailer section that is kept.
const keepTrailer = 16

func (b *body) reset() {
	trailer := b.trailer[:0]
	if clear(b.trailer); cap(trailer) > keepTrailer {
		trailer = nil
	}
	b.block.Reset(0)
	*b = body{s: b.s, trailer: trailer, block: b.block}
}

// Next returns the next part, valid until the next call; io.EOF after the last one.
func (b *body) Next() ([]byte, error) {
	in := &b.s.in
	if err := b.await(true); err != nil {
		return nil, err
	}
	n := min(uint64(in.buffered()), b.left) //nolint:gosec // G115: it isn't negative
	end := in.r + int(n)                    //nolint:gosec // G115: it is within the buffer
	span := in.buf[in.r:end:end]
	in.r = end
	b.take(n)
	return span, nil
}

// ReadInto is Next without another buffer between.
func (b *body) ReadInto(p []byte) (int, error) {
	in := &b.s.in
	if err := b.await(false); err != nil {
		return 0, err
	}
	p = p[:min(uint64(len(p)), b.left)]
	n := copy(p, in.buf[in.r:in.w])
	in.r += n
	if n == 0 {
		var err error
		if n, err = in.read(p, false); err != nil {
			return 0, b.fail(truncated(err))
		}
	}
	b.take(uint64(n)) //nolint:gosec // G115: it isn't negative
	return n, nil
}

func (b *body) take(n uint64) {
	b.left -= n
	b.taken += int64(n) //nolint:gosec // G115: it is within a buffer
	if b.rest >= 0 {
		b.rest -= int64(n) //nolint:gosec // G115: it is within the rest
	}
}

// await returns once a DATA frame is being taken, with something of it in the buffer if
// that is wanted, or there is nothing to come.
func (b *body) await(buffered bool) error {
	in := &b.s.in
	for b.err == nil {
		switch {
		case b.left > 0 && (in.buffered() > 0 || !buffered):
			return nil
		case b.left > 0:
			_ = b.fail(truncated(b.refill())) // which the loop looks at, as below
		case b.rest == 0 && in.buffered() == 0:
			_ = b.fail(io.EOF)
		default:
			_ = b.fail(b.nextFrame())
		}
	}
	return b.err
}

// refill waits for content without a buffer, and then reads it into one that is as large
// as what may come needs.
func (b *body) refill() error {
	in := &b.s.in
	size := memory.SmallBuffer
	if b.rest < 0 || b.rest > memory.SmallBuffer {
		size = memory.LargeBuffer
	}
	in.release(&b.s.charge)
	if _, err := in.read(in.peek[:], true); err != nil {
		return err
	}
	if size == memory.LargeBuffer && b.s.charge.Acquire(memory.LargeBuffer) {
		in.buf = memory.AcquireBuffer(memory.LargeBuffer)
	}
	return in.fill()
}

// nextFrame takes the head of the next frame; io.EOF: there is none.
func (b *body) nextFrame() error {
	t, length, err := b.s.in.frame()
	switch {
	case err == io.EOF && b.rest > 0:
		return b.malformed(message.WrongLength)
	case err != nil:
		return err
	case (t == http3.Data || t == http3.Headers) && b.trailed:
		return &http3.ConnError{Code: http3.FrameUnexpected, Why: "a frame has come behind a trailer section"}
	case t == http3.Data:
		return b.data(length)
	case t == http3.Headers:
		return b.takeTrailer(length)
	}
	return b.s.skipFrame(t, length)
}

// data begins with a DATA frame.
func (b *body) data(length uint64) error {
	switch {
	case b.rest >= 0 && length > uint64(b.rest):
		return b.malformed(message.WrongLength)
	case b.limit > 0 && length > uint64(max(0, b.limit-b.taken)):
		return message.BodyTooLarge
	case length == 0:
		return asError(b.s.conn.calm(EmptyFrames))
	case length <= tiny:
		if err := b.s.conn.calm(TinyFrames); err != nil {
			return err
		}
	}
	b.left = length
	return nil
}

// asError is nil where e is.
func asError(e *http3.ConnError) error {
	if e == nil {
		return nil
	}
	return e
}

// takeTrailer takes the trailer section.
func (b *body) takeTrailer(length uint64) error {
	s := b.s
	if b.rest > 0 {
		return b.malformed(message.WrongLength)
	}
	if length > uint64(s.conn.maxSection()) { //nolint:gosec // G115: it isn't negative
		return b.malformed(message.BadTrailer)
	}
	section, free, err := s.in.payload(int(length), &s.charge) //nolint:gosec // G115: see above
	if err != nil {
		return err
	}
	defer free()
	b.block.Reset(s.conn.server.MaxHeader())
	if !s.decoder.Decode(section, &b.block) {
		return &http3.ConnError{Code: http3.DecompressionFailed, Why: "a field section can't be decoded"}
	}
	if !s.charge.Acquire(b.block.Held()) { // until the end
		return memory.ErrNoMemory
	}
	b.trailed = true
	if b.trailer, err = http2.ParseTrailer(&b.block, b.trailer[:0]); err != nil {
		return b.malformed(message.BadTrailer)
	}
	return nil
}

// malformed says that the content makes the request none.
func (b *body) malformed(why message.Violation) error {
	b.s.bad = true
	return why
}

// fail ends the content with an error, which stays, and the connection where it is one
// of that.
func (b *body) fail(err error) error {
	if err == nil {
		return nil
	}
	if wrong, ok := err.(*http3.ConnError); ok { //nolint:errorlint // it isn't wrapped
		b.s.conn.fail(wrong)
		err = exchange.ErrClientGone
	}
	if b.err == nil {
		b.err = err
	}
	return b.err
}

// Ready reports whether Next would return at once, as far as is known.
func (b *body) Ready() bool {
	return b.err != nil || b.left > 0 && b.s.in.buffered() > 0 || b.left == 0 && b.rest == 0 || b.atEnd()
}

// Done reports whether all has been taken.
func (b *body) Done() bool {
	return b.err == io.EOF || b.err == nil && b.left == 0 && (b.rest == 0 || b.atEnd())
}

// atEnd reports whether nothing more is to come, however long the content is.
func (b *body) atEnd() bool {
	return b.s.in.ended && b.s.in.buffered() == 0 && b.left == 0 && b.rest <= 0
}

// Read returns how much has been taken, in bytes.
func (b *body) Read() int64 { return b.taken }

// Limit makes Next fail with message.BodyTooLarge as soon as there is more.
func (b *body) Limit(most int64) { b.limit = most }

// Trailer is valid after io.EOF.
func (b *body) Trailer() message.Header { return b.trailer }

var _ exchange.Body = (*body)(nil)
