package http1

import (
	"bytes"
	"errors"
	"io"

	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// maxChunkLine bounds a chunk's size line with its extensions.
const maxChunkLine = 256

// Body reads one message's body from a Reader, span by span and without
// copying. It is strict: what is not exactly well-formed is a Violation, and
// a source that ends early is io.ErrUnexpectedEOF, never io.EOF.
type Body struct {
	r       *Reader
	framing Framing
	left    int64 // of the body with Length, of the chunk with Chunked
	read    int64
	limit   int64 // 0 is none
	state   chunkState
	err     error
	trailer message.Header
	raw     []byte // what trailer is a view of
}

type chunkState uint8

const (
	chunkSize chunkState = iota
	chunkData
	chunkEnd
	chunkTrailer
)

// Reset prepares b for the body that follows a head in r, and whose length is
// that where it has one.
func (b *Body) Reset(r *Reader, framing Framing, length int64) {
	b.r, b.framing, b.left, b.read, b.limit, b.state, b.err = r, framing, 0, 0, 0, chunkSize, nil
	b.trailer, b.raw = b.trailer[:0], b.raw[:0]
	if framing == Length {
		b.left = length
	}
}

// Next returns the next part of the body, of at least one byte, valid until
// the next call; io.EOF after the last one. Errors stay.
func (b *Body) Next() ([]byte, error) {
	if b.err != nil {
		return nil, b.err
	}
	span, err := b.next()
	b.read += int64(len(span))
	b.err = err
	return span, err
}

// ReadInto is Next for a body with Length: it reads into p, which must not be
// empty, without another buffer between.
func (b *Body) ReadInto(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	p = p[:min(int64(len(p)), b.left)]
	n := copy(p, b.r.buf[b.r.r:b.r.w])
	b.r.consume(n)
	if n == 0 {
		var err error
		if n, err = b.r.src.Read(p); n == 0 {
			if err == nil {
				err = io.ErrNoProgress
			}
			b.err = unexpected(err)
			return 0, b.err
		}
	}
	b.left -= int64(n)
	b.read += int64(n)
	return n, nil
}

// Done reports whether the body has been read to its end.
func (b *Body) Done() bool {
	return b.err == io.EOF || b.framing == NoBody || b.framing == Length && b.left == 0
}

// Limit makes Next fail with BodyTooLarge as soon as the content is known to
// exceed most bytes: with Chunked, once a chunk is announced that would.
func (b *Body) Limit(most int64) { b.limit = most }

// Ready reports whether Next would return without reading from the source.
func (b *Body) Ready() bool {
	switch {
	case b.err != nil || b.Done():
		return true
	case b.framing != Chunked || b.state == chunkData:
		return b.r.Buffered() > 0
	}
	return b.chunkReady(b.r.buf[b.r.r:b.r.w])
}

// chunkReady looks for a byte of content, the end, or a fault in data, which
// starts between two chunks' content.
func (b *Body) chunkReady(data []byte) bool {
	if b.state == chunkTrailer {
		return trailerReady(data)
	}
	if b.state == chunkEnd {
		if len(data) < 2 {
			return false
		}
		data = data[2:]
	}
	end := bytes.IndexByte(data, '\n')
	if end < 0 {
		return len(data) > maxChunkLine+1
	}
	size, ok := parseChunkSize(bytes.TrimSuffix(data[:end], []byte{'\r'}))
	if ok && size == 0 {
		return trailerReady(data[end+1:])
	}
	return !ok || end+1 < len(data) || b.limit > 0 && size > b.limit-b.read
}

func trailerReady(data []byte) bool {
	return bytes.HasPrefix(data, []byte("\r\n")) || bytes.Contains(data, []byte("\r\n\r\n")) || len(data) > message.MaxTrailer+1
}

// Read returns the number of bytes of content read so far.
func (b *Body) Read() int64 { return b.read }

// Left returns the content that is still to come; with Length only.
func (b *Body) Left() int64 { return b.left }

// Trailer returns the trailer fields; valid after io.EOF.
func (b *Body) Trailer() message.Header { return b.trailer }

func (b *Body) next() ([]byte, error) {
	switch b.framing {
	case Length:
		if b.left == 0 {
			return nil, io.EOF
		}
		return b.span(b.left)
	case Chunked:
		return b.nextChunked()
	case UntilClose:
		if b.r.Buffered() == 0 {
			if err := b.r.fillBody(memory.LargeBuffer); err != nil {
				return nil, err
			}
		}
		return b.r.Take(), nil
	}
	return nil, io.EOF
}

// span returns up to limit bytes of content.
func (b *Body) span(limit int64) ([]byte, error) {
	if b.r.Buffered() == 0 {
		if err := b.r.fillBody(limit); err != nil {
			return nil, unexpected(err)
		}
	}
	n := min(limit, int64(b.r.Buffered()))
	data := b.r.buf[b.r.r : b.r.r+int(n)]
	b.r.consume(int(n))
	b.left -= n
	return data, nil
}

// nextChunked walks through RFC 9112 §7.1.
func (b *Body) nextChunked() ([]byte, error) {
	for {
		switch b.state {
		case chunkSize:
			line, err := b.r.line(maxChunkLine)
			if err != nil {
				return nil, err
			}
			size, ok := parseChunkSize(line)
			if !ok {
				return nil, message.BadChunk
			}
			if b.limit > 0 && size > b.limit-b.read {
				return nil, message.BodyTooLarge
			}
			b.left, b.state = size, chunkData
			if size == 0 {
				b.state = chunkTrailer
			}
		case chunkData:
			data, err := b.span(b.left)
			if b.left == 0 {
				b.state = chunkEnd
			}
			return data, err
		case chunkEnd:
			line, err := b.r.line(0)
			if err != nil {
				return nil, err
			}
			if len(line) != 0 {
				return nil, message.BadChunk
			}
			b.state = chunkSize
		case chunkTrailer:
			return nil, b.readTrailer()
		}
	}
}

// readTrailer reads the trailer section and returns io.EOF at its end.
func (b *Body) readTrailer() error {
	for {
		line, err := b.r.line(message.MaxTrailer - len(b.raw))
		if err != nil {
			return err
		}
		if len(line) == 0 {
			break
		}
		b.raw = append(append(b.raw, line...), '\r', '\n')
	}
	for rest := b.raw; len(rest) > 0; {
		var field message.Field
		size, err := parseField(&field, rest)
		if err != nil || len(b.trailer) == message.MaxFields {
			return message.BadTrailer
		}
		b.trailer, rest = append(b.trailer, field), rest[size:]
	}
	return io.EOF
}

// line reads one CRLF-terminated line of at most limit bytes and returns it
// without the CRLF. A lone CR or LF is BadChunk.
func (r *Reader) line(limit int) ([]byte, error) {
	for {
		data := r.buf[r.r:r.w]
		i := bytes.IndexByte(data, '\n')
		switch {
		case i >= 0:
			if i < 1 || data[i-1] != '\r' || i-1 > limit || bytes.IndexByte(data[:i-1], '\r') >= 0 {
				return nil, message.BadChunk
			}
			r.consume(i + 1)
			return data[:i-1], nil
		case len(data) > limit+1:
			return nil, message.BadChunk
		}
		if cr := bytes.IndexByte(data, '\r'); cr >= 0 && cr < len(data)-1 {
			return nil, message.BadChunk
		}
		if err := r.more(memory.LargeBuffer); err != nil {
			return nil, unexpected(err)
		}
	}
}

// fillBody reads once into an empty reader, into a large buffer if much is to
// come: then the rest of the body is read through large ones.
func (r *Reader) fillBody(expected int64) error {
	usual := int64(memory.SmallBuffer)
	if r.Acquire != nil {
		usual = memory.MediumBuffer
	}
	if expected > usual && !r.wide {
		r.wide = true
		if r.large == nil { // once a connection: few have large bodies
			r.large, r.giveBack = r.acquireLarge, r.release
		}
		if r.lazy == nil && len(r.buf) < memory.LargeBuffer {
			r.release(r.buf)
			r.buf, r.r, r.w = nil, 0, 0
		}
	}
	return r.fill()
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
