package modules

import (
	"cmp"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// ClientConfig says what the scripts of one tenant may do over HTTP. A zero
// field means its default.
type ClientConfig struct {
	// Timeout bounds one request with its response, redirects and body
	// included, where a script asks for no other: 5s.
	Timeout time.Duration
	// MaxResponse bounds a response body in bytes, decompressed: 1 MiB. A
	// script can ask for less only.
	MaxResponse int64
	// MaxConnections bounds the connections to one host: 64. More requests
	// wait for one within their time-outs.
	MaxConnections int
	// MaxParallel bounds how many requests of one http.all are on their way
	// at once: 16.
	MaxParallel int
	// UserAgent is sent where a script sets none: "keystone-gateway".
	UserAgent string

	// Allow and Deny decide which addresses may be connected to: the longest
	// prefix that contains an address decides, and Allow where two are equally
	// long. Loopback, link-local, multicast, broadcast and unspecified addresses
	// and the metadata services of clouds are denied by default. Private networks
	// are allowed by default: Deny them where the authors of scripts are not
	// trusted with what is there. An IPv6 address that stands for an IPv4 address
	// (mapped, NAT64, 6to4, Teredo) needs both to be allowed.
	Allow []Permission
	Deny  []netip.Prefix

	// Own says which addresses this process itself listens on. They are refused
	// whatever is allowed; one that serves tenants is reached where Allow has
	// exactly that address with that port. nil is none.
	Own func(netip.AddrPort) Ownership

	// Hops returns the value of HopsField for requests that no request of a
	// client has caused; nil sends none there.
	Hops func() string

	// Place takes a place for a connection, which is given back when it is closed;
	// nil is no bound.
	Place func() (giveBack func(), err error)

	// RootCAs are the authorities that https believes: nil is the system's.
	RootCAs *x509.CertPool
	// Resolver resolves names: nil is the system's.
	Resolver *net.Resolver
}

const (
	// maxRedirects bounds what a script may ask for.
	maxRedirects = 10
	// maxTimeout bounds what a script may ask for.
	maxTimeout     = 5 * time.Minute
	connectTimeout = 10 * time.Second // a time-out of its own, for connections that outlive the request that asked for them
	// freeBody is how much of a response body requestBytes pays for.
	freeBody = 4 << 10
	// streamBytes is how much of a response HTTP/2 may receive that has not been
	// read; its default is 4 MiB.
	streamBytes = 64 << 10
	// freeHead is how much of a response's head requestBytes pays for, headField
	// what each field takes besides its text.
	freeHead  = 8 << 10
	headField = 150
	// gzipBytes is what a decompressor holds.
	gzipBytes = 48 << 10
)

var (
	errTooLarge  = errors.New("response too large")
	errProtocol  = errors.New("the server switched protocols without being asked")
	errDowngrade = errors.New("the server redirected from https to http")
)

// Client is what the scripts of one tenant make requests with. Its VMs share
// it. Its methods may be called at once.
type Client struct {
	config    ClientConfig
	transport *http.Transport
}

// HopsField is the field that all requests of scripts carry, so that one that
// comes back to the gateway is known. Scripts can neither set nor remove it.
const HopsField = "X-Gateway-Hops"

// Hopping is what the owner of a run implements for its requests to say how
// they came about: it returns the value of HopsField.
type Hopping interface{ Hops() string }

// marked makes round trips with a value of HopsField: whatever a request is,
// the first or one after a redirect, it has no other.
type marked struct {
	next http.RoundTripper
	hops string
}

func (m marked) RoundTrip(r *http.Request) (*http.Response, error) {
	clone := *r
	if clone.Header = r.Header.Clone(); m.hops != "" {
		clone.Header[HopsField] = []string{m.hops}
	} else {
		delete(clone.Header, HopsField)
	}
	return m.next.RoundTrip(&clone)
}

// NewClient returns a client. It takes no proxies from the environment, speaks
// http and https (TLS 1.2 or later, verified) and nothing else.
func NewClient(c ClientConfig) *Client {
	c.Timeout = cmp.Or(c.Timeout, 5*time.Second)
	c.MaxResponse = cmp.Or(c.MaxResponse, 1<<20)
	c.MaxConnections = cmp.Or(c.MaxConnections, 64)
	c.MaxParallel = cmp.Or(c.MaxParallel, 16)
	c.UserAgent = cmp.Or(c.UserAgent, "keystone-gateway")
	guard := newGuard(&c)
	dialer := &net.Dialer{Timeout: connectTimeout, Resolver: c.Resolver, ControlContext: guard.control}
	return &Client{config: c, transport: &http.Transport{
		Proxy:                  nil, // not even the environment's: it would connect in our place
		DialContext:            c.placed(guard.dial(dialer.DialContext)),
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.RootCAs},
		TLSHandshakeTimeout:    connectTimeout,
		ForceAttemptHTTP2:      true,
		MaxConnsPerHost:        c.MaxConnections,
		MaxIdleConnsPerHost:    c.MaxConnections,
		MaxIdleConns:           4 * c.MaxConnections,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		HTTP2:                  &http.HTTP2Config{MaxReceiveBufferPerStream: streamBytes, MaxReceiveBufferPerConnection: 16 * streamBytes},
		DisableCompression:     true, // a script asks for it, and inflating is bounded here
	}}
}

