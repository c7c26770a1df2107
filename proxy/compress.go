package proxy

import (
	"bytes"
	"fmt"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"

	"github.com/keystone-gateway/keystone-gateway/proxy/http1"
)

// compression is the section of that name, compiled.
type compression struct {
	level int
	types map[string]bool // media types in lower case; nil when disabled
}

func newCompression(c *CompressionConfig) compression {
	compiled := compression{level: c.Level}
	if c.Enabled {
		compiled.types = make(map[string]bool, len(c.ContentTypes))
		for _, media := range c.ContentTypes {
			compiled.types[strings.ToLower(strings.TrimSpace(media))] = true
		}
	}
	return compiled
}

// minCompressed is the smallest body that gains from compression.
const minCompressed = 256

// compressible decides whether the response is compressed: only a whole,
// plain representation, of a listed type, that may be transformed, for a
// client that accepts gzip.
func (x *exchange) compressible() bool {
	r := &x.call.Response
	x.varies = x.snap.compression.may(r.Status, r.Header)
	x.compressing = x.varies && !x.call.HEAD && x.req.Minor == 1 && r.Framing != http1.NoBody &&
		(r.Framing != http1.Length || r.ContentLength >= minCompressed) && acceptsGzip(x.req.Header)
	return x.compressing
}

// may reports whether a response is one that clients get compressed if they
// accept it.
func (c *compression) may(status int, h http1.Header) bool {
	return c.types != nil && status >= 200 && status < 300 && status != 206 && status != 204 &&
		!h.Has(http1.ContentEncoding) && !forbidsTransform(h) && c.covers(h.Get(http1.ContentType))
}

// covers reports whether a media type is listed.
func (c *compression) covers(contentType []byte) bool {
	media, _, _ := bytes.Cut(contentType, []byte{';'})
	return c.types[string(bytes.ToLower(bytes.TrimSpace(media)))]
}

func forbidsTransform(h http1.Header) bool {
	for i := range h {
		if h[i].ID == http1.CacheControl && http1.HasToken(h[i].Value, "no-transform") {
			return true
		}
	}
	return false
}

// acceptsGzip reads Accept-Encoding (RFC 9110 §12.5.3).
func acceptsGzip(h http1.Header) bool {
	for i := range h {
		if h[i].ID != http1.AcceptEncoding {
			continue
		}
		for token, rest := http1.NextToken(h[i].Value); token != nil; token, rest = http1.NextToken(rest) {
			coding, weight, _ := bytes.Cut(token, []byte{';'})
			if http1.EqualFold(bytes.TrimSpace(coding), "gzip") {
				return !isZeroWeight(weight)
			}
		}
	}
	return false
}

// mayEncode charges an encoder. Where there is no memory for one, the response
// isn't compressed.
func (x *exchange) mayEncode() bool {
	x.compressing = x.memory.Acquire(encoderSize)
	return x.compressing
}

func isZeroWeight(weight []byte) bool {
	q, ok := bytes.CutPrefix(bytes.ToLower(bytes.TrimSpace(weight)), []byte("q=0"))
	return ok && len(bytes.Trim(q, ".0")) == 0
}

// gzipEncoder compresses into a pump.
type gzipEncoder struct {
	w     *gzip.Writer
	pool  *sync.Pool
	pump  *pump
	dirty bool // something was written since the last flush
}

// encoders holds writers by level.
var encoders [10]sync.Pool

func acquireEncoder(level int, p *pump) *gzipEncoder {
	pool := &encoders[level]
	e, ok := pool.Get().(*gzipEncoder)
	if !ok {
		w, err := gzip.NewWriterLevel(nil, level)
		if err != nil {
			panic(fmt.Sprintf("BUG: gzip level %d: %v", level, err))
		}
		e = &gzipEncoder{w: w, pool: pool}
	}
	e.pump, e.dirty = p, false
	e.w.Reset(e)
	return e
}

func (e *gzipEncoder) release() {
	e.pump = nil
	e.w.Reset(nil)
	e.pool.Put(e)
}

// Write takes compressed bytes from the gzip writer.
func (e *gzipEncoder) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	return len(p), e.pump.add(p)
}

func (e *gzipEncoder) write(span []byte) error {
	e.dirty = true
	_, err := e.w.Write(span)
	return err
}

func (e *gzipEncoder) flush() error {
	if !e.dirty {
		return nil
	}
	e.dirty = false
	return e.w.Flush()
}

func (e *gzipEncoder) end() error { return e.w.Close() }
