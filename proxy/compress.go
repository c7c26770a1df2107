package proxy

import (
	"bytes"
	"fmt"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/tenants"
)

// compression is the section of that name, compiled.
type compression struct {
	level int
	least int64           // length of a response that is compressed
	types map[string]bool // media types in lower case; nil when disabled
}

func newCompression(c *tenants.CompressionConfig) compression {
	compiled := compression{level: c.Level, least: c.MinSize.Int64()}
	if c.Enabled {
		compiled.types = make(map[string]bool, len(c.ContentTypes))
		for _, media := range c.ContentTypes {
			compiled.types[strings.ToLower(strings.TrimSpace(media))] = true
		}
	}
	return compiled
}

// negotiate finds out what compression makes of a response with that status
// and header, and with content of that length, or -1 where it isn't known: only
// a whole, plain representation, of a listed type, that may be transformed, is
// compressed, for a client that accepts gzip. The fields of HEAD and 304 are
// those that the 200 to a GET would have (RFC 9110 §9.3.2 and §15.4.5).
func (x *exchange) negotiate(status int, h message.Header, length int64) {
	c := &x.bounds.compression
	x.varies = c.types != nil && c.may(status, h)
	x.recoded = x.varies && status != 206 && x.req.Minor == 1 && (length < 0 || length >= c.least) && acceptsGzip(x.req.Header)
	if x.recoded && status == 304 && !h.Has(message.ContentType) {
		// Whether it is of a listed type isn't known: the tag that the client
		// has says what it got.
		x.recoded = !hasStrongOnly(x.req.Header, h.Get(message.ETag))
	}
}

// compressible decides whether the target's response is compressed.
func (x *exchange) compressible() bool {
	r := &x.call.Response
	bodiless := x.call.HEAD || r.Status == 304
	x.negotiate(r.Status, r.Header, r.Length)
	return x.compresses(bodiless)
}

// compresses decides whether content is compressed after negotiate, which may
// take more memory than there is.
func (x *exchange) compresses(bodiless bool) bool {
	if !x.recoded || bodiless {
		return false
	}
	x.compressing = x.mayEncode()
	x.recoded = x.compressing
	return x.compressing
}

// may reports whether a response is one that clients get compressed if they
// accept it, or is a part of such a one, or its 304.
func (c *compression) may(status int, h message.Header) bool {
	switch {
	case status == 304:
		media := h.Get(message.ContentType)
		return !h.Has(message.ContentEncoding) && !forbidsTransform(h) && (media == nil || c.covers(media))
	case status < 200 || status > 299 || status == 204:
		return false
	}
	return !h.Has(message.ContentEncoding) && !forbidsTransform(h) && c.covers(h.Get(message.ContentType))
}

// hasStrongOnly reports whether If-None-Match lists that strong tag, and not
// the weak one that compression makes of it.
func hasStrongOnly(h message.Header, tag []byte) bool {
	strong, weak := false, false
	for i := range h {
		if h[i].ID != message.IfNoneMatch {
			continue
		}
		for member, rest := message.NextToken(h[i].Value); member != nil; member, rest = message.NextToken(rest) {
			bare, isWeak := bytes.CutPrefix(member, weakMark)
			if bytes.Equal(bare, tag) {
				strong, weak = strong || !isWeak, weak || isWeak
			}
		}
	}
	return strong && !weak
}

var weakMark = []byte("W/")

// appendRecoded writes a field of a response whose content is compressed on
// the way, or would be. It is false for fields that this doesn't concern.
func appendRecoded(dst []byte, f *message.Field) ([]byte, bool) {
	switch {
	case f.ID == message.ETag && len(f.Value) > 0 && f.Value[0] == '"':
		// The bytes differ, so the tag is no longer a strong one (RFC 9110 §8.8.1).
		dst = append(append(append(dst, f.Name...), ": "...), weakMark...)
		return append(append(dst, f.Value...), crlf...), true
	case f.ID == message.Unknown && isOfPlainBytes(f.Name):
		return dst, true
	case f.ID == message.Trailer:
		return appendTrailerNames(dst, f), true
	}
	return dst, false
}

// appendTrailerNames writes which trailers are still to come.
func appendTrailerNames(dst []byte, f *message.Field) []byte {
	var begin []byte
	for name, rest := message.NextToken(f.Value); name != nil; name, rest = message.NextToken(rest) {
		if isOfPlainBytes(name) {
			continue
		}
		if begin == nil {
			dst = append(append(dst, f.Name...), ": "...)
		}
		dst = append(append(dst, begin...), name...)
		begin = listComma
	}
	if begin == nil {
		return dst
	}
	return append(dst, crlf...)
}

// isOfPlainBytes lists the fields that are about the bytes before compression:
// ranges and digests of them (RFC 9530, and its predecessors).
func isOfPlainBytes(name []byte) bool {
	switch len(name) {
	case len("digest"):
		return message.EqualFold(name, "digest")
	case len("content-md5"):
		return message.EqualFold(name, "content-md5") || message.EqualFold(name, "repr-digest")
	case len("accept-ranges"):
		return message.EqualFold(name, "accept-ranges")
	case len("content-digest"):
		return message.EqualFold(name, "content-digest")
	}
	return false
}

// appendVary writes all Vary fields of a header as one, which has
// Accept-Encoding.
func appendVary(dst []byte, h message.Header) []byte {
	dst = append(dst, "Vary: "...)
	covered := false
	for i := range h {
		if f := &h[i]; f.ID == message.Vary && !f.Dropped {
			covered = covered || message.HasToken(f.Value, "accept-encoding") || message.HasToken(f.Value, "*")
		}
	}
	dst = appendValues(dst, h, message.Vary)
	if covered {
		dst = bytes.TrimSuffix(dst, listComma)
	} else {
		dst = append(dst, "Accept-Encoding"...)
	}
	return append(dst, crlf...)
}

// covers reports whether a media type is listed.
func (c *compression) covers(contentType []byte) bool {
	media, _, _ := bytes.Cut(contentType, []byte{';'})
	return c.types[string(bytes.ToLower(bytes.TrimSpace(media)))]
}

func forbidsTransform(h message.Header) bool {
	for i := range h {
		if h[i].ID == message.CacheControl && message.HasToken(h[i].Value, "no-transform") {
			return true
		}
	}
	return false
}

// acceptsGzip reads Accept-Encoding (RFC 9110 §12.5.3).
func acceptsGzip(h message.Header) bool {
	for i := range h {
		if h[i].ID != message.AcceptEncoding {
			continue
		}
		for token, rest := message.NextToken(h[i].Value); token != nil; token, rest = message.NextToken(rest) {
			coding, weight, _ := bytes.Cut(token, []byte{';'})
			if message.EqualFold(bytes.TrimSpace(coding), "gzip") {
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
