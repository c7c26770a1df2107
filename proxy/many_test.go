package proxy_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
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

func (m *many) answer() error {
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
			if string(f.Payload) != "hello" || !f.Has(http2.FlagEndStream) {
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

// TestHTTP2Sleeps: a connection that idles has no goroutine, and goes on with its
// next request; its idle time ends it in order, and so does a drain.
func TestHTTP2Sleeps(t *testing.T) {
	t.Parallel()
	server := speakingMany(t, "server: {timeouts: {keepalive: 75s}}\n")
	server.SleepSoon()
	m := connectMany(t, server)
	for range 3 {
		if err := m.ask(); err != nil {
			t.Fatal(err)
		}
		awaitAsleep(t, server)
	}
	t.Run("idle", func(t *testing.T) {
		t.Parallel()
		server := speakingMany(t, "server: {timeouts: {keepalive: 2s}}\n")
		server.SleepSoon()
		m := connectMany(t, server)
		if err := m.ask(); err != nil {
			t.Fatal(err)
		}
		if f, err := awaitFrame(m, http2.GoAway); err != nil || f[7] != 0 {
			t.Errorf("got %v, %v", f, err)
		}
		if _, err := awaitFrame(m, http2.Data); err != io.EOF {
			t.Errorf("got %v", err)
		}
	})
	var drained *many
	t.Run("drain", func(t2 *testing.T) {
		server := speakingMany(t2, "server: {timeouts: {keepalive: 75s}}\n")
		server.SleepSoon()
		drained = connectMany(t, server)
		if err := drained.ask(); err != nil {
			t.Fatal(err)
		}
		awaitAsleep(t2, server)
	})
	if _, err := awaitFrame(drained, http2.GoAway); err != nil {
		t.Errorf("in a drain: %v", err)
	}
	if _, err := awaitFrame(drained, http2.Data); err != io.EOF {
		t.Errorf("after it: %v", err)
	}
}

// awaitFrame reads until a frame of that type has come, and returns what is in it.
func awaitFrame(m *many, t http2.FrameType) ([]byte, error) {
	for {
		f, err := m.reader.Next()
		if err != nil {
			return nil, err
		}
		if f.Type == t {
			return f.Payload, nil
		}
		if f.Type == http2.Ping && !f.Has(http2.FlagAck) {
			data, _ := f.PingData()
			if _, err := m.conn.Write(http2.AppendPing(nil, http2.FlagAck, data)); err != nil {
				return nil, err
			}
		}
	}
}

// maxSleeperMany bounds what a connection of HTTP/2 holds that sleeps, with what the
// test holds for its client.
const maxSleeperMany = 12 << 10

// TestSleeperOfHTTP2 measures what connections hold that sleep after a request, with
// a table of header fields that is full.
func TestSleeperOfHTTP2(t *testing.T) {
	if !measure.Alone(t) {
		return
	}
	const clients = 500
	server := speakingMany(t, "server: {timeouts: {keepalive: 10m}}\n")
	server.SleepSoon()
	fill := func(m *many) {
		binary.BigEndian.PutUint32(m.head[5:], m.next)
		block := append([]byte(nil), m.head[http2.FrameHead:]...)
		for i := range 200 { // literals that are put into the table
			block = append(append(block, 0x40, 4, 'x', '-', byte('a'+i%26), byte('a'+i/26)), 10)
			block = append(block, "0123456789"...)
		}
		_, _ = m.conn.Write(http2.AppendHeaders(nil, m.next, block, http2.MaxFrame, true))
		m.next += 2
	}
	first := connectMany(t, server)
	fill(first)
	if err := first.answer(); err != nil {
		t.Fatal(err)
	}
	before := measure.Heap()
	list := make([]*many, clients)
	for i := range list {
		list[i] = connectMany(t, server)
		fill(list[i])
		if err := list[i].answer(); err != nil {
			t.Fatal(err)
		}
		list[i].reader.Release()
	}
	eventually(t, "all sleep", func() bool { return server.Asleep() == clients+1 })
	each := (measure.Heap() - before) / clients
	t.Logf("%d bytes each, with the client's side", each)
	if each > maxSleeperMany && !measure.Race { // with which pools forget at random
		t.Errorf("a sleeping connection holds %d bytes, want at most %d", each, maxSleeperMany)
	}
	runtime.KeepAlive(list)
}
