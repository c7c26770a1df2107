package generator

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/valyala/fasthttp"
)

// Bounds of what is read beside bodies, whose bound is the time of a request.
const (
	maxInterims = 16
	maxTrailers = 64 << 10 // bytes
	maxDigits   = 15       // of a chunk's size
)

var (
	errInterims = errors.New("too many interim responses")
	errChunk    = errors.New("a chunk can't be read")
	errTrailers = errors.New("the trailers are too long")
	errExtra    = errors.New("there are bytes after the response's end")
)

// readResponse reads a response and drops its body. reusable is whether the
// connection can take another request.
func readResponse(r *bufio.Reader, head *fasthttp.ResponseHeader, noBody bool) (status int, reusable bool, err error) {
	for range maxInterims {
		if err := head.Read(r); err != nil {
			return 0, false, err
		}
		status = head.StatusCode()
		if status < 200 && status != fasthttp.StatusSwitchingProtocols {
			continue
		}
		reusable, err = dropBody(r, head, noBody)
		return status, reusable && !head.ConnectionClose(), err
	}
	return 0, false, errInterims
}

// dropBody finds the end of a response (RFC 9112 §6.3).
func dropBody(r *bufio.Reader, head *fasthttp.ResponseHeader, noBody bool) (reusable bool, err error) {
	status, length := head.StatusCode(), head.ContentLength()
	switch {
	case status == fasthttp.StatusSwitchingProtocols:
		return false, nil
	case noBody, status == fasthttp.StatusNoContent, status == fasthttp.StatusNotModified:
	case length >= 0:
		err = drop(r, length)
	case length == -1:
		err = dropChunks(r)
	default:
		return false, dropAll(r)
	}
	if err == nil && r.Buffered() > 0 {
		err = errExtra
	}
	return err == nil, err
}

func drop(r *bufio.Reader, n int) error {
	_, err := r.Discard(n)
	return err
}

// dropAll reads until the server closes.
func dropAll(r *bufio.Reader) error {
	for {
		_, err := r.Discard(readBuffer)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func dropChunks(r *bufio.Reader) error {
	for {
		size, err := chunkSize(r)
		if err != nil {
			return err
		}
		if size == 0 {
			return dropTrailers(r)
		}
		if err := drop(r, size); err != nil {
			return err
		}
		if end, err := line(r); err != nil || len(end) > 0 {
			return errors.Join(err, errChunk)
		}
	}
}

// chunkSize reads the line before a chunk; extensions are dropped.
func chunkSize(r *bufio.Reader) (size int, err error) {
	text, err := line(r)
	if err != nil {
		return 0, err
	}
	digits := 0
	for digits < len(text) {
		digit := bytes.IndexByte([]byte("0123456789abcdef"), text[digits]|0x20)
		if digit < 0 {
			break
		}
		size = size<<4 | digit
		digits++
		if digits > maxDigits {
			return 0, errChunk
		}
	}
	rest := bytes.TrimLeft(text[digits:], " \t")
	if digits == 0 || len(rest) > 0 && rest[0] != ';' {
		return 0, errChunk
	}
	return size, nil
}

func dropTrailers(r *bufio.Reader) error {
	for total := 0; total < maxTrailers; {
		trailer, err := line(r)
		if err != nil {
			return err
		}
		if len(trailer) == 0 {
			return nil
		}
		total += len(trailer)
	}
	return errTrailers
}

// line is the next line without its end, valid until the next read. Its length
// is bounded by the reader's buffer.
func line(r *bufio.Reader) ([]byte, error) {
	text, err := r.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(text[:len(text)-1], []byte("\r")), nil
}
