package proxy

import (
	"slices"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/memory"
)

const shedCeiling = 100 << 20

// shedWorld is a gateway's memory in virtual time.
type shedWorld struct {
	shedder  shedder
	now      int64
	holders  []holder
	other    int64    // what nobody holds
	actions  []string // what was done, in order
	releases int
}

func newShedWorld(names ...string) *shedWorld {
	w := &shedWorld{now: int64(time.Hour)}
	for _, name := range names {
		w.holders = append(w.holders, holder{name: name, account: new(memory.Account)})
	}
	return w
}

// tick is what the server does every 100 ms.
func (w *shedWorld) tick() {
	w.now += int64(100 * time.Millisecond)
	pressure := w.other
	for i := range w.holders {
		pressure += w.holders[i].total()
	}
	do, who, released := w.shedder.judge(w.now, shedCeiling, pressure, w.holders)
	w.releases += len(released)
	switch do {
	case shedWork:
		w.actions = append(w.actions, who.name+" work")
		who.vms = 0
	case shedConnections:
		w.actions = append(w.actions, who.name+" connections")
		who.clients /= 2
	case shedLoad:
		w.actions = append(w.actions, who.name+" load")
		who.vms = 0
	case shedNothing:
	}
}

// TestShedding: the heaviest is relieved first and mildly, nobody who is light,
// and nobody without need.
func TestShedding(t *testing.T) {
	t.Parallel()
	const mega = 1 << 20
	for name, test := range map[string]struct {
		a, b    [2]int64 // what a and b hold: clients and VMs, in MiB
		other   int64
		seconds int
		want    []string
	}{
		"below the ceiling":               {a: [2]int64{60, 30}, b: [2]int64{5, 5}, seconds: 60},
		"VMs are heavy":                   {a: [2]int64{20, 80}, b: [2]int64{5, 5}, seconds: 1, want: []string{"a work"}},
		"clients are heavy":               {a: [2]int64{90, 10}, b: [2]int64{5, 5}, seconds: 1, want: []string{"a work"}},
		"clients are all that is heavy":   {a: [2]int64{110, 0}, b: [2]int64{5, 5}, seconds: 1, want: []string{"a work", "a connections"}},
		"both are heavy":                  {a: [2]int64{60, 0}, b: [2]int64{0, 58}, seconds: 1, want: []string{"a work", "a connections"}},
		"b is heavier":                    {a: [2]int64{40, 0}, b: [2]int64{0, 70}, seconds: 1, want: []string{"b work"}},
		"nobody is heavy":                 {a: [2]int64{1, 0}, b: [2]int64{0, 1}, other: 105, seconds: 60},
		"in danger by what isn't theirs":  {a: [2]int64{0, 1}, b: [2]int64{0, 0}, other: 130, seconds: 60},
		"the gateway itself holds nearly": {a: [2]int64{0, 20}, b: [2]int64{0, 1}, other: 90, seconds: 60, want: []string{"a work"}},
	} {
		w := newShedWorld("a", "b")
		w.holders[0].clients, w.holders[0].vms = test.a[0]*mega, test.a[1]*mega
		w.holders[1].clients, w.holders[1].vms = test.b[0]*mega, test.b[1]*mega
		w.other = test.other * mega
		for range test.seconds * 10 {
			w.tick()
		}
		if !slices.Equal(w.actions, test.want) {
			t.Errorf("%s: %q, want %q", name, w.actions, test.want)
		}
	}
}

// TestSheddingOfLoads: what is being loaded is given up rather than what is in
// use, if it holds more, and its tenant is served as before.
func TestSheddingOfLoads(t *testing.T) {
	t.Parallel()
	w := newShedWorld("a", "b", "b")
	w.holders[0].vms, w.holders[1].vms, w.holders[2].vms = 45<<20, 10<<20, 50<<20
	w.holders[2].load = &lua.LoadView{}
	for range 100 {
		w.tick()
	}
	if !slices.Equal(w.actions, []string{"b load"}) || len(w.shedder.states) != 0 {
		t.Errorf("%q, %d are relieved", w.actions, len(w.shedder.states))
	}
}

// TestSheddingEndsWithTheCeiling: where a reload takes the ceiling away, nobody is
// kept from what was relieved by it.
func TestSheddingEndsWithTheCeiling(t *testing.T) {
	t.Parallel()
	var d shedder
	account := new(memory.Account)
	if do, _, _ := d.judge(shedSettle, 100, 200, []holder{{account: account, clients: 200}}); do != shedWork {
		t.Fatalf("it begins with %v", do)
	}
	if _, _, released := d.judge(shedSettle+leastShed, 0, 200, nil); !slices.Contains(released, account) {
		t.Error("without a ceiling, the tenant is still relieved")
	}
}

// TestSheddingOfMany: where nobody is heavy but all together are, the heaviest
// are relieved.
func TestSheddingOfMany(t *testing.T) {
	t.Parallel()
	w := newShedWorld(make([]string, 130)...)
	for i := range w.holders {
		w.holders[i].vms = 1 << 20
	}
	for range 100 {
		w.tick()
	}
	if n := len(w.actions); n == 0 || n > 30 {
		t.Errorf("%d were relieved, want some, and no more than it takes", n)
	}
}

// TestSheddingDoesNotFlap: a tenant that fills its memory as soon as it may is
// relieved for longer and longer, and the other never.
func TestSheddingDoesNotFlap(t *testing.T) {
	t.Parallel()
	w := newShedWorld("a", "b")
	w.holders[1].vms = 10 << 20
	for range 10 * 60 * 10 { // ten minutes
		if state := w.shedder.states[w.holders[0].account]; state == nil || !state.on {
			w.holders[0].vms = 120 << 20
		}
		w.tick()
	}
	if most := 26; len(w.actions) > most || len(w.actions) < 10 {
		t.Errorf("it came to that %d times in ten minutes, want at most %d", len(w.actions), most)
	}
	if slices.ContainsFunc(w.actions, func(action string) bool { return action[0] == 'b' }) {
		t.Errorf("%q", w.actions)
	}
	for range 10 * 120 {
		w.tick()
	}
	if len(w.shedder.states) != 0 || w.releases != len(w.actions) {
		t.Errorf("%d are still relieved or remembered; released %d of %d times", len(w.shedder.states), w.releases, len(w.actions))
	}
}
