package tickets_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/tickets"
)

// place is where the gateways of a test find secrets.
type place struct {
	mu      sync.Mutex
	kept    map[int64][]byte
	away    bool
	spoilt  map[int64]bool
	fetched int
	before  func() // a fetch
}

var errSpoilt = errors.New("something else is there")

func (p *place) lose() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept = map[int64][]byte{}
}

func (p *place) fetch(_ context.Context, period int64, offered []byte) ([]byte, error) {
	if p.before != nil {
		p.before()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fetched++
	switch {
	case p.away:
		return nil, errors.New("away")
	case p.spoilt[period]:
		return nil, errSpoilt
	case p.kept == nil:
		p.kept = map[int64][]byte{}
	}
	if p.kept[period] == nil && len(offered) > 0 {
		p.kept[period] = offered
	}
	return p.kept[period], nil
}

// gateway is one of those gateways.
type gateway struct {
	*tickets.Keys
	fleet *tickets.Fleet
	told  []error
	end   context.CancelFunc
}

func gatewayAt(t *testing.T, p *place) *gateway {
	t.Helper()
	g := &gateway{tickets.New(time.Now), &tickets.Fleet{}, nil, nil}
	g.Use(g.fleet)
	ctx, cancel := context.WithCancel(t.Context())
	g.end = cancel
	go g.fleet.Run(ctx, time.Now, tickets.Place{
		Wanted: func() bool { p.mu.Lock(); defer p.mu.Unlock(); return !p.away }, Fetch: p.fetch,
		Tell: func(err error) { g.told = append(g.told, err) }, Spoilt: func(err error) bool { return errors.Is(err, errSpoilt) },
	})
	synctest.Wait()
	return g
}

func (g *gateway) seal(t *testing.T) []byte {
	t.Helper()
	ticket, err := g.Seal([32]byte{}, "a.example", []byte("a session"))
	if err != nil {
		t.Fatal(err)
	}
	return ticket
}

func (g *gateway) opens(ticket []byte) bool { return g.Open([32]byte{}, "a.example", ticket) != nil }

// pass lets a time pass, and all that is due in it happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// TestFleetConverges: whatever becomes of the place, after some seconds all gateways
// open one another's tickets, and none has lost its own.
func TestFleetConverges(t *testing.T) {
	t.Parallel()
	for name, happens := range map[string]func(p *place){
		"lost, unnoticed": func(p *place) { p.lose() },
		"lost and away": func(p *place) {
			p.mu.Lock()
			p.away = true
			p.mu.Unlock()
			pass(time.Minute)
			p.lose()
			p.mu.Lock()
			p.away = false
			p.mu.Unlock()
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := &place{}
			first, second := gatewayAt(t, p), gatewayAt(t, p)
			if ticket := first.seal(t); !second.opens(ticket) {
				t.Errorf("%s: at first the other doesn't open a ticket", name)
			}
			before := first.seal(t)
			second.end()
			happens(p)
			third := gatewayAt(t, p) // started anew, before the first looks again
			pass(11 * time.Second)
			if !third.opens(first.seal(t)) || !first.opens(third.seal(t)) {
				t.Errorf("%s: gateways don't open one another's tickets", name)
			}
			if !first.opens(before) {
				t.Errorf("%s: a ticket of before isn't opened where it was sealed", name)
			}
			p.lose() // and nobody starts anew
			pass(11 * time.Second)
			ticket, fourth := first.seal(t), gatewayAt(t, p)
			if !fourth.opens(ticket) {
				t.Errorf("%s: who has gone on doesn't give the place its secret", name)
			}
			first.end()
			third.end()
			fourth.end()
		})
	}
}

// TestFleetGivesBack: the place is given what it has lost, also by a gateway that has
// found it there only, and at once where it was away.
func TestFleetGivesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &place{}
		first := gatewayAt(t, p)
		second := gatewayAt(t, p)
		ticket := first.seal(t)
		first.end()
		away := func(is bool) { p.mu.Lock(); defer p.mu.Unlock(); p.away = is }
		away(true)
		p.lose()
		pass(1500 * time.Millisecond)
		away(false)
		pass(time.Second)
		third := gatewayAt(t, p)
		if !third.opens(ticket) || !third.opens(second.seal(t)) {
			t.Error("who has gone on has not given the place its secret")
		}
		second.end()
		third.end()
	})
}

// TestFleetAsksSeldom: what was found is asked for six times a minute.
func TestFleetAsksSeldom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &place{}
		g := gatewayAt(t, p)
		pass(time.Hour)
		p.mu.Lock()
		if p.fetched < 4*300 || p.fetched > 4*361 {
			t.Errorf("it was asked %d times in an hour, want four periods each 10 s", p.fetched)
		}
		p.mu.Unlock()
		g.end()
	})
}

// TestFleetIsSpoilt: what can't be used is told once, and so is that it can again; the
// gateway goes on by itself.
func TestFleetIsSpoilt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		now := time.Now().Unix() / int64(tickets.Period/time.Second)
		p := &place{spoilt: map[int64]bool{now: true}}
		g := gatewayAt(t, p)
		before := g.seal(t)
		pass(time.Minute)
		if !g.opens(before) || len(g.told) != 1 || !errors.Is(g.told[0], errSpoilt) {
			t.Errorf("told %v, opens %v", g.told, g.opens(before))
		}
		p.mu.Lock()
		p.spoilt = nil
		p.mu.Unlock()
		pass(time.Minute)
		if !g.opens(before) || len(g.told) != 2 || g.told[1] != nil {
			t.Errorf("afterwards: told %v, opens %v", g.told, g.opens(before))
		}
		if p.kept[now] == nil {
			t.Error("the place has nothing")
		}
		p.mu.Lock()
		p.spoilt = map[int64]bool{now: true} // when it is known
		p.mu.Unlock()
		pass(time.Minute)
		if !g.opens(before) || len(g.told) != 3 {
			t.Errorf("once more: told %v, opens %v", g.told, g.opens(before))
		}
		g.end()
	})
}

// TestFleetForgets what is being found at another place meanwhile.
func TestFleetForgets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, begun, goOn := &place{}, make(chan struct{}), make(chan struct{})
		var once sync.Once
		p.before = func() { once.Do(func() { close(begun); <-goOn }) }
		g := gatewayAt(t, p)
		<-begun
		g.fleet.Forget()
		close(goOn)
		synctest.Wait()
		now := time.Now().Unix() / int64(tickets.Period/time.Second)
		other := bytes.Repeat([]byte{7}, 32)
		p.mu.Lock()
		p.kept = map[int64][]byte{now: other} // of another place
		p.mu.Unlock()
		pass(1100 * time.Millisecond)
		if secret, _ := g.fleet.Secret(now, now); !bytes.Equal(secret, other) {
			t.Error("what was found at the place before is used at the next")
		}
		g.end()
	})
}
