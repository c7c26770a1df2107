package load

import (
	"bytes"
	"errors"
	"fmt"
)

// parser finds the end of a response in the pieces in which it arrives. It
// reads what servers under test send, and is strict only about what would let
// an answer be counted that is none.
type parser struct {
	head   []byte // so far, if it came in pieces
	status int
	close  bool // the connection ends with this response
	stage  stage
	left   int64  // bytes of the body or chunk still to come
	line   []byte // of a chunk's size or a trailer, so far
}

// stage is what a parser expects next.
type stage uint8

const (
	inHead stage = iota
	inBody
	inChunkSize
	inChunk // with its CRLF
	inTrailer
	untilClose
)

const (
	maxHead = 64 << 10
	maxLine = 4 << 10
	maxBody = 1 << 40
)

var (
	errHead     = errors.New("the response's head can't be read")
	errLongHead = errors.New("the response's head is too long")
	errChunk    = errors.New("a chunk can't be read")
	errExtra    = errors.New("there are bytes after the response's end")
)

func (p *parser) reset() {
	p.head, p.line = p.head[:0], p.line[:0]
	p.status, p.close, p.stage, p.left = 0, false, inHead, 0
}

// feed takes the next bytes, and reports whether the response ends with them.
func (p *parser) feed(b []byte) (done bool, err error) {
	for len(b) > 0 {
		if done {
			return false, errExtra
		}
		switch p.stage {
		case inHead:
			b, done, err = p.feedHead(b)
		case inBody, inChunk:
			b, done = p.skip(b)
		case inChunkSize, inTrailer:
			b, done, err = p.feedLine(b)
		case untilClose:
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	return done, nil
}

// end is what the end of the connection means for the response.
func (p *parser) end() (done bool) { return p.stage == untilClose }

var headEnd = []byte("\r\n\r\n")

func (p *parser) feedHead(b []byte) (rest []byte, done bool, err error) {
	head := b
	if len(p.head) > 0 {
		p.head = append(p.head, b...)
		head = p.head
	}
	end := bytes.Index(head, headEnd)
	if end < 0 {
		if len(p.head) == 0 {
			p.head = append(p.head, b...)
		}
		if len(p.head) > maxHead {
			return nil, false, errLongHead
		}
		return nil, false, nil
	}
	after := len(head) - end - len(headEnd)
	done, err = p.parseHead(head[:end+2])
	p.head = p.head[:0]
	return b[len(b)-after:], done, err
}

// parseHead reads lines that each end with CRLF.
func (p *parser) parseHead(head []byte) (done bool, err error) {
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
	if status < 200 {
		if status == 101 {
			return false, fmt.Errorf("%w: status 101", errHead)
		}
		return false, nil // the final response follows
	}
	p.status, p.close = int(status), closing
	switch {
	case status == 204 || status == 304 || !chunked && length == 0:
		return true, nil
	case chunked:
		p.stage = inChunkSize
	case length > 0:
		p.stage, p.left = inBody, length
	default:
		p.stage, p.close = untilClose, true
	}
	return false, nil
}

// skip passes over a body, or a chunk with its CRLF.
func (p *parser) skip(b []byte) (rest []byte, done bool) {
	n := min(p.left, int64(len(b)))
	if p.left -= n; p.left > 0 {
		return nil, false
	}
	if p.stage == inBody {
		return b[n:], true
	}
	p.stage = inChunkSize
	return b[n:], false
}

func (p *parser) feedLine(b []byte) (rest []byte, done bool, err error) {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		p.line = append(p.line, b...)
		if len(p.line) > maxLine {
			return nil, false, errChunk
		}
		return nil, false, nil
	}
	line := bytes.TrimSuffix(append(p.line, b[:i]...), []byte("\r"))
	p.line = line[:0]
	b = b[i+1:]
	if p.stage == inTrailer {
		return b, len(line) == 0, nil
	}
	digits, _, _ := bytes.Cut(line, []byte(";"))
	size, ok := number(bytes.TrimSpace(digits), 16)
	switch {
	case !ok:
		return nil, false, errChunk
	case size == 0:
		p.stage = inTrailer
	default:
		p.stage, p.left = inChunk, size+2
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
