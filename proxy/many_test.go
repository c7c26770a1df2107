package proxy_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy"
	"github.com/keystone-gateway/keystone-gateway/proxy/http2"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/test/measure"
)

// many is a client of HTTP/2 that asks for the same thing again and again, and
// allocates nothing while it does.
type many struct {
	conn   net.Conn
	reader http2.Reader
	head   []byte
	next   uint32
	body   []byte
}

func speakingMany(t testing.TB, settings string) *proxy.Server {
	t.Helper()
	address := answering(t, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello")
	return serve(t, "listeners: [{address: '127.0.0.1:0', protocols: [h2c, http/1.1]}]\naccess_log: {enabled: false}\n"+settings+
		"tenants:\n  - {name: a, domains: [example.com], services: [{url: \"http://"+address+"\"}]}\n")
}

func connectMany(t testing.TB, server *proxy.Server) *many {
	t.Helper()
	conn, err := net.Dial("tcp", server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	m := &many{conn: conn, next: 1}
	m.reader.Reset(conn, nil)
	request := &message.Sent{Method: []byte("GET"), Path: []byte("/path"), Query: []byte("?q=1"), Authority: []byte("example.com")}
	request.Header.Add([]byte("User-Agent"), []byte("x"))
	block := http2.AppendRequest(nil, request, "http", "", "")
	m.head = http2.AppendHeaders(nil, 1, block, http2.MaxFrame, true)
	out := http2.AppendSettings([]byte(http2.Preface), http2.Setting{ID: http2.InitialWindowSize, Value: 1 << 30})
	if _, err := conn.Write(http2.AppendWindowUpdate(out, 0, 1<<30)); err != nil {
		t.Fatal(err)
	}
	return m
}

// ask sends a request and reads its answer; an error is the end of the connection.
func (m *many) ask() error {
	binary.BigEndian.PutUint32(m.head[5:], m.next)
	m.next += 2
	if _, err := m.conn.Write(m.head); err != nil {
		return err
	}
	return m.answer()
}

var errWrongAnswer = errors.New("another answer than 200 with \"hello\"")

// noTable is a dynamic table of no size, with which the first block of a connection begins.
var noTable = []byte{0x20}

// answer reads an answer; its end may come by itself, behind the content.
func (m *many) answer() error {
	m.body = m.body[:0]
	for {
		f, err := m.reader.Next()
		if err != nil {
			return err
		}
		switch f.Type {
		case http2.Headers:
			if block := bytes.TrimPrefix(f.Payload, noTable); block[0] != 0x80|8 {
				return errWrongAnswer
			}
		case http2.Data:
			m.body = append(m.body, f.Payload...)
			if !f.Has(http2.FlagEndStream) {
				continue
			}
			if string(m.body) != "hello" {
				return errWrongAnswer
			}
			return nil
		case http2.ResetStream, http2.GoAway:
			return errWrongAnswer
		}
	}
}

// TestHTTP2Allocates0 is TestRequestAllocates0 for streams of one connection.
func TestHTTP2Allocates0(t *testing.T) {
	m := connectMany(t, speakingMany(t, ""))
	if n := measure.Allocations(window, func() {
		if err := m.ask(); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("a stream allocates: %d times in %d requests at best, want 0", n, window)
	}
}
