package fetch

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

// Config says what may be done in the name of one tenant. A zero
// field means its default.
type Config struct {
	// Timeout bounds one request with its response, redirects and body
	// included, where it asks for no other: 5s.
	Timeout time.Duration
	// MaxResponse bounds a response body in bytes, decompressed: 1 MiB. A
	// request can ask for less only.
	MaxResponse int64
	// MaxConnections bounds the connections to one host: 64. More requests
	// wait for one within their time-outs.
	MaxConnections int
	// MaxParallel is how many requests that belong together whoever makes them
	// should have on their way at once: 16.
	MaxParallel int
	// UserAgent is sent where a request has none: "keystone-gateway".
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
	// Within, if not nil, stands in the place of Allow: nothing that is added to that
	// opens anything, such as the URL of a policy that a script has made up.
	Within []Permission

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
	connectTimeout = 10 * time.Second // a time-out of its own, for connections that outlive the request that asked for them
	// streamBytes is how much of a response HTTP/2 may receive that has not been
	// read; its default is 4 MiB.
	streamBytes = 64 << 10
	// headField is what each field of a head takes besides its text.
	headField = 150
	// gzipBytes is what a decompressor holds.
	gzipBytes = 48 << 10
)

// What a request takes without asking for it, in bytes.
const (
	FreeBody = 4 << 10 // of the response's body
	FreeHead = 8 << 10 // of its head
)

// Memory is what a request is granted memory by. It is asked, on the request's
// goroutine, before so many bytes are allocated for the response beyond
// FreeHead and FreeBody; its error ends the request.
type Memory interface{ Grant(bytes int) error }

// unbounded grants everything: the bounds of the client are all there are.
type unbounded struct{}

func (unbounded) Grant(int) error { return nil }

var (
	errTooLarge  = errors.New("response too large")
	errProtocol  = errors.New("the server switched protocols without being asked")
	errNoURL     = errors.New("BUG: the request has no URL")
	errDowngrade = errors.New("the server redirected from https to http")
)

// Client makes the requests of one tenant. Its methods may be called at once.
type Client struct {
	config    Config
	transport *http.Transport
}

// HopsField is the field that all requests carry, so that one that comes back
// to the gateway is known. No request can set or remove it by itself.
const HopsField = "X-Gateway-Hops"

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

// New returns a client. It takes no proxies from the environment, speaks
// http and https (TLS 1.2 or later, verified) and nothing else.
func New(c Config) *Client {
	c.Timeout = cmp.Or(c.Timeout, 5*time.Second)
	c.MaxResponse = cmp.Or(c.MaxResponse, 1<<20)
	c.MaxConnections = cmp.Or(c.MaxConnections, 64)
	c.MaxParallel = cmp.Or(c.MaxParallel, 16)
	c.UserAgent = cmp.Or(c.UserAgent, "keystone-gateway")
	if c.Within != nil {
		c.Allow = c.Within
	}
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
		DisableCompression:     true, // a request asks for it, and inflating is bounded here
	}}
}

// Close closes the connections that are not in use. Requests in flight go on;
// what connections they leave are closed too.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Config returns what the client was made with, defaults filled in. It must not
// be changed.
func (c *Client) Config() *Config { return &c.config }

// Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	Body   string
	URL    string // of the last request, redirects followed
}

// Do makes a request and reads the response, within the request's time-out.
// memory may be nil. The error's text is meant for whoever wrote the request:
// it quotes no more than that.
func (c *Client) Do(ctx context.Context, r *Request, memory Memory) (*Answer, error) {
	if r.url == nil {
		return nil, errNoURL
	}
	if memory == nil {
		memory = unbounded{}
	}
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	a, err := c.ask(ctx, r, memory)
	if err != nil {
		return nil, explain(err, r)
	}
	return a, nil
}

func (c *Client) ask(ctx context.Context, r *Request, memory Memory) (*Answer, error) {
	out, err := http.NewRequestWithContext(ctx, r.method, r.url.String(), strings.NewReader(r.Body))
	if err != nil {
		return nil, err
	}
	out.Header, out.Host = r.sent(c.config.UserAgent), cmp.Or(r.host, out.Host)
	hops := r.Hops
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
	if size := headSize(in); size > FreeHead {
		if err := memory.Grant(size); err != nil {
			return nil, err
		}
	}
	reader, err := r.bodyReader(in, memory)
	if err != nil {
		return nil, err
	}
	body, err := readBody(reader, in.ContentLength, memory)
	if err != nil {
		return nil, err
	}
	last := *in.Request.URL
	last.User = nil
	return &Answer{Status: in.StatusCode, Header: in.Header, Body: body, URL: last.String()}, nil
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

func (r *Request) checkRedirect(next *http.Request, via []*http.Request) error {
	switch {
	case r.Redirects == 0:
		return http.ErrUseLastResponse
	case len(via) > r.Redirects:
		return fmt.Errorf("more than %d redirects", r.Redirects)
	case next.URL.Scheme != "http" && next.URL.Scheme != "https":
		return fmt.Errorf("redirected to the scheme %.20q", next.URL.Scheme)
	case via[len(via)-1].URL.Scheme == "https" && next.URL.Scheme == "http":
		return errDowngrade
	}
	return nil
}

// bodyReader returns what the body is read from: no more than the request
// allows, neither compressed nor inflated.
func (r *Request) bodyReader(in *http.Response, memory Memory) (io.Reader, error) {
	reader := io.Reader(&capped{in.Body, r.MaxResponse})
	if !r.Decompress || in.ContentLength == 0 || in.Body == http.NoBody ||
		!strings.EqualFold(in.Header.Get("Content-Encoding"), "gzip") {
		return reader, nil
	}
	if err := memory.Grant(gzipBytes); err != nil {
		return nil, err
	}
	inflated, err := gzip.NewReader(reader)
	if err != nil {
		return nil, err
	}
	in.Header.Del("Content-Encoding")
	in.Header.Del("Content-Length")
	in.ContentLength = -1
	return &capped{inflated, r.MaxResponse}, nil
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
func readBody(reader io.Reader, length int64, memory Memory) (string, error) {
	var body strings.Builder // makes a string without copying
	grow := func(n, free int) error {
		more := 2*body.Cap() + n // what Grow allocates
		if more > free {
			if err := memory.Grant(more); err != nil {
				return err
			}
		}
		body.Grow(n)
		return nil
	}
	if length > 0 {
		if err := grow(int(min(length, 64<<10)), FreeBody); err != nil {
			return "", err
		}
	}
	chunk := make([]byte, 4<<10)
	for {
		n, err := reader.Read(chunk)
		if n > body.Cap()-body.Len() {
			if err := grow(n, FreeBody); err != nil {
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

// explain makes an error whose text tells the author of a request what to do about it.
func explain(err error, r *Request) error {
	if refused, ok := errors.AsType[*refusedError](err); ok {
		return refused
	}
	if errors.Is(err, errTooLarge) {
		return fmt.Errorf("response larger than %d bytes", r.MaxResponse)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no complete response within %v", r.Timeout)
	}
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err // without the URL, which may hold a password
	}
	return err
}
