package socket_test

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// steps are what a peer does over and over: after so much waiting it brings or
// takes so many bytes.
type step struct {
	wait  time.Duration
	bytes int64
}

// TestPace: a peer is judged by what it has done lately.
func TestPace(t *testing.T) {
	t.Parallel()
	const window, rate, watched = 30 * time.Second, 64, 10 * time.Minute
	never := time.Duration(0)
	for name, test := range map[string]struct {
		first  step
		then   []step
		within time.Duration // when it is found out at the latest
	}{
		"at the rate, bytewise":      {then: []step{{time.Second / rate, 1}}, within: never},
		"at the rate":                {then: []step{{time.Second, rate}}, within: never},
		"at the rate, in bursts":     {then: []step{{10 * time.Second, 10 * rate}}, within: never},
		"one burst in each window":   {then: []step{{29 * time.Second, 29 * rate}}, within: never},
		"with pauses":                {then: []step{{time.Second, 2 * rate}, {time.Second, 0}}, within: never},
		"faster, after a pause":      {first: step{20 * time.Second, 0}, then: []step{{time.Second, 4 * rate}}, within: never},
		"below the rate":             {then: []step{{time.Second, rate - 1}}, within: 31 * time.Second},
		"a byte now and then":        {then: []step{{10 * time.Second, 1}}, within: 40 * time.Second},
		"nothing":                    {then: []step{{time.Second, 0}}, within: 31 * time.Second},
		"a burst, and then bytes":    {first: step{time.Millisecond, 1 << 20}, then: []step{{10 * time.Second, 1}}, within: 61 * time.Second},
		"an hour well, and then not": {first: step{time.Hour, 1 << 30}, then: []step{{time.Second, 1}}, within: 31 * time.Second},
	} {
		var pace socket.Pace
		if pace.Add(int64(test.first.wait), test.first.bytes, int64(window), rate) {
			t.Errorf("%s: too slow at once", name)
		}
		found := never
		for now, i := time.Duration(0), 0; now < watched && found == never; i++ {
			s := test.then[i%len(test.then)]
			now += s.wait
			if pace.Add(int64(s.wait), s.bytes, int64(window), rate) {
				found = now
			}
		}
		if (found == never) != (test.within == never) || found > test.within {
			t.Errorf("%s: found out after %v, want %v", name, found, test.within)
		}
	}
}

// TestPaceWithoutRate: 0 is no bound.
func TestPaceWithoutRate(t *testing.T) {
	t.Parallel()
	var pace socket.Pace
	for range 100 {
		if pace.Add(int64(time.Minute), 0, int64(time.Second), 0) {
			t.Fatal("too slow")
		}
	}
}

// TestWritePace: what counts of a write that waits is what the peer has taken,
// judged while it waits; the clock is the test's.
func TestWritePace(t *testing.T) {
	t.Parallel()
	const second = int64(time.Second)
	for name, test := range map[string]struct {
		given  int64
		unsent func(now int64) int64 // what the socket has and the peer not
		slow   bool
	}{
		"takes nothing":              {given: 1 << 20, unsent: func(int64) int64 { return 200_000 }, slow: true},
		"takes a byte now and then":  {given: 1 << 20, unsent: func(now int64) int64 { return 200_000 - now/(10*second) }, slow: true},
		"takes steadily":             {given: 1 << 20, unsent: func(now int64) int64 { return 200_000 - 64*now/second }},
		"has taken much, then stops": {given: 1 << 20, unsent: func(now int64) int64 { return 200_000 - 10_000*min(now/second, 10) }, slow: true},
	} {
		wait := socket.NewWriteWait(30*second, 64, test.given)
		slow := false
		for now := int64(1); now < 120*second && !slow; now += second / 10 {
			slow = wait.Look(now, int(test.unsent(now)))
		}
		if slow != test.slow {
			t.Errorf("%s: %t, want %t", name, slow, test.slow)
		}
	}
}

// TestTotalBoundsWrites: however the peer goes on, and however long it may pause,
// writes end when all of them must.
func TestTotalBoundsWrites(t *testing.T) {
	t.Parallel()
	for name, read := range map[string]func(net.Conn, <-chan struct{}){
		"takes nothing": func(_ net.Conn, done <-chan struct{}) { <-done },
		"takes steadily": func(peer net.Conn, done <-chan struct{}) {
			ticker := time.NewTicker(10 * time.Millisecond)
			defer ticker.Stop()
			for buf := make([]byte, 4<<10); ; {
				select {
				case <-done:
					return
				case <-ticker.C:
					_, _ = peer.Read(buf)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, peer := pair(t, sweeping(t))
			done := make(chan struct{})
			defer close(done)
			go read(peer, done)
			giveUp := time.AfterFunc(patience, func() { _ = c.Close() })
			defer giveUp.Stop()
			c.SetWriteLimits(int64(time.Hour), 0, within(time.Second))
			if _, err := c.Write(make([]byte, 64<<20)); !errors.Is(err, socket.ErrTimeout) {
				t.Errorf("got %v, want a time-out", err)
			}
		})
	}
}
