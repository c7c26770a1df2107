package exchange

import (
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/molecule-man/go-brrr"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// encoded is where content is written to: the client, by way of an encoder where
// it is compressed.
type encoded struct {
	to      Stream   // not as an Answer: to make one of it is a look-up
	encoder *encoder // nil: it isn't
}

// encoded returns where the content of the response is written to, to be released.
func (x *exchange) encoded() encoded {
	e := encoded{to: x.stream}
	if x.coding.compressing {
		e.encoder = acquireEncoder(x.takes, x.bounds.compression.level, x.stream)
	}
	return e
}

func (e encoded) release() {
	if e.encoder != nil {
		e.encoder.release()
	}
}

func (e encoded) write(span []byte) error {
	if e.encoder != nil {
		return e.encoder.write(span)
	}
	return e.to.Write(span)
}

func (e encoded) flush() error {
	if e.encoder != nil {
		if err := e.encoder.flush(); err != nil {
			return err
		}
	}
	return e.to.Flush()
}

func (e encoded) end(trailer message.Header) error {
	if e.encoder != nil {
		if err := e.encoder.end(); err != nil {
			return err
		}
	}
	return e.to.End(trailer)
}

// compressor is what the libraries of all codings have in common. What Reset(nil) has
// let go of holds no response.
type compressor interface {
	io.WriteCloser
	Flush() error
	Reset(w io.Writer)
}

// encoder compresses content.
type encoder struct {
	w     compressor
	pool  *sync.Pool
	to    Answer
	dirty bool // something was written since the last flush
}

// encoders holds those that are unused, by coding and level.
var encoders [codingCount][10]sync.Pool

func acquireEncoder(coding codingID, level int, to Answer) *encoder {
	pool := &encoders[coding][level]
	e, ok := pool.Get().(*encoder)
	if !ok {
		w, err := newCompressor(coding, level)
		if err != nil {
			panic(fmt.Sprintf("BUG: %s at level %d: %v", coding.name(), level, err))
		}
		e = &encoder{w: w, pool: pool}
	}
	e.to, e.dirty = to, false
	e.w.Reset(e)
	return e
}

// window is how far back zstd and brotli look, which bounds what they hold, here and
// at the client.
const window = 1 << windowBits

const windowBits = 17

// mostLevel is the highest level of zstd and brotli that is used: the next ones take
// up to 35 MiB each, for little.
const mostLevel = 5

func newCompressor(coding codingID, level int) (compressor, error) {
	if coding != gzipCoding {
		level = min(level, mostLevel)
	}
	switch coding {
	case zstdCoding:
		return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)), zstd.WithEncoderConcurrency(1),
			zstd.WithWindowSize(window), zstd.WithLowerEncoderMem(true), zstd.WithZeroFrames(true))
	case brotliCoding:
		return brrr.NewWriterOptions(io.Discard, level, brrr.WriterOptions{LGWin: windowBits})
	default:
		return gzip.NewWriterLevel(nil, level)
	}
}

func (e *encoder) release() {
	e.to = nil
	e.w.Reset(nothing{})
	e.pool.Put(e)
}

// nothing is where an unused encoder writes to.
type nothing struct{}

func (nothing) Write(p []byte) (int, error) { return len(p), nil }

// Write takes compressed bytes from the library.
func (e *encoder) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	return len(p), e.to.Write(p)
}

func (e *encoder) write(span []byte) error {
	e.dirty = true
	_, err := e.w.Write(span)
	return err
}

func (e *encoder) flush() error {
	if !e.dirty {
		return nil
	}
	e.dirty = false
	return e.w.Flush()
}

func (e *encoder) end() error { return e.w.Close() }
