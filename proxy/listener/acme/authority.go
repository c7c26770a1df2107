package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/mholt/acmez/v3/acme"
)

// authority is the conversation with a certificate authority (RFC 8555).
type authority struct {
	config *Config
	client *acme.Client
	key    string // what the authority's things in the storage begin with
}

// maxAnswer bounds an answer of the authority, and of whom an ask goes to, in bytes.
const maxAnswer = 1 << 20

// newAuthority prepares a conversation; roots are PEM, and may be nil.
func newAuthority(c *Config, roots []byte) *authority {
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConnsPerHost: parallel, MaxConnsPerHost: 2 * parallel, IdleConnTimeout: time.Minute, ResponseHeaderTimeout: 30 * time.Second,
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

// bounded is a transport whose answers are of a size, and which remembers when the
// authority wants to be asked again.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := b.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if response.StatusCode == http.StatusTooManyRequests || response.StatusCode == http.StatusServiceUnavailable {
		if note, ok := r.Context().Value(noteKey{}).(*note); ok {
			note.after = retryAfter(response.Header.Get("Retry-After"), time.Now())
		}
	}
	response.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(response.Body, maxAnswer), response.Body}
	return response, nil
}

// note is what is learnt beside an answer of the authority.
type note struct{ after time.Duration }

type noteKey struct{}

// maxRetryAfter bounds how long the authority can have us wait.
const maxRetryAfter = 24 * time.Hour

// retryAfter reads a field Retry-After (RFC 9110 §10.2.3); 0 is none.
func retryAfter(field string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(field, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter)
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
