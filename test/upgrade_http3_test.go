package test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// overHTTP3 is a client that speaks nothing else.
func overHTTP3(t *testing.T, config *tls.Config) *http.Client {
	t.Helper()
	config = config.Clone()
	config.NextProtos = []string{http3.NextProtoH3}
	transport := &http3.Transport{TLSClientConfig: config, DisableCompression: true}
	t.Cleanup(func() { _ = transport.Close() })
	return &http.Client{Transport: transport, Timeout: patience}
}

// overTCP is a client of HTTP/2.
func overTCP(t *testing.T, config *tls.Config) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: config.Clone(), ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

// getText asks for the path of a gateway, and returns the protocol with the content.
func getText(c *http.Client, address, path string) (string, error) {
	response, err := c.Get("https://" + address + path)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return fmt.Sprint(response.Proto, " ", response.StatusCode, " ", string(body)), err
}

// fallback asks over HTTP/3, and where that says that the request was not served, over
// TCP, as browsers do.
type fallback struct {
	quic, tcp *http.Client
	address   string
}

func (f *fallback) ask() error {
	got, err := getText(f.quic, f.address, "/x")
	if err != nil && unserved(err) {
		got, err = getText(f.tcp, f.address, "/x")
	}
	if err == nil && !strings.HasSuffix(got, " 200 hello /x") {
		err = errors.New(got)
	}
	return err
}

// unserved reports whether there was no connection, or one that had been told to end
// before it took the request.
func unserved(err error) bool {
	if of, ok := errors.AsType[*quic.TransportError](err); ok {
		return of.ErrorCode == quic.ConnectionRefused
	}
	if of, ok := errors.AsType[*http3.Error](err); ok {
		return of.ErrorCode == http3.ErrCodeRequestRejected || of.ErrorCode == http3.ErrCodeNoError
	}
	if of, ok := errors.AsType[*quic.ApplicationError](err); ok {
		return http3.ErrCode(of.ErrorCode) == http3.ErrCodeNoError
	}
	return errors.As(err, new(*quic.HandshakeTimeoutError))
}

// dialQUIC opens a connection, and closes it.
func dialQUIC(t *testing.T, address string, config *tls.Config) error {
	t.Helper()
	config = config.Clone()
	config.NextProtos = []string{http3.NextProtoH3}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := quic.DialAddr(ctx, address, config, &quic.Config{HandshakeIdleTimeout: time.Second})
	if err != nil {
		return err
	}
	return conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "")
}

// halfUpstream begins the response of /slow, and completes it when it is told to.
func halfUpstream(t *testing.T) (address string, entered, proceed chan struct{}) {
	t.Helper()
	entered, proceed = make(chan struct{}), make(chan struct{})
	return serveFunc(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			_, _ = io.WriteString(w, "half ")
			_ = http.NewResponseController(w).Flush()
			close(entered)
			select {
			case <-proceed:
			case <-r.Context().Done():
			}
		}
		_, _ = io.WriteString(w, "hello "+r.URL.Path)
	}), entered, proceed
}

// TestUpgradeHTTP3: the old process tells its clients of HTTP/3 to come anew, answers what
// they have asked and refuses new connections, which come over TCP meanwhile; then the
// new one has the port. Who takes that for what it is loses no request.
func TestUpgradeHTTP3(t *testing.T) {
	t.Parallel()
	upstream, entered, proceed := halfUpstream(t)
	config, lines := certified(t, t.TempDir())
	l := startLineage(t, "access_log: {enabled: false}\n"+lines+"listeners: [{address: PLAIN, tls: true, http3: true}]\n"+simpleConfig(upstream))
	slow, err := overHTTP3(t, config).Get("https://" + l.address + "/slow")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = slow.Body.Close() }()
	<-entered
	load := &traffic{stop: make(chan struct{})}
	for range 3 {
		load.repeat(20*time.Millisecond, (&fallback{overHTTP3(t, config), overTCP(t, config), l.address}).ask)
	}
	load.repeat(20*time.Millisecond, func() error { return dialedOrRefused(t, l.address, config) })
	before := load.requests()
	eventually(t, patience, "requests come", func() bool { return load.requests() >= before+20 })
	l.upgrade(t)
	eventually(t, patience, "new connections are refused", func() bool { return dialQUIC(t, l.address, config) != nil })
	if got, err := getText(overTCP(t, config), l.address, "/x"); got != "HTTP/2.0 200 hello /x" || err != nil {
		t.Errorf("over TCP: %q, %v", got, err)
	}
	before = load.requests()
	eventually(t, patience, "requests go on", func() bool { return load.requests() >= before+20 })
	close(proceed)
	if rest, err := io.ReadAll(slow.Body); string(rest) != "half hello /slow" || err != nil {
		t.Errorf("a response that had begun: %q, %v", rest, err)
	}
	eventually(t, patience, "the new process has HTTP/3", func() bool { return dialQUIC(t, l.address, config) == nil })
	if got, err := getText(overHTTP3(t, config), l.address, "/x"); got != "HTTP/3.0 200 hello /x" || err != nil {
		t.Errorf("of the new process: %q, %v", got, err)
	}
	await(t, "the old process ends", l.processes[0].exited)
	load.end(t)
	if _, text := adminGet(t, &l.gateway, "/metrics"); strings.Contains(text, "\nkeystone_http3_streams_total 0\n") || !strings.Contains(text, "\nkeystone_http3_streams_total ") {
		t.Error("the new process has counted no stream")
	}
}

// dialedOrRefused fails if a new connection is neither served nor refused.
func dialedOrRefused(t *testing.T, address string, config *tls.Config) error {
	t.Helper()
	err := dialQUIC(t, address, config)
	if err != nil && unserved(err) {
		return nil
	}
	return err
}

// TestUpgradeHTTP3Cut: what is left of the old process's HTTP/3 when server.drain_timeout
// is over is cut, and the new one has the port.
func TestUpgradeHTTP3Cut(t *testing.T) {
	t.Parallel()
	upstream, entered, _ := halfUpstream(t)
	config, lines := certified(t, t.TempDir())
	l := startLineage(t, "server: {drain_timeout: 300ms}\n"+lines+"listeners: [{address: PLAIN, tls: true, http3: true}]\n"+simpleConfig(upstream))
	slow, err := overHTTP3(t, config).Get("https://" + l.address + "/slow")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = slow.Body.Close() }()
	<-entered
	l.upgrade(t)
	if rest, err := io.ReadAll(slow.Body); err == nil {
		t.Errorf("a response of the old process looks complete: %q", rest)
	}
	eventually(t, patience, "the new process has HTTP/3", func() bool { return dialQUIC(t, l.address, config) == nil })
	await(t, "the old process ends", l.processes[0].exited)
}
