package listener

import (
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// handshakes bounds those of TLS that are in flight. Each holds memory for a client
// of whom nothing is known, and may never go on: so where there is no room for
// another one, the oldest is given up once it has had its time. Until then the next
// one waits, in the kernel: nobody who is quick is refused, and who connects
// fast can't push out those that are on their way. Nor does who only connects make
// others wait for that: of an address that has more than a quarter of the places, the
// oldest that has sent no ClientHello is given up at once.
type handshakes struct {
	mu    sync.Mutex
	first *Conn // the oldest; guarded by mu, as the chain from there
	last  *Conn
	n     int
	of    map[netip.Addr]int // how many an address has; guarded by mu
	freed chan struct{}      // there may be room again

	failed [maxKinds]atomic.Uint64
}

// maxKinds bounds the kinds of failures that are told apart.
const maxKinds = 16

// handshakeTime is what a handshake has at least, where others wait for its place, and
// helloTime what it has from the first read to the end of its ClientHello, where its
// address has more than a quarter of all places.
const (
	handshakeTime = int64(time.Second)
	helloTime     = int64(50 * time.Millisecond)
)

// What Conn.hello says, but for since when (socket.Nanotime) a ClientHello is read.
const (
	helloNone = 0  // it has arrived, or is not to come
	helloDue  = -1 // it isn't read yet
)

// ErrCrowdedOut says that a handshake was given up for another one.
var ErrCrowdedOut = errors.New("the handshake was given up for a newer one, with as many in flight as there may be")

// begin waits for room for the handshake of a connection; most is how many there
// may be, 0 no bound. It is false if the listener has been closed.
func (h *handshakes) begin(c *Conn, most int, closed <-chan struct{}) bool {
	for {
		wait := h.enter(c, most)
		if wait < 0 {
			return true
		}
		timer := time.NewTimer(time.Duration(wait))
		select {
		case <-timer.C:
		case <-h.freed:
		case <-closed:
			timer.Stop()
			return false
		}
		timer.Stop()
	}
}

// enter adds a handshake if there is room, or if room can be made. If not, it returns
// after how long that may be.
func (h *handshakes) enter(c *Conn, most int) (wait int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := socket.Nanotime()
	for most > 0 && h.n >= most {
		victim, wait := h.victim(most, now)
		if wait > 0 {
			return wait
		}
		h.remove(victim)
		victim.Sock.Abort(ErrCrowdedOut)
	}
	c.shaking, c.older = now, h.last
	c.shaker = c.counts.address()
	c.hello.Store(helloDue)
	h.of[c.shaker]++
	if h.last == nil {
		h.first = c
	} else {
		h.last.newer = c
	}
	h.last = c
	h.n++
	return -1
}

// victim returns who is to make way, now or after a while: the oldest, but if an address
// has more than a quarter of the places, one of its own. It needs h.mu.
func (h *handshakes) victim(most int, now int64) (oldest *Conn, wait int64) {
	patience := handshakeTime
	for address, n := range h.of {
		if n <= max(most/4, 1) || !address.IsValid() {
			continue
		}
		patience = helloTime // one that is silent may have had its time by then
		for c := h.first; c != nil; c = c.newer {
			if c.shaker != address {
				continue
			}
			if since := c.hello.Load(); since > 0 && now-since >= helloTime {
				return c, 0
			}
			if oldest == nil || c.shaking < oldest.shaking {
				oldest = c
			}
		}
	}
	if oldest == nil {
		oldest = h.first
	}
	return oldest, min(oldest.shaking+handshakeTime-now, patience)
}

// end takes a handshake out, if it is still in.
func (h *handshakes) end(c *Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.shaking == 0 {
		return
	}
	h.remove(c)
	select {
	case h.freed <- struct{}{}:
	default:
	}
}

// remove needs h.mu.
func (h *handshakes) remove(c *Conn) {
	if c.older == nil {
		h.first = c.newer
	} else {
		c.older.newer = c.newer
	}
	if c.newer == nil {
		h.last = c.older
	} else {
		c.newer.older = c.older
	}
	if h.of[c.shaker]--; h.of[c.shaker] == 0 {
		delete(h.of, c.shaker)
	}
	c.older, c.newer, c.shaking = nil, nil, 0
	h.n--
}

func (h *handshakes) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.n
}

// EndHandshake is called when the connection's handshake is over, however it has
// ended.
func (c *Conn) EndHandshake() {
	c.HelloArrived()
	c.owner.handshakes.end(c)
}

// HelloArrived is called when the ClientHello has been read.
func (c *Conn) HelloArrived() { c.hello.Store(helloNone) }

// CountFailure counts a handshake that has failed; kind is the caller's, from 0 on.
func (l *Listener) CountFailure(kind int) { l.handshakes.failed[min(kind, maxKinds-1)].Add(1) }

// Failures returns how many of a kind have failed.
func (l *Listener) Failures(kind int) uint64 { return l.handshakes.failed[kind].Load() }

// Handshakes returns how many are in flight.
func (l *Listener) Handshakes() int { return l.handshakes.count() }
