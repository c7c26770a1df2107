package streams

import (
	"errors"
	"fmt"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy/http2"
)

// ResetError says that the target has ended the stream.
type ResetError struct {
	Code http2.Code
	// Begun says that a response had begun, so that the request was processed
	// whatever the code says.
	Begun bool
}

func (e *ResetError) Error() string {
	return "the target has ended the stream with " + e.Code.String()
}

// GoAwayError says that the target takes no more streams on the connection, and
// hasn't processed this one.
type GoAwayError struct {
	Code http2.Code
	Text string // what it has said besides, if anything
}

func (e *GoAwayError) Error() string {
	if e.Text != "" {
		return fmt.Sprintf("the target ends the connection with %s: %q", e.Code, e.Text)
	}
	return "the target ends the connection with " + e.Code.String()
}

// EndError says how the connection ended beneath the stream.
type EndError struct {
	Err    error
	Unsent bool // nothing of the request had been offered to the socket
	Begun  bool // a response had begun
}

func (e *EndError) Error() string { return e.Err.Error() }

// Unwrap returns what has ended the connection.
func (e *EndError) Unwrap() error { return e.Err }

// What is no HTTP/2 at all.
var (
	ErrHTTP1 = errors.New("it answers in HTTP/1")
	ErrTLS   = errors.New("it speaks TLS, and was spoken to without")
)

var (
	// ErrClosing says that the connection takes no more streams: nothing was sent.
	ErrClosing = errors.New("the connection takes no more streams")
	// ErrStopped says that the target doesn't want the rest of the body.
	ErrStopped = errors.New("the target doesn't want the rest of the body")

	errIdle   = errors.New("the connection was unused")
	errOld    = errors.New("the connection was old")
	errSilent = errors.New("the target has not answered a PING in time")
)

// Unprocessed reports that the target has done nothing with the request, so that
// it may be sent again whatever it is (RFC 9113 §8.7).
func Unprocessed(err error) bool {
	if reset, ok := errors.AsType[*ResetError](err); ok {
		return reset.Code == http2.RefusedStream && !reset.Begun
	}
	if end, ok := errors.AsType[*EndError](err); ok {
		return end.Unsent // whatever ended it: a GOAWAY that covers the stream has
	}
	return errors.As(err, new(*GoAwayError)) || errors.Is(err, ErrClosing)
}

// printable is the beginning of what a target says, for logs.
func printable(p []byte) string {
	const most = 100
	if len(p) > most {
		p = p[:most]
	}
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return -1
		}
		return c
	}, strings.ToValidUTF8(string(p), ""))
}
