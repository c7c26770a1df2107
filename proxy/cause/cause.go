// Package cause says what errors of the system and of libraries mean, in the
// gateway's words. Whatever reaches an operator, a client, a script or a log
// goes through Text; what the errors are and what is done about them is decided
// elsewhere, by their types.
//
//	log.Warn().Str("error", cause.Text(err)) // "the connection was refused", not "dial tcp …"
package cause

import (
	"context"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Text returns err's text, in which the words of whatever it wraps that isn't
// the gateway's own are replaced; "" for nil.
func Text(err error) string {
	if err == nil {
		return ""
	}
	return translated(err.Error(), err)
}

// Of returns an error with that text, which unwraps to err; nil for nil. It is
// for messages that are made with %v of an error from elsewhere.
func Of(err error) error {
	if err == nil {
		return nil
	}
	return &worded{Text(err), err}
}

// worded is an error whose text is the gateway's.
type worded struct {
	text string
	err  error
}

func (w *worded) Error() string { return w.text }
func (w *worded) Unwrap() error { return w.err }

// translated replaces in text what err, or what it wraps, says of itself.
func translated(text string, err error) string {
	if _, ok := err.(*worded); ok { //nolint:errorlint // each error of the chain is looked at
		return text
	}
	if words := wordsOf(err); words != "" {
		said := err.Error()
		if file, ok := err.(*fs.PathError); ok && strings.Contains(strings.TrimSuffix(text, said), file.Path) { //nolint:errorlint // about this one
			words = Text(file.Err) // whoever wrapped it has named the file
		}
		return replaceLast(text, said, words)
	}
	switch wrapper := err.(type) { //nolint:errorlint // as above
	case interface{ Unwrap() error }:
		if inner := wrapper.Unwrap(); inner != nil {
			said := err.Error()
			return translated(replaceLast(text, said, withoutLibrary(said)), inner)
		}
	case interface{ Unwrap() []error }:
		for _, inner := range wrapper.Unwrap() {
			if inner != nil {
				text = translated(text, inner)
			}
		}
	}
	return text
}

// replaceLast replaces the last of several equal parts: what is wrapped stands
// at the end.
func replaceLast(text, old, with string) string {
	at := strings.LastIndex(text, old)
	if at < 0 || old == "" {
		return text // the wrapper has words of its own
	}
	return text[:at] + with + text[at+len(old):]
}

// wordsOf says what an error means by itself; "" where it is the gateway's own,
// or wraps what means something.
func wordsOf(err error) string {
	switch e := err.(type) { //nolint:errorlint // each error of the chain is looked at
	case *net.OpError:
		return ofOperation(e)
	case *net.DNSError:
		return ofLookup(e)
	case *net.AddrError:
		return strconv.Quote(e.Addr) + " is not an address"
	case *fs.PathError:
		return ofPath(e.Path, e.Err)
	case *os.LinkError:
		return ofPath(e.New, e.Err)
	case *os.SyscallError:
		return Text(e.Err)
	case *url.Error: // its URL may hold a password
		return Text(e.Err)
	case *strconv.NumError:
		return strconv.Quote(e.Num) + " is not a number"
	case syscall.Errno:
		return ofNumber(e)
	}
	if words := ofTLS(err); words != "" {
		return words
	}
	if words := ofData(err); words != "" {
		return words
	}
	if words := ofSentinel(err); words != "" {
		return words
	}
	if isWrapper(err) {
		return ""
	}
	return ofLibrary(err.Error())
}

// isWrapper says that there is something inside, which is looked at next.
func isWrapper(err error) bool {
	switch wrapper := err.(type) { //nolint:errorlint // about this one
	case interface{ Unwrap() error }:
		return wrapper.Unwrap() != nil
	case interface{ Unwrap() []error }:
		return len(wrapper.Unwrap()) > 0
	}
	return false
}

func ofSentinel(err error) string {
	switch err {
	case io.EOF:
		return "the other side has closed the connection"
	case io.ErrUnexpectedEOF:
		return "it ended too early"
	case io.ErrShortWrite:
		return "not all of it could be written"
	case context.DeadlineExceeded, os.ErrDeadlineExceeded:
		return "it took too long"
	case context.Canceled:
		return "it was given up"
	case net.ErrClosed, os.ErrClosed:
		return "the connection was closed on this side"
	case fs.ErrNotExist:
		return "it doesn't exist"
	case fs.ErrPermission:
		return "permission denied"
	}
	if timeout, ok := err.(interface{ Timeout() bool }); ok && timeout.Timeout() && !isWrapper(err) && isForeignTimeout(err) {
		return "it took too long"
	}
	return ""
}

// isForeignTimeout tells Go's own time-outs, whose types are hidden, by their
// words.
func isForeignTimeout(err error) bool {
	text := err.Error()
	return strings.Contains(text, "i/o timeout") || strings.Contains(text, "deadline exceeded") || strings.Contains(text, "handshake timeout") ||
		strings.Contains(text, "Client.Timeout")
}

// prefixes are what libraries begin their texts with.
var prefixes = []string{
	"net/http: HTTP/1.x transport connection broken: ", "net/http: ", "http: ", "http2: ", "gzip: ", "flate: ", "asn1: ", "pem: ",
	"crypto/tls: ", "crypto/x509: ", "crypto/rsa: ", "crypto/ecdsa: ", "encoding/hex: ", "encoding/json: ", "json: ", "strconv: ", "net: ", "os: ", "flag: ", "io: ", "fasthttp: ", "yaml: ", "epoll: ",
}

// withoutLibrary takes the names of libraries off the beginning of a text.
func withoutLibrary(text string) string {
	for _, prefix := range prefixes {
		text = strings.TrimPrefix(text, prefix)
	}
	return text
}

// ofLibrary takes the name of a library off a text that is told by nothing else,
// and says in better words what is met often.
func ofLibrary(text string) string {
	plain := withoutLibrary(text)
	for _, known := range []struct{ part, words string }{
		{"server gave HTTP response to HTTPS client", "the server speaks HTTP without TLS: the URL should begin with http://"},
		{"gzip: invalid header", "the content is not gzip"},
		{"flate: corrupt input", "the compressed content is damaged"},
		{"readLoopPeekFailLocked", "the server sends without having been asked"},
		{"malformed HTTP", "the server's answer is not HTTP"},
		{"malformed MIME header", "the server's answer has a malformed header section"},
		{"server closed idle connection", "the server has closed the connection"},
		{"server sent GOAWAY", "the server has closed the connection"},
		{"stream error:", "the server has given the request up"},
		{"response headers exceeded", "the header section of the server's answer is too large"},
		{"TLS handshake timeout", "the TLS handshake took too long"},
		{"timeout awaiting response headers", "it took too long"},
		{"invalid header field name", "a header field has an invalid name"},
		{"invalid header field value", "a header field has an invalid value"},
		{"illegal base64 data", "it is not base64"},
		{"invalid checksum", "the compressed data is damaged"},
	} {
		if strings.Contains(text, known.part) {
			return known.words
		}
	}
	if plain == text {
		return ""
	}
	return plain
}
