package streams_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/keystone-gateway/keystone-gateway/proxy"
)

// patience is how long anything is waited for that comes by itself.
const patience = time.Minute

// serve runs a gateway whose one listener speaks HTTP/2 without TLS, and whose
// tenant's target is handler. settings are further keys of the file, lines.
func serve(t testing.TB, settings string, handler http.Handler) *proxy.Server {
	t.Helper()
	return serveOn(t, "[{address: '127.0.0.1:0', protocols: [h2c, http/1.1]}]", settings, handler)
}

// serveOn is serve with other listeners.
func serveOn(t testing.TB, listeners, settings string, handler http.Handler) *proxy.Server {
	t.Helper()
	server, _ := run(t, listeners, settings, handler)
	return server
}

// stoppable is serve of a gateway that is stopped within the test.
func stoppable(t testing.TB, handler http.Handler) (server *proxy.Server, stop func()) {
	t.Helper()
	return run(t, "[{address: '127.0.0.1:0', protocols: [h2c, http/1.1]}]", "", handler)
}

func run(t testing.TB, listeners, settings string, handler http.Handler) (server *proxy.Server, stop func()) {
	t.Helper()
	target := httptest.NewServer(handler)
	t.Cleanup(target.Close)
	file := filepath.Join(t.TempDir(), "config.yaml")
	text := "listeners: " + listeners + "\nadmin: {enabled: false}\naccess_log: {enabled: false}\n" + settings +
		"\ntenants: [{name: a, domains: [a.example, 127.0.0.1], services: [{url: '" + target.URL + "'}]}]\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	config, err := proxy.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	server, err = proxy.New(proxy.Options{File: file, Config: config, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	runs := server.Run
	go func() { done <- runs(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return server, cancel
}

// peer is a client that writes frames by hand, with x/net's code for them.
type peer struct {
	t      testing.TB
	conn   net.Conn
	framer *http2.Framer
	buf    bytes.Buffer
	encode *hpack.Encoder
	silent bool // it answers nothing, so that it can be read and written at once
}

// connect opens a connection and sends the preface, and SETTINGS.
func connect(t testing.TB, server *proxy.Server) *peer {
	t.Helper()
	p := dial(t, server)
	_, err := io.WriteString(p.conn, http2.ClientPreface)
	p.try(err)
	p.try(p.framer.WriteSettings())
	return p
}

// connectAsking is connect that sends a request on stream 1 by the same write.
func connectAsking(t testing.TB, server *proxy.Server) *peer {
	t.Helper()
	p := dial(t, server)
	whole := bytes.NewBufferString(http2.ClientPreface)
	own := p.framer
	p.framer = http2.NewFramer(whole, nil)
	p.try(p.framer.WriteSettings())
	p.ask(1, "GET", "/", true)
	p.framer = own
	_, err := p.conn.Write(whole.Bytes())
	p.try(err)
	return p
}

// dial opens a connection.
func dial(t testing.TB, server *proxy.Server) *peer {
	t.Helper()
	conn, err := net.Dial("tcp", server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	p := &peer{t: t, conn: conn, framer: http2.NewFramer(conn, conn)}
	p.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	p.framer.AllowIllegalWrites = true
	p.encode = hpack.NewEncoder(&p.buf)
	return p
}

func (p *peer) try(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// block encodes fields, name after value.
func (p *peer) block(fields ...string) []byte {
	p.buf.Reset()
	for i := 0; i < len(fields); i += 2 {
		_ = p.encode.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return bytes.Clone(p.buf.Bytes())
}

// ask sends the head of a request for a path.
func (p *peer) ask(stream uint32, method, path string, end bool, fields ...string) {
	p.t.Helper()
	p.try(p.send(stream, method, path, end, fields...))
}

// send is ask that may fail.
func (p *peer) send(stream uint32, method, path string, end bool, fields ...string) error {
	block := p.block(append([]string{":method", method, ":scheme", "http", ":authority", "a.example", ":path", path}, fields...)...)
	return p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block, EndStream: end, EndHeaders: true})
}

// answer is what a stream has got.
type answer struct {
	status  string
	header  map[string]string
	body    []byte
	trailer map[string]string
	interim []string
	reset   http2.ErrCode
	isReset bool
}

// until reads frames until done says so, or the connection ends. It answers SETTINGS
// and PING, and gives windows back if that is asked for.
type reading struct {
	answers  map[uint32]*answer
	goaways  []*http2.GoAwayFrame
	pongs    int
	settings bool // the gateway's
	err      error
}

// read reads frames until done, given what has come, is true, or the connection ends.
func (p *peer) read(giveBack bool, done func(r *reading) bool) *reading {
	p.t.Helper()
	r := &reading{answers: map[uint32]*answer{}}
	of := func(stream uint32) *answer {
		if r.answers[stream] == nil {
			r.answers[stream] = &answer{header: map[string]string{}}
		}
		return r.answers[stream]
	}
	for !done(r) {
		f, err := p.framer.ReadFrame()
		if err != nil {
			if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
				p.t.Fatalf("nothing more has come: %+v", r)
			}
			r.err = err
			return r
		}
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			a := of(f.StreamID)
			fields := map[string]string{}
			for _, h := range f.RegularFields() {
				fields[h.Name] += h.Value
			}
			switch status := f.PseudoValue("status"); {
			case status == "":
				a.trailer = fields
			case status[0] == '1':
				a.interim = append(a.interim, status)
			default:
				a.status, a.header = status, fields
			}
			if f.StreamEnded() && a.trailer == nil {
				a.trailer = map[string]string{}
			}
		case *http2.DataFrame:
			a := of(f.StreamID)
			a.body = append(a.body, f.Data()...)
			if f.StreamEnded() {
				a.trailer = map[string]string{}
			}
			if n := f.Length; giveBack && n > 0 {
				_ = p.framer.WriteWindowUpdate(0, n)
				_ = p.framer.WriteWindowUpdate(f.StreamID, n)
			}
		case *http2.RSTStreamFrame:
			a := of(f.StreamID)
			a.isReset, a.reset = true, f.ErrCode
		case *http2.GoAwayFrame:
			copied := *f
			r.goaways = append(r.goaways, &copied)
		case *http2.SettingsFrame:
			r.settings = r.settings || !f.IsAck()
			if !f.IsAck() && !p.silent {
				_ = p.framer.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if f.IsAck() {
				r.pongs++
			} else if !p.silent {
				_ = p.framer.WritePing(true, f.Data)
			}
		}
	}
	return r
}

// ended reports whether a stream has.
func (r *reading) ended(stream uint32) bool {
	a := r.answers[stream]
	return a != nil && (a.trailer != nil || a.isReset)
}

// code is that of the last GOAWAY.
func (r *reading) code() string {
	if len(r.goaways) == 0 {
		return fmt.Sprint("none, ", r.err)
	}
	return r.goaways[len(r.goaways)-1].ErrCode.String()
}

// echo answers with what it has got.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	_, _ = fmt.Fprintf(w, "%s %s %s %d", r.Method, r.Host, r.URL, len(body))
})

// client is Go's, which speaks HTTP/2 without TLS.
func client(t testing.TB) *http.Client {
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

// request is one for the tenant.
func request(t testing.TB, server *proxy.Server, method, path string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+server.Addr().String()+path, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "a.example"
	return r
}

// text reads a response.
func text(t testing.TB, response *http.Response, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(response.StatusCode, " ", strings.TrimSpace(string(body)))
}

// keyPair writes a certificate for the tenant's hosts, and its key.
func keyPair(t testing.TB) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a.example"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"a.example", "b.example"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	bytes, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", bytes)
}
