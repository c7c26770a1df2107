package streams_test

import (
	"io"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/keystone-gateway/keystone-gateway/upstream/streams"
)

// TestBlockedContentGoesOn: content that waits since too much was to be written goes on
// when that is written, though the target has no more to say about its windows.
func TestBlockedContentGoesOn(t *testing.T) {
	t.Parallel()
	const many, size = 20, 60_000
	c, far := connected(t, streams.Options{Most: many, Idle: patience, WriteIdle: patience})
	t.Cleanup(c.Close)
	if err := far.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	for range many {
		if !c.Reserve() {
			t.Fatal("no room")
		}
		s := streams.Acquire(c, nil)
		t.Cleanup(s.Release)
		if err := s.Begin([]byte{0x83, 0x86, 0x84}, make([]byte, size), true, false); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.ReadFull(far, make([]byte, len(http2.ClientPreface))); err != nil {
		t.Fatal(err)
	}
	framer, took, ended := http2.NewFramer(far, far), 0, 0
	for ended < many {
		f, err := framer.ReadFrame()
		if err != nil {
			t.Fatalf("%v after %d bytes of %d", err, took, many*size)
		}
		data, ok := f.(*http2.DataFrame)
		if !ok {
			continue
		}
		if took += len(data.Data()); data.StreamEnded() {
			ended++
		}
		if took == 65_535 { // the first window, of the connection; there is one update
			if err := framer.WriteWindowUpdate(0, 2*many*size); err != nil {
				t.Fatal(err)
			}
		}
	}
	if took != many*size {
		t.Errorf("%d bytes have come of %d", took, many*size)
	}
}
