// Package response reads the responses of servers that load is sent to, in the
// pieces in which they arrive, and drops their bodies:
//
//	var r response.Reader
//	r.Reset(false)
//	for done := false; !done && err == nil; {
//		n, _ = conn.Read(buffer)
//		done, err = r.Feed(buffer[:n])
//	}
//
// It allocates nothing once it has been used. What servers send is hostile: heads,
// lines, interim responses and trailers are bounded; bodies aren't, whose bound is
// the time of a request.
package response

import (
	"bytes"
	"errors"
)

// Reader reads one response after the other. It is strict only about what would
// let an answer be counted that is none.
type Reader struct {
	// Status is that of the response, 0 before its head is there.
	Status int
	// Close says that the connection ends with the response.
	Close bool

	head     []byte // so far, if it came in pieces
	noBody   bool
	stage    stage
	interims int
	left     int64  // bytes of the body or chunk still to come
	line     []byte // of a chunk's size or end or a trailer, so far
	trailers int    // bytes so far
}

// stage is what a Reader expects next.
type stage uint8

const (
	inHead stage = iota
	inBody
	inChunkSize
	inChunk
	inChunkEnd
	inTrailer
	untilClose
)

// switching is the status after which the connection is another protocol's.
const switching = 101

// Bounds of what is read beside bodies, in bytes.
const (
	maxHead     = 64 << 10
	maxInterims = 16
	maxLine     = 4 << 10
	maxTrailers = 64 << 10
	maxBody     = 1 << 58 // so that number can't overflow
)

var (
	errHead     = errors.New("the response's head can't be read")
	errLongHead = errors.New("the response's head is too long")
	errChunk    = errors.New("a chunk can't be read")
	errInterims = errors.New("too many interim responses")
	errTrailers = errors.New("the trailers are too long")
	errExtra    = errors.New("there are bytes after the response's end")
)

// Reset begins the next response. noBody says that it has none, whatever its head
// says, as those to HEAD.
func (r *Reader) Reset(noBody bool) {
	*r = Reader{head: r.head[:0], line: r.line[:0], noBody: noBody}
}

// Begun reports whether anything of the response has come.
func (r *Reader) Begun() bool {
	return len(r.head) > 0 || r.stage != inHead || r.Status != 0 || r.interims > 0
}

// Feed takes the next bytes, and reports whether the response ends with them.
func (r *Reader) Feed(b []byte) (done bool, err error) {
	for len(b) > 0 {
		if done && r.Status == switching {
			break // what follows is another protocol's
		}
		if done {
			return false, errExtra
		}
		switch r.stage {
		case inHead:
			b, done, err = r.feedHead(b)
		case inBody, inChunk:
			b, done = r.skip(b)
		case inChunkSize, inChunkEnd, inTrailer:
			b, done, err = r.feedLine(b)
		case untilClose:
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	return done, nil
}

// End is what the end of the connection means for the response.
func (r *Reader) End() (done bool) { return r.stage == untilClose }

var headEnd = []byte("\r\n\r\n")

func (r *Reader) feedHead(b []byte) (rest []byte, done bool, err error) {
	head := b
	if len(r.head) > 0 {
		r.head = append(r.head, b...)
		head = r.head
	}
	end := bytes.Index(head, headEnd)
	if end < 0 {
		if len(r.head) == 0 {
			r.head = append(r.head, b...)
		}
		if len(r.head) > maxHead {
			return nil, false, errLongHead
		}
		return nil, false, nil
	}
	after := len(head) - end - len(headEnd)
	done, err = r.parseHead(head[:end+2])
	r.head = r.head[:0]
	return b[len(b)-after:], done, err
}

// parseHead reads lines that each end with CRLF.
func (r *Reader) parseHead(head []byte) (done bool, err error) {
	if len(head) < 14 || string(head[:7]) != "HTTP/1." || head[8] != ' ' {
		return false, errHead
	}
	status, ok := number(head[9:12], 10)
	if !ok || status < 100 {
		return false, errHead
	}
	length, chunked, closing := int64(-1), false, head[7] == '0'
	_, fields, _ := bytes.Cut(head, headEnd[:2])
	for len(fields) > 0 {
		var line []byte
		line, fields, _ = bytes.Cut(fields, headEnd[:2])
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			return false, errHead
		}
		switch value = bytes.TrimSpace(value); len(name) { // most names are ruled out by their length
		case len("Content-Length"):
			if bytes.EqualFold(name, []byte("Content-Length")) {
				if length, ok = number(value, 10); !ok {
					return false, errHead
				}
			}
		case len("Transfer-Encoding"):
			chunked = chunked || bytes.EqualFold(name, []byte("Transfer-Encoding"))
		case len("Connection"):
			if bytes.EqualFold(name, []byte("Connection")) {
				closing = bytes.EqualFold(value, []byte("close")) || closing && !bytes.EqualFold(value, []byte("keep-alive"))
			}
		}
	}
	if status < 200 && status != switching {
		if r.interims++; r.interims > maxInterims {
			return false, errInterims
		}
		return false, nil // the final response follows
	}
	r.Status, r.Close = int(status), closing || status == switching
	switch {
	case r.noBody || status == switching || status == 204 || status == 304 || !chunked && length == 0:
		return true, nil
	case chunked:
		r.stage = inChunkSize
	case length > 0:
		r.stage, r.left = inBody, length
	default:
		r.stage, r.Close = untilClose, true
	}
	return false, nil
}

// skip passes over a body or a chunk.
func (r *Reader) skip(b []byte) (rest []byte, done bool) {
	n := min(r.left, int64(len(b)))
	if r.left -= n; r.left > 0 {
		return nil, false
	}
	if r.stage == inBody {
		return b[n:], true
	}
	r.stage = inChunkEnd
	return b[n:], false
}

func (r *Reader) feedLine(b []byte) (rest []byte, done bool, err error) {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		r.line = append(r.line, b...)
		if len(r.line) > maxLine {
			return nil, false, errChunk
		}
		return nil, false, nil
	}
	line := bytes.TrimSuffix(append(r.line, b[:i]...), []byte("\r"))
	r.line = line[:0]
	b = b[i+1:]
	switch r.stage {
	case inTrailer:
		if r.trailers += len(line); r.trailers > maxTrailers {
			return nil, false, errTrailers
		}
		return b, len(line) == 0, nil
	case inChunkEnd:
		if len(line) > 0 {
			return nil, false, errChunk
		}
		r.stage = inChunkSize
		return b, false, nil
	}
	digits, _, _ := bytes.Cut(line, []byte(";"))
	size, ok := number(bytes.TrimRight(digits, " \t"), 16)
	switch {
	case !ok:
		return nil, false, errChunk
	case size == 0:
		r.stage = inTrailer
	default:
		r.stage, r.left = inChunk, size
	}
	return b, false, nil
}

// number reads digits, without a sign.
func number(b []byte, base int64) (n int64, ok bool) {
	for _, c := range b {
		var digit int64
		switch {
		case c >= '0' && c <= '9':
			digit = int64(c - '0')
		case base == 16 && c|0x20 >= 'a' && c|0x20 <= 'f':
			digit = int64(c|0x20-'a') + 10
		default:
			return 0, false
		}
		if n = n*base + digit; n > maxBody {
			return 0, false
		}
	}
	return n, len(b) > 0
}
