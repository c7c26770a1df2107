package generator

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"unicode"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
)

// Kind is why a request got no whole response.
type Kind uint8

// The kinds of failures.
const (
	Connect   Kind = iota // no connection could be made
	TLS                   // the handshake failed
	Timeout               // no whole response in time, connecting included
	Closed                // the server ended the connection before the response's end
	Malformed             // the response could not be read
	kinds
)

// String names a kind as the JSON report does.
func (k Kind) String() string {
	return [...]string{"connect", "tls", "timeout", "closed", "malformed", "unknown"}[min(k, kinds)]
}

// dialError says how far a connection came.
type dialError struct {
	kind Kind
	err  error
}

func (e *dialError) Error() string { return e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

// kindOfDial is why there is no connection.
func kindOfDial(err error) Kind {
	if isTimeout(err) {
		return Timeout
	}
	if dial, ok := errors.AsType[*dialError](err); ok {
		return dial.kind
	}
	return Connect
}

// kindOf is why an exchange failed on a connection. What ended the connection
// counts, since fasthttp's parser makes other errors of it.
func kindOf(c *conn, err error) (Kind, error) {
	switch {
	case c.broken == nil:
		return Malformed, err
	case isTimeout(c.broken):
		return Timeout, errLate
	}
	if errors.Is(c.broken, io.EOF) {
		return Closed, errClosed
	}
	return Closed, c.broken
}

var errClosed = errors.New("the server closed the connection")

var errLate = errors.New("no whole response in time")

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return errors.Is(err, os.ErrDeadlineExceeded) || ok && timeout.Timeout()
}

// maxMessage bounds messages in reports, in bytes: parsers quote what servers
// have sent.
const maxMessage = 200

// printable makes an error fit to be shown on a terminal.
func printable(err error) string {
	text := cause.Text(err)
	cut := len(text) > maxMessage
	if cut {
		text = text[:maxMessage]
	}
	text = strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '.'
		}
		return r
	}, text)
	if cut {
		text += "…"
	}
	return text
}
