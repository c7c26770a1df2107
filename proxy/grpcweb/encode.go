package grpcweb

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"iter"
)

// What is wrong with content that isn't gRPC's.
var (
	ErrTrailer = errors.New("a message of gRPC begins with a byte that is gRPC-Web's mark of trailers")
	ErrPartial = errors.New("the content ends within a message of gRPC")
)

const (
	// prefixLength is that of what stands before each message: flags, and its length.
	prefixLength = 5
	// trailerFlag marks the frame of trailers.
	trailerFlag = 0x80
)

// Encoder follows the messages of a response, and encodes them as text, if that is
// the encoding. Each message has its own padding, so that a client can decode it when
// it has come.
type Encoder struct {
	Encoding Encoding

	prefix  [prefixLength]byte // of the message that is coming
	has     int                // bytes of it
	left    int64              // of the message, once all of the prefix is there
	held    [2]byte            // bytes that wait for those that make a group of three
	waiting int
}

// Append appends what the client gets for a part of the content, which is at most
// 1.6 times as much, and 8 bytes; also where there is an error, what comes before it.
func (e *Encoder) Append(dst, content []byte) ([]byte, error) {
	for len(content) > 0 {
		n, ends, err := e.next(content)
		if err != nil {
			return dst, err
		}
		dst = e.encode(dst, content[:n])
		if content = content[n:]; ends {
			dst = e.pad(dst)
		}
	}
	return dst, nil
}

// Follow is Append where content is sent as it is: what comes before an error.
func (e *Encoder) Follow(content []byte) (good []byte, err error) {
	for at := 0; at < len(content); {
		n, _, err := e.next(content[at:])
		if err != nil {
			return content[:at], err
		}
		at += n
	}
	return content, nil
}

// Whole reports whether the content may end here.
func (e *Encoder) Whole() bool { return e.has == 0 }

// next returns how much of content, which isn't empty, is of the same message, or of
// its prefix, and whether the message ends there.
func (e *Encoder) next(content []byte) (n int, ends bool, err error) {
	if e.has < prefixLength {
		if e.has == 0 && content[0]&trailerFlag != 0 {
			return 0, false, ErrTrailer
		}
		n = copy(e.prefix[e.has:], content)
		if e.has += n; e.has < prefixLength {
			return n, false, nil
		}
		e.left = int64(binary.BigEndian.Uint32(e.prefix[1:]))
	} else {
		n = int(min(int64(len(content)), e.left))
		e.left -= int64(n)
	}
	if e.left == 0 {
		e.has = 0
		return n, true, nil
	}
	return n, false, nil
}

// encode appends content as text, but for what doesn't fill a group.
func (e *Encoder) encode(dst, content []byte) []byte {
	if e.Encoding != Text {
		return append(dst, content...)
	}
	if e.waiting > 0 && e.waiting+len(content) >= 3 {
		group := [3]byte{e.held[0], e.held[1]}
		n := copy(group[e.waiting:], content)
		dst = base64.StdEncoding.AppendEncode(dst, group[:])
		content, e.waiting = content[n:], 0
	}
	if e.waiting == 0 {
		whole := len(content) / 3 * 3
		dst = base64.StdEncoding.AppendEncode(dst, content[:whole])
		content = content[whole:]
	}
	e.waiting += copy(e.held[e.waiting:], content)
	return dst
}

// pad appends what has waited.
func (e *Encoder) pad(dst []byte) []byte {
	dst = base64.StdEncoding.AppendEncode(dst, e.held[:e.waiting])
	e.waiting = 0
	return dst
}

// AppendTrailer appends the frame of trailers, which follows the last message: their
// names in lower case, and their values, which have no CR and no LF.
func (e *Encoder) AppendTrailer(dst []byte, fields iter.Seq2[[]byte, []byte]) ([]byte, error) {
	if !e.Whole() {
		return dst, ErrPartial
	}
	begin := len(dst)
	dst = append(dst, trailerFlag, 0, 0, 0, 0)
	for name, value := range fields {
		for _, c := range name {
			if 'A' <= c && c <= 'Z' {
				c |= 0x20
			}
			dst = append(dst, c)
		}
		dst = append(append(append(dst, ": "...), value...), "\r\n"...)
	}
	length := len(dst) - begin - prefixLength
	binary.BigEndian.PutUint32(dst[begin+1:], uint32(length)) //nolint:gosec // G115: heads are smaller by far
	if e.Encoding == Text {
		dst = append(dst[:begin], base64.StdEncoding.EncodeToString(dst[begin:])...)
	}
	return dst, nil
}