// Close closes the connections that are not in use. Requests in flight go on;
// what connections they leave are closed too.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// request is what a script asked for, checked. It holds no Lua values.
type request struct {
	method      string
	url         *url.URL
	host        string // where it isn't the URL's
	header      http.Header
	body        string
	timeout     time.Duration
	redirects   int
	maxResponse int64
	decompress  bool
	hops        string // "" is the client's own
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
	url    string // of the last request, redirects followed
}

// do makes a request and reads the response, within the request's time-out.
// It calls grant before it allocates that many bytes more than freeBody for
// the body. The error's text is meant for scripts.
func (c *Client) do(ctx context.Context, r *request, grant func(bytes int) error) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	a, err := c.exchange(ctx, r, grant)
	if err != nil {
		return nil, explain(err, r)
	}
	return a, nil
}

func (c *Client) exchange(ctx context.Context, r *request, grant func(int) error) (*answer, error) {
	out, err := http.NewRequestWithContext(ctx, r.method, r.url.String(), strings.NewReader(r.body))
	if err != nil {
		return nil, err
	}
	// A clone, because a request may be made again and Header is changed below.
	out.Header, out.Host = r.header.Clone(), cmp.Or(r.host, out.Host)
	hops := r.hops
	if hops == "" && c.config.Hops != nil {
		hops = c.config.Hops()
	}
	client := &http.Client{Transport: marked{c.transport, hops}, CheckRedirect: r.checkRedirect}
	in, err := client.Do(out)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Body.Close() }()
	if in.StatusCode == http.StatusSwitchingProtocols {
		// Such a body is a connection that the context no longer ends.
		return nil, errProtocol
	}
	if size := headSize(in); size > freeHead {
		if err := grant(size); err != nil {
			return nil, err
		}
	}
	reader, err := r.bodyReader(in, grant)
	if err != nil {
		return nil, err
	}
	body, err := readBody(reader, in.ContentLength, grant)
	if err != nil {
		return nil, err
	}
	last := *in.Request.URL
	last.User = nil
	return &answer{status: in.StatusCode, header: in.Header, body: body, url: last.String()}, nil
}

// headSize is what the head of a response takes, and what HTTP/2 may hold of its
// body, in bytes.
func headSize(in *http.Response) (bytes int) {
	if in.ProtoMajor == 2 {
		bytes = streamBytes
	}
	for name, values := range in.Header {
		bytes += headField + len(name)
		for _, value := range values {
			bytes += headField/4 + len(value)
		}
	}
	return bytes
}

func (r *request) checkRedirect(next *http.Request, via []*http.Request) error {
	switch {
	case r.redirects == 0:
		return http.ErrUseLastResponse
	case len(via) > r.redirects:
		return fmt.Errorf("more than %d redirects", r.redirects)
	case next.URL.Scheme != "http" && next.URL.Scheme != "https":
		return fmt.Errorf("redirected to the scheme %.20q", next.URL.Scheme)
	case via[len(via)-1].URL.Scheme == "https" && next.URL.Scheme == "http":
		return errDowngrade
	}
	return nil
}

// bodyReader returns what the body is read from: no more than the request
// allows, neither compressed nor inflated.
func (r *request) bodyReader(in *http.Response, grant func(int) error) (io.Reader, error) {
	reader := io.Reader(&capped{in.Body, r.maxResponse})
	if !r.decompress || in.ContentLength == 0 || in.Body == http.NoBody ||
		!strings.EqualFold(in.Header.Get("Content-Encoding"), "gzip") {
		return reader, nil
	}
	if err := grant(gzipBytes); err != nil {
		return nil, err
	}
	inflated, err := gzip.NewReader(reader)
	if err != nil {
		return nil, err
	}
	in.Header.Del("Content-Encoding")
	in.Header.Del("Content-Length")
	in.ContentLength = -1
	return &capped{inflated, r.maxResponse}, nil
}

// capped fails with errTooLarge where a reader has more than left bytes.
type capped struct {
	reader io.Reader
	left   int64
}

func (c *capped) Read(p []byte) (int, error) {
	if int64(len(p)) > c.left+1 {
		p = p[:c.left+1]
	}
	n, err := c.reader.Read(p)
	if int64(n) > c.left {
		n, err = int(c.left), errTooLarge
	}
	c.left -= int64(n)
	return n, err
}

// readBody reads to the end. length is what the server promises, or -1; it is
// believed as far as memory is cheap.
func readBody(reader io.Reader, length int64, grant func(int) error) (string, error) {
	var body strings.Builder // makes a string without copying
	grow := func(n, free int) error {
		more := 2*body.Cap() + n // what Grow allocates
		if more > free {
			if err := grant(more); err != nil {
				return err
			}
		}
		body.Grow(n)
		return nil
	}
	if length > 0 {
		if err := grow(int(min(length, 64<<10)), freeBody); err != nil {
			return "", err
		}
	}
	chunk := make([]byte, 4<<10)
	for {
		n, err := reader.Read(chunk)
		if n > body.Cap()-body.Len() {
			if err := grow(n, freeBody); err != nil {
				return "", err
			}
		}
		body.Write(chunk[:n])
		switch {
		case err == io.EOF:
			return body.String(), nil
		case err != nil:
			return "", err
		}
	}
}

// explain makes an error whose text tells a script what it can do about it.
func explain(err error, r *request) error {
	if refused, ok := errors.AsType[*refusedError](err); ok {
		return refused
	}
	if errors.Is(err, errTooLarge) {
		return fmt.Errorf("response larger than %d bytes", r.maxResponse)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no complete response within %v", r.timeout)
	}
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err // without the URL, which may hold a password
	}
	return err
}
