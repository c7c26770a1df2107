package clients

import (
	"errors"
	"net"
	"testing"
	"unsafe"

	"github.com/keystone-gateway/keystone-gateway/proxy/http1"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/test/pooled"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// keptFields are what pooled values keep on purpose: memory of which nothing is
// read before it is written anew. Slices of them are empty, unless their owner
// writes them from the start.
var keptFields = map[string]string{
	"stream.req.Request.Message.Header": "empty",
	"stream.body.trailer":               "empty",
	"stream.body.raw":                   "empty",
	"stream.pump.Out":                   "empty",
}

// TestStreamForgetsEverything is the same for HTTP/1's streams.
func TestStreamForgetsEverything(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, keepOut, keepOut + 1, 1 << 20} {
		s := new(http1Stream)
		if filled := pooled.FillLarge(t, s, size, errors.New("x"), &net.TCPConn{}, &client{}, new(http1.Reader)); filled < 40 {
			t.Errorf("only %d fields were filled", filled)
		}
		s.reset()
		for _, left := range pooled.Left("stream", s, keptFields) {
			t.Errorf("after reset, %s", left)
		}
		if kept := cap(s.pump.Out); kept > 0 != (size <= keepOut) {
			t.Errorf("of %d bytes the pump keeps %d", size, kept)
		}
	}
}

// keptOfClient are what a connection keeps from request to request, or writes anew
// before it is read.
var keptOfClient = map[string]string{
	"client.Conn":         "the connection's",
	"client.server":       "the connection's",
	"client.reader":       "the connection's; it has what the client has sent already",
	"client.memory":       "the stream ends the request's charge",
	"client.base":         "the connection's",
	"client.who":          "the connection's",
	"client.headErr":      "await writes it with each head",
	"client.served":       "counts the requests",
	"client.given":        "what fasthttp has read, which calls once",
	"client.headAt":       "await writes it with each head",
	"client.lingers":      "the connection ends if it is set",
	"client.told":         "the connection's",
	"client.shaken":       "the connection's",
	"client.broken":       "the connection ends if it is set",
	"client.many":         "the connection's",
	"client.Place":        "the connection's",
	"client.swept":        "the connection's",
	"client.idleSince":    "when the request ended",
	"client.wrote":        "the sweeper takes it",
	"client.lastWrite":    "beginWait writes it",
	"client.writing":      "set only within a write",
	"client.takesInterim": "the stream writes it with each request",
}

// TestClientForgetsItsRequest fills every field of a connection's client, and
// demands that a request which begins, waits for its target, wakes from a sleep and
// ends leaves nothing of what was there before it.
func TestClientForgetsItsRequest(t *testing.T) {
	t.Parallel()
	c := new(client)
	if filled := pooled.FillLarge(t, c, 1<<20, errors.New("x"), &net.TCPConn{}, grant{}); filled < 40 {
		t.Errorf("only %d fields were filled", filled)
	}
	c.noteSleep()
	c.beginWait(grant{}, 7)
	if !c.silent || c.asked || c.finished.Load() != 0 || c.nextLook.Load() != 0 || c.waiting.Load() != 7 || c.lastWrite.Load() != 7 {
		t.Error("a request that waits is taken for one that did before")
	}
	called := false
	end := c.beginScriptWait(func() { called = true }, true)
	if c.abort(errors.New("gone")); !called {
		t.Error("what scripts wait for can't be given up")
	}
	end()
	c.endWait()
	c.markIdle(9)
	for _, left := range pooled.Left("client", c, keptOfClient) {
		t.Errorf("after a request, %s", left)
	}
	if c.idleSince.Load() != 9 || c.state.Load() != clientIdle {
		t.Error("the client isn't idle")
	}
}

// grant implements the interfaces that a client leads to.
type grant struct{}

func (grant) Introduction() *upstream.Introduction { return nil }
func (grant) Sweep(int64)                          {}

func (grant) Abort(error)        {}
func (grant) Acquire(int64) bool { return true }
func (grant) Release(int64)      {}

func (grant) ReadLazily(func() []byte, func([]byte)) ([]byte, int, error) { return nil, 0, nil }

// TestSizes: what is allocated for each new connection stays what Go allocates the
// cheaper way, without a header of its own.
func TestSizes(t *testing.T) {
	t.Parallel()
	if size := max(unsafe.Sizeof(client{}), unsafe.Sizeof(socket.Conn{})); size > 512 {
		t.Errorf("a connection's client or socket has %d bytes, want at most 512", size)
	}
}
