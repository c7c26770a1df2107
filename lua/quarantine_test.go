package lua_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/lua"
)

// judged is a script that clients can make use up its budget.
const judged = `chi.use(function(request, response, next)
  if request.query == "bad" then while true do end end
  if request.query == "error" then error("x") end
  next()
end)`

// bench is that script with a clock that tests move.
type bench struct {
	scripts *lua.Scripts
	clock   *settableClock
}

func startBench(t *testing.T, after int) *bench {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.lua"), []byte(judged), 0o600); err != nil {
		t.Fatal(err)
	}
	b := &bench{clock: &settableClock{}}
	b.clock.now.Store(1_000_000)
	o := options(dir, "a.lua")
	o.Shards, o.Config.MaxInstructions, o.Config.QuarantineAfter, o.Clock = 1, 1000, after, b.clock
	var err error
	if b.scripts, err = lua.Load(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.scripts.Close)
	return b
}

// ask makes a request and returns what became of it: "ok", "spent", "error" or
// "refused".
func (b *bench) ask(client netip.Addr, query string) string {
	r := newRequest()
	r.request.Remote, r.request.Query = client, []byte("?"+query)
	err := b.scripts.Serve(r, 0)
	failed, _ := errors.AsType[*lua.Error](err)
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, new(*lua.QuarantineError)):
		return "refused"
	case failed != nil && failed.Limited():
		return "spent"
	}
	return "error"
}

func client(n int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, byte(n >> 8), byte(n)}) }

// TestQuarantine goes through conversations. "3 1 bad spent" is: three times,
// the client 1 sends what exhausts the script, and it does; "wait 10" are
// seconds.
func TestQuarantine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, talk string
	}{
		{"a script that never works", "5 1 bad spent, 1 1 bad refused, 1 1 good refused"},
		{"it ends by itself", "5 1 bad spent, 1 1 good refused, wait 2, 1 1 good ok, 4 1 bad spent"},
		{"then one failure is enough, for twice as long", "5 1 bad spent, wait 2, 1 1 bad spent, 1 1 good refused, wait 1, 1 1 good refused, wait 2, 1 1 good ok"},
		{"a row among many that work", "20 1 good ok, 5 1 bad spent, 10 1 good ok, 10 1 bad spent, 1 1 good ok"},
		{"most of a client's", "3 1 good ok, 5 1 bad spent, 1 1 good refused"},
		{"of one client, for others it works", "1 2 good ok, 5 1 bad spent, 5 1 bad refused, 5 2 good ok, wait 2, 1 1 bad spent, 1 2 good ok, 1 1 good refused"},
		{"another client still has its own chances", "1 3 good ok, 5 1 bad spent, 5 2 bad spent, 1 2 good refused, 1 1 good refused, 1 3 good ok"},
		{"a script that has never worked, and a harmless client", "5 1 bad spent, 1 2 good ok, 3 2 good ok, 1 1 good refused"},
		{"harmless clients that fail too", "5 1 bad spent, 1 2 bad spent, 1 3 bad refused, 1 2 good refused"},
		{"a script that has ceased to work", "9 9 good ok, wait 60, 5 1 bad spent, wait 40, 5 1 bad spent, 5 2 bad spent, 5 3 bad spent, 1 4 bad spent, 1 5 bad refused, 1 1 good refused"},
		{"errors are neither", "20 1 error error, 5 1 bad spent, 1 1 good refused"},
		{"too few in a window", "4 1 bad spent, wait 60, 4 1 bad spent, wait 60, 4 1 bad spent, 1 1 good ok"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b, spent := startBench(t, 5), uint64(0)
			for step := range strings.SplitSeq(c.talk, ", ") {
				words := strings.Fields(step)
				n, _ := strconv.Atoi(words[0])
				if words[0] == "wait" {
					seconds, _ := strconv.ParseInt(words[1], 10, 64)
					b.clock.now.Add(seconds)
					continue
				}
				who, _ := strconv.Atoi(words[1])
				for i := range n {
					if got := b.ask(client(who), words[2]); got != words[3] {
						t.Fatalf("%q, the %d. time: %s", step, i+1, got)
					}
					if words[3] == "spent" {
						spent++
					}
				}
			}
			if n := b.scripts.Stats().Exhausted.Load(); n != spent {
				t.Errorf("%d runs are counted that have used up their budget, want %d", n, spent)
			}
		})
	}
}

