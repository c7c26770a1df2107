package upstream

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
	"github.com/keystone-gateway/keystone-gateway/proxy/http1"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// What a target is told apart by that is spoken to in the wrong protocol.
var (
	errWantsTLS   = errors.New("it speaks TLS, and was spoken to without: its url should begin with https://")
	errSpeaksHTTP = errors.New("it speaks HTTP without TLS: its url should begin with http://")
	errNoHTTP2    = errors.New("it has not chosen HTTP/2 by ALPN: if it speaks HTTP/1 only, its url should begin with https://")
	errNoTLS      = errors.New("it has closed the connection during the TLS handshake; if it speaks HTTP without TLS, its url should begin with http://")
)

// handshakeFault says why TLS with the target could not be begun.
func handshakeFault(how *targetTLS, err error) error {
	switch {
	case cause.PlainHTTP(err):
		return errSpeaksHTTP
	case errors.Is(err, errNoHTTP2):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return errNoTLS
	}
	return how.explain(err)
}

// answerFault says what is wrong with an answer that has no readable head.
func answerFault(conn *Conn, err error) error {
	if conn.isPlain() && SpeaksTLS(conn.Reader.Peek()) {
		return errWantsTLS
	}
	return asAnswer(err)
}

// explainSilence adds to err, by which a connection has ended without a byte of an
// answer, what it may mean: HAProxy, and most of what is made with OpenSSL,
// end it without a word where they expect TLS. A target that has answered
// before expects none.
func (t *Target) explainSilence(err error) error {
	if t.answered.Load() || t.address.Scheme != "http" || isTimeout(err) {
		return err
	}
	return fmt.Errorf("%w; if it speaks TLS, its url should begin with https://", err)
}

// asAnswer words a violation of a response, whose head is read by the same
// rules as a request's.
func asAnswer(err error) error {
	switch {
	case errors.Is(err, message.BadRequestLine):
		return message.BadStatusLine
	case errors.Is(err, message.TargetTooLong):
		return message.HeaderTooLarge
	}
	return err
}

// SpeaksTLS recognises the header of a TLS record (RFC 8446 §5.1), such as that
// of the alert by which a TLS server answers plain text.
func SpeaksTLS(begin []byte) bool {
	return len(begin) > 2 && 0x14 <= begin[0] && begin[0] <= 0x17 && begin[1] == 3 && begin[2] <= 4
}

// wantsTLS recognises the 400 by which servers answer HTTP where they expect
// TLS: Go's, nginx's, Apache's and Tomcat's say so in the body. It is the
// gateway's mistake, not the client's. Those that say nothing are
// [Target.silence]'s.
func wantsTLS(r *http1.Response, reader *http1.Reader) bool {
	if r.Status != 400 {
		return false
	}
	body := reader.Peek()
	body = body[:min(len(body), 1024)]
	for _, phrase := range [...]string{
		"Client sent an HTTP request to an HTTPS server", "The plain HTTP request was sent to HTTPS port",
		"You're speaking plain HTTP to an SSL-enabled server port", "This combination of host and port requires TLS",
	} {
		if bytes.Contains(body, []byte(phrase)) {
			return true
		}
	}
	return false
}
