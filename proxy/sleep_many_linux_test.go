package proxy_test

import (
	"encoding/binary"
	"io"
	"runtime"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy/http2"
	"github.com/keystone-gateway/keystone-gateway/test/measure"
)

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