// A client takes the script away from nobody but itself: not by a flood, not
// after a quarantine, not as an address among others of its network.
func TestQuarantineOfOneClient(t *testing.T) {
	t.Parallel()
	b := startBench(t, 5)
	random := rand.New(rand.NewPCG(1, 2))
	evil := func() netip.Addr {
		return netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", random.Uint32N(1<<16)))
	}
	if got := b.ask(client(1), "good"); got != "ok" {
		t.Fatal(got)
	}
	spent := 0
	for range 600 { // seconds
		for range 10 {
			if b.ask(evil(), "bad") == "spent" {
				spent++
			}
		}
		if got := b.ask(client(int(random.Uint32N(100))), "good"); got != "ok" {
			t.Fatalf("somebody else's request: %s", got)
		}
		b.clock.now.Add(1)
	}
	if spent > 50 {
		t.Errorf("the client has had %d runs, want some", spent)
	}
}

// A script that always loops is kept from all, however many clients there are,
// and what it costs is bounded by time and not by their number.
func TestQuarantineOfAll(t *testing.T) {
	t.Parallel()
	b := startBench(t, 5)
	spent := 0
	for i := range 6000 { // ten minutes
		if b.ask(client(i), "bad") == "spent" {
			spent++
		}
		if i%10 == 9 {
			b.clock.now.Add(1)
		}
	}
	if spent > 1000 {
		t.Errorf("%d runs, want about one a second", spent)
	}
	view := b.scripts.View().Scripts[0]
	if view.QuarantinedUntil == nil || !view.QuarantinedForAll {
		t.Errorf("the view is %+v, want a quarantine for all", view)
	}
}

// Requests that wait in vain while others run for long have done nothing: the
// machine, or another tenant, may be what keeps those busy.
func TestNoQuarantineForWaiting(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const script = `chi.use(function(request, response, next)
  if request.query == "hold" then
    for i = 1, 1e5 do end
    held = true -- the turn
    while not released do end
  elseif request.query == "held" and not held then
    error("no") -- which is neither a failure nor a success
  elseif request.query == "release" then
    released = true
  elseif request.query == "long" then
    for i = 1, 1e5 do end
  end
end)`
	put(t, dir, "a.lua", script)
	o := options(dir, "a.lua")
	o.Shards, o.Config.QuarantineAfter = 1, 1
	o.Config.MaxInstructions, o.Config.Timeout = 1<<40, 0
	scripts, err := lua.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(scripts.Close)
	b := &bench{scripts: scripts}
	var wait, others sync.WaitGroup
	wait.Go(func() {
		if got := b.ask(client(1), "hold"); got != "ok" {
			t.Errorf("the long request: %s", got)
		}
	})
	for b.ask(client(2), "held") != "ok" {
		runtime.Gosched()
	}
	for range 8 {
		others.Go(func() {
			if got := b.ask(client(1), "long"); got != "spent" {
				t.Errorf("waiting for it: %s, expected that it waits in vain", got)
			}
		})
	}
	others.Wait()
	if got := b.ask(client(1), "release"); got != "ok" {
		t.Errorf("after that: %s", got)
	}
	wait.Wait()
	if n := scripts.InQuarantine(); n != 0 {
		t.Errorf("%d scripts in quarantine", n)
	}
}

// TestQuarantineIsReleased: a reload that takes the scripts over ends every
// quarantine, of a client and of all, and what led to it is forgotten.
func TestQuarantineIsReleased(t *testing.T) {
	t.Parallel()
	for name, working := range map[string]bool{"of a client": true, "of all": false} {
		b := startBench(t, 5)
		say := func(when string, n int, who int, query, want string) {
			t.Helper()
			for range n {
				if got := b.ask(client(who), query); got != want {
					t.Fatalf("%s, %s: %q of client %d was %s, want %s", name, when, query, who, got, want)
				}
			}
		}
		if working {
			say("before", 1, 2, "good", "ok")
		}
		say("before", 5, 1, "bad", "spent")
		say("in quarantine", 2, 1, "good", "refused")
		b.scripts.Release()
		if n := b.scripts.InQuarantine(); n != 0 {
			t.Errorf("%s: %d scripts are in quarantine after a reload", name, n)
		}
		say("after a reload", 1, 1, "good", "ok")
		b.clock.now.Add(60) // what counted before has left the window
		say("after a reload", 4, 1, "bad", "spent")
		say("after four of five", 1, 1, "good", "ok")
	}
}

// TestQuarantineEndsOnTime: what fails while a quarantine lasts, since it began
// before, neither makes it longer nor starts it over.
func TestQuarantineEndsOnTime(t *testing.T) {
	t.Parallel()
	b := startBench(t, 5)
	for range 5 {
		b.ask(client(1), "bad")
	}
	until := b.scripts.View().Scripts[0].QuarantinedUntil
	if until == nil {
		t.Fatal("no quarantine")
	}
	for who := range 3 { // others, one of whom is let through, for whom it fails too
		b.ask(client(2+who), "bad")
	}
	if got := b.scripts.View().Scripts[0].QuarantinedUntil; got == nil || !got.Equal(*until) {
		t.Errorf("the quarantine ends at %v, want %v", got, until)
	}
}
