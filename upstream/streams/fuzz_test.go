package streams_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/upstream/streams"
)

// patience bounds the wait for what must happen.
const patience = time.Minute

// pair returns both ends of a connection.
func pair(t testing.TB) (near, far net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	if near, err = net.Dial("tcp", listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	return near, far
}

// connected returns both ends of a connection, of which the target has sent its
// settings.
func connected(t testing.TB, o streams.Options) (*streams.Conn, net.Conn) {
	t.Helper()
	near, far := pair(t)
	sweeper := socket.NewSweeper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	go sweeper.Run(ctx)
	sock, err := socket.New(near, sweeper)
	if err != nil {
		t.Fatal(err)
	}
	if err := http2.NewFramer(far, nil).WriteSettings(); err != nil {
		t.Fatal(err)
	}
	c, err := streams.NewConn(ctx, sock, sock, o)
	if err != nil {
		t.Fatal(err)
	}
	return c, far
}

// FuzzTarget: whatever a target sends, a request on its connection ends, with a
// response that is well-formed or with an error, and so does the connection.
func FuzzTarget(f *testing.F) {
	frame := func(kind, flags byte, id byte, payload string) string {
		return string([]byte{0, byte(len(payload) >> 8), byte(len(payload)), kind, flags, 0, 0, 0, id}) + payload
	}
	head := frame(1, 4, 1, "\x88") // :status 200
	for _, seed := range []string{
		head + frame(0, 1, 1, "content"), frame(1, 5, 1, "\x88\x0f\x0d\x015"),
		head + frame(1, 5, 1, "\x00\x01x\x01v"), frame(1, 0, 1, "\x88") + frame(9, 4, 1, "\x00\x01x\x01v") + frame(0, 9, 1, "\x02ab\x00\x00"),
		frame(1, 4, 1, "\x08\x03103") + head + frame(3, 0, 1, "\x00\x00\x00\x08"), frame(7, 0, 0, "\x00\x00\x00\x00\x00\x00\x00\x00bye"),
		frame(4, 0, 0, "\x00\x04\x00\x00\x00\x00") + frame(8, 0, 1, "\x00\x00\x00\x05") + frame(6, 0, 0, "12345678"),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		c, far := connected(t, streams.Options{Most: 10, Idle: patience, WriteIdle: patience})
		defer c.Close()
		if !c.Reserve() {
			t.Fatal("no room")
		}
		s := streams.Acquire(c, nil)
		defer s.Release()
		if err := s.Begin([]byte{0x82, 0x86, 0x84}, []byte("content"), true, false); err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.Copy(io.Discard, far) }()
		go func() {
			_, _ = far.Write(sent)
			_ = far.(*net.TCPConn).CloseWrite()
		}()
		for heads := 0; ; heads++ {
			r, size, err := s.ReadHead()
			if err != nil {
				break
			}
			check(t, r, size)
			if r.Status < 200 {
				continue
			}
			total := int64(0)
			for err == nil {
				var span []byte
				span, err = s.Next()
				total += int64(len(span))
			}
			if errors.Is(err, io.EOF) && r.Length >= 0 && !r.Bodiless && total != r.Length {
				t.Errorf("%d bytes of content, and the length says %d", total, r.Length)
			}
			break
		}
		<-c.Done()
		_ = far.Close()
	})
}

// check demands of a head what HTTP/1 could say.
func check(t *testing.T, r *message.Response, size int) {
	t.Helper()
	if r.Status < 100 || r.Status > 999 || r.Status == 101 || size > 64<<10 || len(r.Header) > message.MaxFields {
		t.Fatalf("status %d, %d bytes, %d fields", r.Status, size, len(r.Header))
	}
	for _, f := range r.Header {
		if !message.IsToken(f.Name) || !message.IsFieldText(f.Value) || f.ID == message.TransferEncoding || f.ID == message.Connection {
			t.Fatalf("field %q: %q", f.Name, f.Value)
		}
	}
}
