package proxy

import (
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
)

// TestSheddingEndsInTime: whoever is relieved is so for its time at least, then until
// much is free, or somewhat more than nothing for twice that time; and never while the
// ceiling is passed.
func TestSheddingEndsInTime(t *testing.T) {
	t.Parallel()
	const ceiling, begun = int64(800), int64(1e12)
	for _, c := range []struct {
		after, pressure int64
		ends            bool
	}{
		{leastShed - 1, 0, false}, {leastShed, 0, true}, {leastShed, 700, true}, {leastShed, 701, false},
		{3*leastShed - 1, 701, false}, {3 * leastShed, 701, true}, {3 * leastShed, 800, true}, {3 * leastShed, 801, false}, {100 * leastShed, 801, false}, {100 * leastShed, 800, true},
	} {
		account := new(memory.Account)
		d := shedder{acted: begun + 1000*leastShed} // so that nothing else is done
		if d.begin(begun, account) != shedWork {
			t.Fatal("it doesn't begin mildly")
		}
		_, _, released := d.judge(begun+c.after, ceiling, c.pressure, nil)
		if (len(released) == 1) != c.ends || d.states[account].on == c.ends {
			t.Errorf("after %d with %d of %d held, it ends: %v", c.after, c.pressure, ceiling, len(released) == 1)
		}
	}
}

// TestSheddingIsRemembered: who is relieved again soon is so for twice as long, up to a
// bound; after a while that is forgotten.
func TestSheddingIsRemembered(t *testing.T) {
	t.Parallel()
	account := new(memory.Account)
	var d shedder
	now, length := int64(1e12), leastShed
	for range 8 {
		if d.begin(now, account) != shedWork {
			t.Fatal("it doesn't begin mildly")
		}
		if d.states[account].length != length {
			t.Errorf("it is relieved for %d, want %d", d.states[account].length, length)
		}
		if d.begin(now+1, account) != shedConnections || d.states[account].since != now+1 {
			t.Error("the second time within that isn't harsher")
		}
		now += 1 + length
		d.judge(now, 100, 0, nil)
		now += shedMemory
		if d.judge(now, 100, 0, nil); d.states[account] == nil {
			t.Fatal("it is forgotten too soon")
		}
		length = min(2*length, mostShed)
	}
	if d.judge(now+1, 100, 0, nil); d.states[account] != nil {
		t.Error("it is never forgotten")
	}
}

// TestSheddingBegins: at the ceiling nothing is done, nor soon after what was done last,
// nor to whoever is light, unless all together are a danger.
func TestSheddingBegins(t *testing.T) {
	t.Parallel()
	const ceiling, now = int64(64000), int64(1e12)
	for _, c := range []struct {
		pressure, since int64
		holds           []int64
		want            shedding
		who             int
	}{
		{ceiling, shedSettle, []int64{ceiling}, shedNothing, 0}, {ceiling + 1, shedSettle, []int64{ceiling}, shedWork, 0}, {ceiling + 1, shedSettle - 1, []int64{ceiling}, shedNothing, 0},
		{ceiling + 1, shedSettle, []int64{1000}, shedNothing, 0}, {ceiling + 1, shedSettle, []int64{1001}, shedWork, 0},
		{ceiling + 1, shedSettle, []int64{2000, 3000, 2500}, shedWork, 1}, {ceiling + 1, shedSettle, []int64{3000, 3000}, shedWork, 0},
		{80001, shedSettle, []int64{1, 31999}, shedWork, 1}, {80000, shedSettle, make64(33, 1000), shedNothing, 0}, {80001, shedSettle, make64(33, 1000), shedWork, 0}, {80001, shedSettle, make64(32, 1000), shedNothing, 0},
		{1 << 40, shedSettle, nil, shedNothing, 0}, {1 << 40, shedSettle, make64(33, 0), shedNothing, 0},
	} {
		var holders []holder
		for _, bytes := range c.holds {
			holders = append(holders, holder{account: new(memory.Account), clients: bytes / 2, vms: bytes - bytes/2})
		}
		d := shedder{acted: now - c.since}
		do, who, _ := d.judge(now, ceiling, c.pressure, holders)
		if do != c.want || do != shedNothing && (who != &holders[c.who] || d.acted != now) || do == shedNothing && d.acted == now {
			t.Errorf("with %d held, by some %v: %v of %v", c.pressure, c.holds, do, who)
		}
	}
	d := shedder{}
	if do, _, _ := d.judge(now, 0, 1, []holder{{account: new(memory.Account), clients: 1}}); do != shedNothing {
		t.Error("something is done without a ceiling")
	}
}

func make64(n int, each int64) (list []int64) {
	for range n {
		list = append(list, each)
	}
	return list
}
