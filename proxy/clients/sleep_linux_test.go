package clients

import (
	"io"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
	"github.com/keystone-gateway/keystone-gateway/test/until"
)

// TestDozeOfOneThatIsClosed: a connection that a drain has chosen to close, just before its
// goroutine leaves it, doesn't sleep: who sends a request then must not have it begun, and
// lose the answer.
func TestDozeOfOneThatIsClosed(t *testing.T) {
	t.Parallel()
	h := newHouse(t, listener.Settings{Protocols: listener.HTTP1})
	c, _ := h.connect(t, h.at)
	if !c.finish() {
		t.Fatal("it can't be closed")
	}
	c.doze()
	if c.state.Load() != clientEnded || c.fallAsleep() {
		t.Error("it sleeps, and would be woken")
	}
}

// TestWakesForRequests: a connection that idles sleeps, holds less, and goes on with
// its next request.
func TestWakesForRequests(t *testing.T) {
	t.Parallel()
	o := serving(t, listener.Settings{Protocols: listener.HTTP1 | listener.HTTP2}, usual())
	o.Awake.Store(0)
	conn := o.dial(t)
	for range 2 {
		_, _ = io.WriteString(conn, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
		if got := answers(t, conn, "GET"); got != "200 GET /a" {
			t.Fatalf("got %q", got)
		}
		until.True(t, "it sleeps", func() bool { return o.Asleep() == 1 && o.account.Used() == sleepSize })
	}
	for c := range o.open.All() {
		if c.stay == 0 {
			t.Error("a sleep that was short is taken for a long one")
		}
	}
	if o.CloseIdle(0, nil) != 1 {
		t.Error("a connection that fell asleep later is closed")
	}
	if o.CloseIdle(1<<62, nil) != 0 {
		t.Error("a connection that sleeps isn't closed")
	}
	o.ends(t, conn, true)
}
