package clients

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/test/until"
)

// TestSweepLooksAtWhoeverWaits: a client that is gone has its call given up, and one
// that has finished sending after half_close, unless it can be asked.
func TestSweepLooksAtWhoeverWaits(t *testing.T) {
	t.Parallel()
	const begin, half = 1000 * watchAfter, 100 * watchAfter
	for _, c := range []struct {
		name   string
		change func(c *client)
		leave  func(*net.TCPConn) // what the client does
		left   socket.Peer        // how that is seen
		looks  []int64            // times since the wait's begin
		gone   bool
		asked  bool
	}{
		{"it waits", nil, nil, socket.PeerOpen, []int64{watchAfter, hour}, false, false},
		{"it has gone, a moment ago", nil, reset, socket.PeerGone, []int64{watchAfter - 1}, false, false},
		{"it has gone", nil, reset, socket.PeerGone, []int64{watchAfter}, true, false},
		{"it has gone, and nobody waits", func(c *client) { c.endWait() }, reset, socket.PeerGone, []int64{hour}, false, false},
		{"it has gone, while it is written to", func(c *client) { c.writing.Store(true) }, reset, socket.PeerGone, []int64{hour}, false, false},
		{"it was looked at", func(c *client) { c.nextLook.Store(begin + hour) }, reset, socket.PeerGone, []int64{hour - 1}, false, false},
		{"it is time for a look", func(c *client) { c.nextLook.Store(begin + hour) }, reset, socket.PeerGone, []int64{hour}, true, false},
		{"it has finished", func(c *client) { c.silent = false }, finish, socket.PeerFinished, []int64{watchAfter, watchAfter + half - 1}, false, false},
		{"it has finished for long", func(c *client) { c.silent = false }, finish, socket.PeerFinished, []int64{watchAfter, watchAfter + half}, true, false},
		{"it has just been written to", func(c *client) { c.silent = false; c.lastWrite.Store(begin + 2*watchAfter) }, finish, socket.PeerFinished, []int64{watchAfter, watchAfter + half}, false, false},
		{"it is asked", nil, finish, socket.PeerFinished, []int64{watchAfter, watchAfter + half}, false, true},
		{"it is asked once", func(c *client) { c.asked = true }, finish, socket.PeerFinished, []int64{watchAfter, watchAfter + half}, false, false},
		{"it can't be asked by TLS", func(c *client) { c.Secure = true }, finish, socket.PeerFinished, []int64{watchAfter, watchAfter + half}, true, false},
		{"it can't be asked by HTTP/1.0", func(c *client) { c.takesInterim.Store(false) }, finish, socket.PeerFinished, []int64{watchAfter, watchAfter + half}, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, listener.Settings{})
			h.Limits.Store(&Limits{HalfClose: half, Keepalive: hour})
			ours, theirs := h.connect(t, h.at)
			ours.state.Store(clientBusy)
			ours.takesInterim.Store(true)
			ours.wrote.Store(false)
			waits := &grants{}
			ours.beginWait(waits, begin)
			if c.change != nil {
				c.change(ours)
			}
			if c.leave != nil {
				c.leave(theirs)
				until.True(t, "the client has left", func() bool { return ours.Sock.Peer() == c.left })
			}
			for _, at := range c.looks {
				ours.Sweep(begin + at)
			}
			if got := errors.Is(waits.aborted, exchange.ErrClientGone); got != c.gone {
				t.Errorf("taken for gone: %v", got)
			}
			if ours.asked != (c.asked || c.name == "it is asked once") {
				t.Errorf("it was asked: %v", ours.asked)
			}
			if c.left == socket.PeerGone {
				return
			}
			want := "y"
			if c.asked {
				want = string(continueLine) + want
			}
			ours.Sock.TryWrite([]byte("y"))
			told := make([]byte, len(want))
			if _, err := io.ReadFull(theirs, told); err != nil || string(told) != want {
				t.Errorf("it was told %q, %v; want %q", told, err, want)
			}
		})
	}
}

func reset(c *net.TCPConn) { _ = c.SetLinger(0); _ = c.Close() }

func finish(c *net.TCPConn) { _ = c.CloseWrite() }

// TestLooksGetRarer: the longer a request waits, the less often its client is looked
// at, and at least every half a second.
func TestLooksGetRarer(t *testing.T) {
	t.Parallel()
	h := newHouse(t, listener.Settings{})
	ours, _ := h.connect(t, h.at)
	ours.wrote.Store(false)
	ours.beginWait(&grants{}, 1)
	for waited, pause := range map[int64]int64{watchAfter: watchAfter / 4, 4 * maxLook: maxLook, 4*maxLook - 4: maxLook - 1, hour: maxLook} {
		ours.nextLook.Store(0)
		if ours.Sweep(1 + waited); ours.nextLook.Load() != 1+waited+pause {
			t.Errorf("after %v it looks again after %v, want %v", time.Duration(waited), time.Duration(ours.nextLook.Load()-1-waited), time.Duration(pause))
		}
	}
	ours.finished.Store(1) // then it looks whenever it can
	ours.nextLook.Store(0)
	if ours.Sweep(1 + hour); ours.nextLook.Load() != 0 {
		t.Error("a client that has finished is looked at rarely")
	}
	ours.wrote.Store(true)
	if ours.Sweep(2 + hour); ours.lastWrite.Load() != 2+hour || ours.wrote.Load() {
		t.Errorf("it was written to at %d", ours.lastWrite.Load())
	}
}

// TestSleepEndsAtItsTime: the sweeper ends a sleep when the connection has been idle
// for as long as it may be.
func TestSleepEndsAtItsTime(t *testing.T) {
	t.Parallel()
	for idle, over := range map[int64]bool{hour - 1: false, hour: true, hour + 1: true} {
		h := newHouse(t, listener.Settings{})
		ours, _ := h.connect(t, h.at)
		ours.idleSince.Store(7)
		ours.state.Store(clientAsleep)
		ours.Sweep(7 + idle)
		if got := ended(ours); got != over || (ours.state.Load() == clientEnded) != over {
			t.Errorf("after %v it has ended: %v", time.Duration(idle), got)
		}
	}
}
