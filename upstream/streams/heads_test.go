package streams_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"

	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
	"github.com/keystone-gateway/keystone-gateway/upstream/streams"
)

// grants is an allowance of so many bytes.
type grants struct {
	most      int64
	held, top atomic.Int64
}

func (g *grants) Acquire(n int64) bool {
	if held := g.held.Add(n); held <= g.most {
		g.top.Store(max(g.top.Load(), held))
		return true
	}
	g.held.Add(-n)
	return false
}

func (g *grants) Spares() bool { return false }

func (g *grants) AcquireSpare(int64) bool { return false }

func (g *grants) Release(n int64) { g.held.Add(-n) }

// pinged has the other end answer a PING: then it has taken all that was sent, and
// written all that it had to say.
func pinged(t *testing.T, framer *http2.Framer) {
	t.Helper()
	if err := framer.WritePing(false, [8]byte{1}); err != nil {
		t.Fatal(err)
	}
	for {
		f, err := framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if ping, ok := f.(*http2.PingFrame); ok && ping.IsAck() {
			return
		}
	}
}

// TestUnreadHeads: heads that nobody has read yet are charged, and those of interim
// responses may be so large together as one.
func TestUnreadHeads(t *testing.T) {
	t.Parallel()
	for name, most := range map[string]int64{"": 1 << 30, "no memory": 20 << 10} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, far := connected(t, streams.Options{Most: 10, Idle: patience, WriteIdle: patience})
			defer c.Close()
			if !c.Reserve() {
				t.Fatal("no room")
			}
			g := &grants{most: most}
			s := streams.Acquire(c, g)
			if err := s.Begin([]byte{0x82, 0x86, 0x84}, nil, true, false); err != nil {
				t.Fatal(err)
			}
			if _, err := far.Read(make([]byte, len(http2.ClientPreface))); err != nil {
				t.Fatal(err)
			}
			framer := http2.NewFramer(far, far)
			block := "\x08\x03103\x00\x01x\x7f\xd1\x5d" + strings.Repeat("v", 127+0xd1-0x80+0x5d<<7)
			for range 6 {
				if err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte(block), EndHeaders: true}); err != nil {
					t.Fatal(err)
				}
			}
			pinged(t, framer)
			heads, err := 0, error(nil)
			for err == nil {
				if _, _, err = s.ReadHead(); err == nil {
					heads++
				}
			}
			if most < 1<<20 {
				if !errors.Is(err, memory.ErrNoMemory) {
					t.Errorf("got %v after %d heads", err, heads)
				}
			} else if g.top.Load() < 48<<10 || g.top.Load() > 80<<10 || !strings.Contains(err.Error(), "informational") {
				t.Errorf("%d bytes were charged, %d heads, %v", g.top.Load(), heads, err)
			}
			s.Release()
			if held := g.held.Load(); held != 0 {
				t.Errorf("%d bytes stay charged", held)
			}
		})
	}
}
