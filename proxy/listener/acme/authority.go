package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/mholt/acmez/v3/acme"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
)

// authority is the conversation with a certificate authority (RFC 8555).
type authority struct {
	config *Config
	client *acme.Client
	key    string // what the authority's things in the storage begin with
}

// What an authority may send: the header of an answer, an answer, and all answers of
// one order with its challenges, in bytes.
const (
	maxAnswerHeader = 64 << 10
	maxAnswer       = 1 << 20
	maxAnswers      = 8 << 20
)

// newAuthority prepares a conversation; roots are PEM, and may be nil.
func newAuthority(c *Config, roots []byte) *authority {
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConnsPerHost: parallel, MaxConnsPerHost: 2 * parallel, IdleConnTimeout: time.Minute, ResponseHeaderTimeout: 30 * time.Second,
		MaxResponseHeaderBytes: maxAnswerHeader,
	}
	if roots != nil {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		pool.AppendCertsFromPEM(roots)
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return &authority{
		config: c,
		client: &acme.Client{
			Directory: c.Directory(), UserAgent: "keystone-gateway",
			HTTPClient: &http.Client{Transport: bounded{transport}, Timeout: time.Minute},
		},
		key: keyOf(strings.TrimPrefix(c.Directory(), "https://")),
	}
}

// keyOf makes a part of a key of a text: no other byte than those of host names.
func keyOf(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '.' || r == '-' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			return r
		}
		return '_'
	}, strings.Trim(text, "/."))
}

// bounded is a transport by which an authority gets no further than it should: where
// it leads is https, as its directory is; what it answers is of a size, and what it
// asks to be waited for can be waited for. It remembers when that is.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, fmt.Errorf("the authority leads to %q, expected a URL with https", cause.Clip(r.URL.Redacted(), maxURL))
	}
	response, err := b.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	after := retryAfter(response.Header.Get("Retry-After"), time.Now())
	response.Header.Del("Retry-After")
	if after >= time.Second { // for whoever asks again by it
		response.Header.Set("Retry-After", strconv.FormatInt(int64(after/time.Second), 10))
	}
	body := &limited{response.Body, maxAnswer, nil}
	if note, ok := r.Context().Value(noteKey{}).(*note); ok {
		body.note = note
		if response.StatusCode == http.StatusTooManyRequests || response.StatusCode == http.StatusServiceUnavailable {
			note.after = after
		}
	}
	response.Body = body
	return response, nil
}

// maxURL bounds what an error says of a URL of the authority's.
const maxURL = 128

// errTooMuch ends an answer, or an order.
var errTooMuch = errors.New("the authority sends more than an order may need")

// limited is the body of an answer.
type limited struct {
	io.ReadCloser
	left int
	note *note // of the order, which bounds its answers together; nil without one
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.ReadCloser.Read(p)
	l.left -= n
	if l.note != nil {
		l.note.read += n
	}
	if l.left < 0 || l.note != nil && l.note.read > maxAnswers {
		return 0, errTooMuch
	}
	return n, err
}

// note is what is learnt beside the answers of one order; they come one after another.
type note struct {
	after time.Duration
	read  int // bytes
}

type noteKey struct{}

// maxRetryAfter bounds how long the authority can have us wait.
const maxRetryAfter = 24 * time.Hour

// retryAfter reads a field Retry-After (RFC 9110 §10.2.3); 0 is none.
func retryAfter(field string, now time.Time) time.Duration {
	switch seconds, err := strconv.ParseUint(field, 10, 31); {
	case err == nil:
		return min(time.Duration(seconds)*time.Second, maxRetryAfter)
	case errors.Is(err, strconv.ErrRange):
		return maxRetryAfter
	}
	if at, err := http.ParseTime(field); err == nil {
		return min(max(at.Sub(now), 0), maxRetryAfter)
	}
	return 0
}

// limitedError says that the authority refuses for now.
type limitedError struct {
	after time.Duration // 0: it doesn't say
	err   error
}

func (e *limitedError) Error() string { return e.err.Error() }
func (e *limitedError) Unwrap() error { return e.err }

// noted calls f, and says of its error if it is that the authority is asked too
// often.
func noted(ctx context.Context, f func(context.Context) error) error {
	var n note
	err := f(context.WithValue(ctx, noteKey{}, &n))
	problem, ok := errors.AsType[acme.Problem](err)
	if err != nil && (n.after > 0 || ok && (problem.Status == http.StatusTooManyRequests || problem.Type == acme.ProblemTypeRateLimited)) {
		return &limitedError{n.after, err}
	}
	return err
}
