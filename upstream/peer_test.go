package upstream_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// goServer is net/http's HTTP/2, over TLS or without. conns counts the connections
// that it has accepted.
func goServer(t *testing.T, secure *tls.Certificate, streams int, handler http.HandlerFunc) (listener net.Listener, conns *atomic.Int32) {
	t.Helper()
	conns = new(atomic.Int32)
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Config.Protocols = new(http.Protocols)
	server.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: streams}
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			conns.Add(1)
		}
	}
	if secure != nil {
		server.Config.Protocols.SetHTTP2(true)
		server.EnableHTTP2 = true
		server.TLS = &tls.Config{Certificates: []tls.Certificate{*secure}}
		server.StartTLS()
	} else {
		server.Config.Protocols.SetUnencryptedHTTP2(true)
		server.Start()
	}
	t.Cleanup(server.Close)
	return server.Listener, conns
}

// peer is one connection of a target that speaks frames by hand.
type peer struct {
	*http2.Framer
	conn  net.Conn
	block bytes.Buffer
	coder *hpack.Encoder
}

// framePeer serves each connection with serve, after the preface and SETTINGS.
func framePeer(t *testing.T, serve func(p *peer, number int)) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	t.Cleanup(func() {
		_ = listener.Close()
		group.Wait()
	})
	group.Go(func() {
		for number := 0; ; number++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			group.Go(func() {
				defer func() { _ = conn.Close() }()
				if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
					return
				}
				p := &peer{Framer: http2.NewFramer(conn, conn), conn: conn}
				p.AllowIllegalWrites = true
				p.coder = hpack.NewEncoder(&p.block)
				serve(p, number)
				_, _ = io.Copy(io.Discard, conn) // until the gateway has seen it all
			})
		}
	})
	return listener
}

// request waits for the head of the next request, and answers what belongs to the
// connection meanwhile.
func (p *peer) request() (id uint32, ok bool) {
	for {
		f, err := p.ReadFrame()
		if err != nil {
			return 0, false
		}
		switch f := f.(type) {
		case *http2.HeadersFrame:
			return f.StreamID, true
		case *http2.SettingsFrame:
			if !f.IsAck() {
				_ = p.WriteSettingsAck()
			}
		}
	}
}

// encode makes a header block of names and values.
func (p *peer) encode(fields ...string) []byte {
	p.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		_ = p.coder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return p.block.Bytes()
}

// head writes a header section.
func (p *peer) head(id uint32, end bool, fields ...string) {
	_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.encode(fields...), EndHeaders: true, EndStream: end})
}

// answer is a whole good response.
func (p *peer) answer(id uint32) {
	p.head(id, false, ":status", "200")
	_ = p.WriteData(id, true, []byte("good"))
}

// h2Pool is a pool of one target of HTTP/2 at a listener.
func h2Pool(t *testing.T, listener net.Listener, url string, change func(*upstream.Options, *upstream.PoolConfig)) *upstream.Pool {
	t.Helper()
	o := dialTo(t, listener)
	c := upstream.PoolConfig{Name: "tenant", Services: services(url), Connections: upstream.DefaultConnections(), Timeouts: upstream.DefaultTimeouts()}
	if change != nil {
		change(&o, &c)
	}
	r := upstream.NewRegistry(o)
	t.Cleanup(r.Close)
	return start(t, r, c).Pool("tenant")
}

// streamedRequest sends a body part by part.
type streamedRequest struct {
	call    *upstream.Call
	parts   []string
	trailer message.Header
	more    <-chan string // parts that come later
	done    chan struct{}
	err     error
	interim []int
}

func (r *streamedRequest) Upload() {
	r.done = make(chan struct{})
	go func() {
		defer close(r.done)
		to := r.call.Sender()
		r.err = r.send(&to)
	}()
}

func (r *streamedRequest) send(to *upstream.Sender) error {
	for _, part := range r.parts {
		if err := to.Add([]byte(part)); err != nil {
			return err
		}
	}
	if err := to.Flush(); err != nil {
		return err
	}
	if r.more != nil {
		for part := range r.more {
			if err := errors.Join(to.Add([]byte(part)), to.Flush()); err != nil {
				return err
			}
		}
	}
	return to.End(r.trailer)
}

func (r *streamedRequest) StopUpload() {
	if r.done != nil {
		r.call.Abort(errors.New("stopped"))
		<-r.done
	}
}

func (r *streamedRequest) Interim(m *message.Response) error {
	r.interim = append(r.interim, m.Status)
	return nil
}

func (*streamedRequest) Attempted(*upstream.Target, error) {}

func newStreamed(path string, parts ...string) (*upstream.Call, *streamedRequest) {
	r := &streamedRequest{parts: parts}
	c := newCall(&plainRequest{method: "POST", path: path})
	c.Request.Header = message.Header{{Name: []byte("Trailer"), Value: []byte("X-Mine")}}
	c.Caller, c.Streaming, c.Request.Length, c.Idempotent = r, true, message.Unsized, false
	r.call = c
	return c, r
}
