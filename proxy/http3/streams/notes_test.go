package streams_test

import (
	"context"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/qlog"
	"github.com/quic-go/quic-go/qlogwriter"

	"github.com/keystone-gateway/keystone-gateway/proxy/http3/streams"
	"github.com/keystone-gateway/keystone-gateway/test/measure"
	"github.com/keystone-gateway/keystone-gateway/test/until"
)

// frames counts what a client sends: frames with content and the bytes in them, until it
// may send no more.
type frames struct {
	mu      sync.Mutex
	changed sync.Cond
	sent    int // guarded by mu, as below
	bytes   int64
	blocked bool
	late    bool
	patient *time.Timer
}

func countFrames(t *testing.T) *frames {
	t.Helper()
	f := &frames{}
	f.changed.L = &f.mu
	f.patient = time.AfterFunc(patience, func() { f.note(func() { f.late = true }) })
	t.Cleanup(func() { f.patient.Stop() })
	return f
}

func (f *frames) note(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	f.changed.Broadcast()
}

// AddProducer is a qlogwriter.Trace's, as below.
func (f *frames) AddProducer() qlogwriter.Recorder { return f }

func (f *frames) Close() error { return nil }

// RecordEvent is told of packets.
func (f *frames) RecordEvent(event qlogwriter.Event) {
	sent, ok := event.(qlog.PacketSent)
	if !ok {
		return
	}
	f.note(func() {
		for _, frame := range sent.Frames {
			switch of := frame.Frame.(type) {
			case *qlog.StreamFrame:
				f.sent++
				f.bytes += of.Length
			case *qlog.DataBlockedFrame:
				f.blocked = true
			}
		}
	})
}

// await waits until it has come so far.
func (f *frames) await(t *testing.T, far func() bool) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.patient.Reset(patience)
	for !far() {
		if f.late {
			t.Fatalf("the client goes on no more: %d frames, %d bytes, blocked: %t", f.sent, f.bytes, f.blocked)
		}
		f.changed.Wait()
	}
}

func (f *frames) now() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sent
}

// TestNotes: a client that sends content byte by byte, which isn't read, has QUIC note
// each byte. What that takes is bounded by the window of the connection.
func TestNotes(t *testing.T) {
	if measure.Race {
		t.Skip("the race detector's own memory is in the figure")
	}
	if !measure.Alone(t) { // it measures the heap
		return
	}
	release := make(chan struct{})
	defer close(release)
	g := serve(t, "", ", connections: {max_per_target: 1, pending_timeout: 10m}", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	counted := countFrames(t)
	to, err := net.ResolveUDPAddr("udp", g.address())
	if err != nil {
		t.Fatal(err)
	}
	transport := &quic.Transport{Conn: packetConn(t, "127.0.0.1")}
	conn, err := transport.Dial(t.Context(), to, trusting("h3"), &quic.Config{
		MaxIdleTimeout: patience, Tracer: func(context.Context, bool, quic.ConnectionID) qlogwriter.Trace { return counted },
	})
	if err != nil {
		t.Fatal(err)
	}
	h := &hand{Conn: conn, t: t}
	h.send(true, head("GET", "/")) // it has the only connection to the target
	until.True(t, "the target has a request", func() bool { return g.Counters().InFlight == 1 })
	var waiting []*quic.Stream
	for range 127 {
		waiting = append(waiting, h.send(false, head("POST", "/", "content-length", "5000000"), []byte{0, 0x80, 0x4c, 0x4b, 0x40}))
	}
	until.True(t, "the others wait", func() bool { return g.Counters().InFlight == 128 })
	before := measure.Heap()
	const rounds = 150
	for range rounds {
		sent := counted.now()
		for _, s := range waiting {
			_, _ = s.Write([]byte("x"))
		}
		counted.await(t, func() bool { return counted.sent >= sent+len(waiting) })
	}
	perByte := float64(measure.Heap()-before) / float64(rounds*len(waiting))
	for _, s := range waiting {
		go func() { _, _ = s.Write(make([]byte, streams.FirstWindow)) }()
	}
	counted.await(t, func() bool { return counted.blocked })
	t.Logf("a byte of content in a frame of its own holds %.0f bytes; the client may send %d, which is %.0f MB", perByte, counted.bytes, perByte*float64(counted.bytes)/1e6)
	if most := int64(streams.FirstConnWindow + 64<<10); counted.bytes > most { // heads are read
		t.Errorf("the client may send %d bytes, want %d at most", counted.bytes, most)
	}
	if perByte > 250 {
		t.Errorf("each byte holds %.0f bytes, want 250 at most", perByte)
	}
	_ = conn.CloseWithError(0x100, "")
	_ = transport.Close()
}
