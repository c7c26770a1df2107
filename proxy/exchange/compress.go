package exchange

import (
	"bytes"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/tenants"
)

// compression is the section of that name, compiled.
type compression struct {
	level int
	least int64           // length of a response that is compressed
	types map[string]bool // media types in lower case; nil when disabled
	order []codingID      // that are offered, the preferred one first

	config tenants.CompressionConfig
}

func newCompression(c *tenants.CompressionConfig) compression {
	compiled := compression{level: c.Level, least: c.MinSize.Int64(), config: *c}
	if c.Enabled {
		compiled.types = make(map[string]bool, len(c.ContentTypes))
		for _, media := range c.ContentTypes {
			compiled.types[strings.ToLower(strings.TrimSpace(media))] = true
		}
		for _, name := range c.Encodings {
			compiled.order = append(compiled.order, codingNamed(name))
		}
	}
	return compiled
}

// coding is what compression makes of a response.
type coding struct {
	compressing bool // the content is compressed
	recoded     bool // the fields say so; those of HEAD and 304 too
	varies      bool // they would, for a client that accepts it
}

// negotiate finds out what compression makes of a response with that status
// and header, and with content of that length, or message.Unsized, which isn't
// sent where it is bodiless: only a whole, plain representation, of a listed
// type, that may be transformed, is compressed, for a client that accepts one of the codings.
// The fields of HEAD and 304 are those that the 200 to a GET would have (RFC 9110
// §9.3.2 and §15.4.5).
func (x *exchange) negotiate(status int, h message.Header, length int64, bodiless bool) {
	c, made := &x.bounds.compression, &x.coding
	made.varies = c.types != nil && c.may(status, h)
	made.recoded = made.varies && status != 206 && x.Message.Unsized && (length < 0 || length >= c.least) && x.takes != identity
	if made.recoded && status == 304 && !h.Has(message.ContentType) {
		// Whether it is of a listed type isn't known: the tag that the client
		// has says what it got.
		made.recoded = !hasStrongOnly(x.Message.Header, h.Get(message.ETag))
	}
	if made.recoded && !bodiless { // unless that takes more memory than there is
		made.compressing = x.memory.Acquire(encoderSizes[x.takes])
		made.recoded = made.compressing
	}
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

// recode changes the fields of a response whose content is compressed on the way,
// or would be.
func (x *exchange) recode(h message.Header) {
	for i := range h {
		switch f := &h[i]; {
		case f.Dropped:
		case f.ID == message.ETag && len(f.Value) > 0 && f.Value[0] == '"':
			// The bytes differ, so the tag is no longer a strong one (RFC 9110 §8.8.1).
			f.Value = x.keepValue(append(append(x.values, weakMark...), f.Value...))
		case f.ID == message.Unknown && isOfPlainBytes(f.Name):
			f.Dropped = true
		case f.ID == message.Trailer:
			f.Value = x.keepValue(appendTrailerNames(x.values, f.Value))
			f.Dropped = len(f.Value) == 0
		}
	}
}

// appendTrailerNames appends the list of those trailers that are still to come.
func appendTrailerNames(dst, list []byte) []byte {
	var comma []byte
	for name, rest := message.NextToken(list); name != nil; name, rest = message.NextToken(rest) {
		if !isOfPlainBytes(name) {
			dst = append(append(dst, comma...), name...)
			comma = listComma
		}
	}
	return dst
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

// appendVary appends the values of all Vary fields of a header, and
// Accept-Encoding.
func appendVary(dst []byte, h message.Header) []byte {
	covered := false
	for i := range h {
		if f := &h[i]; f.ID == message.Vary {
			covered = covered || message.HasToken(f.Value, "accept-encoding") || message.HasToken(f.Value, "*")
		}
	}
	dst = appendValues(dst, h, message.Vary)
	if covered {
		dst = bytes.TrimSuffix(dst, listComma)
	} else {
		dst = append(dst, "Accept-Encoding"...)
	}
	return dst
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
