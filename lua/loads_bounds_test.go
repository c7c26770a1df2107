package lua

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// TestBoundOfLoadsIsAskedFor again when it is old, and is the same until then.
func TestBoundOfLoadsIsAskedFor(t *testing.T) {
	t.Parallel()
	asked := 0
	o := NewLoads(func() Budget { asked++; return Budget{Ceiling: 1000 * int64(asked)} })
	if o.most() != 500 || asked != 1 {
		t.Errorf("the first time, it is asked for %d times", asked)
	}
	o.asked.Store(int64(time.Since(o.origin)) + int64(time.Hour))
	if o.most() != 500 || asked != 1 {
		t.Error("a young bound is asked for again")
	}
	o.origin = o.origin.Add(-time.Hour)
	o.asked.Store(1)
	if o.most() != 1000 || asked != 2 || o.asked.Load() < int64(time.Hour) {
		t.Error("an old bound isn't asked for again")
	}
	o.asked.Store(int64(time.Since(o.origin)) - boundAge - int64(time.Second))
	if o.most() != 1500 {
		t.Error("a bound of more than its age isn't asked for again")
	}
}

// TestKeptScriptsCount: what scripts hold that are not in use yet leaves less to others,
// and what loads hold for scripts in use is counted with these.
func TestKeptScriptsCount(t *testing.T) {
	t.Parallel()
	held := int64(0)
	const ceiling = int64(1) << 30
	loads := NewLoads(func() Budget { return Budget{Ceiling: ceiling, Held: held} })
	o := scriptsOf(t, "a.lua=KEPT = ('x'):rep(1048576) chi.get('/', print)")
	o.Loads = loads
	scripts := loadedOf(t, o)
	kept := scripts.Memory()
	if kept < 1<<20 || loads.Held() != kept {
		t.Fatalf("%d bytes are held, of %d", loads.Held(), kept)
	}
	again := newLoading(o, true)
	fresh := newLoading(o, false)
	defer func() { _ = again.end() }()
	defer func() { _ = fresh.end() }()
	_ = loads.lend(again, 1000)
	_ = loads.lend(fresh, 100)
	if loads.Held() != kept+100 {
		t.Errorf("%d bytes are held, want %d", loads.Held(), kept+100)
	}
	var seen []int64
	if loads.Each(0, func(l LoadView) { seen = append(seen, l.Bytes) }); len(seen) != 1 || seen[0] != 100 {
		t.Errorf("loads of %v are shown", seen)
	}
	for _, more := range []int64{0, 1} {
		held = ceiling - ceiling/leftByLoads - kept + 1000 - smallVM + more
		if loads.keep(smallVM) != (more == 0) {
			t.Errorf("with %d more, a VM is kept: %v", more, more != 0)
		}
		held = ceiling/mostForLoads - kept + 1000 + more
		loads.asked.Store(0)
		if most := loads.most(); most != ceiling/mostForLoads-more {
			t.Errorf("loads may have %d", most)
		}
	}
	loads.end(again)
	loads.end(fresh)
	if scripts.InUse(); loads.Held() != 0 || len(loads.kept) != 0 || len(loads.list) != 0 {
		t.Errorf("%d bytes are held", loads.Held())
	}
}

// TestLoadsThatAreRelieved end with their reason, once, and are neither shown nor asked
// again; who asks for little while others end may go on.
func TestLoadsThatAreRelieved(t *testing.T) {
	t.Parallel()
	o := NewLoads(func() Budget { return Budget{Ceiling: 12800} }) // of which loads have 6400, and 100 in any case
	options := &Options{Tenant: "a", Loads: o, Config: DefaultConfig()}
	list := make([]*loading, 4)
	for i := range list {
		list[i] = newLoading(options, false)
		t.Cleanup(func() { _ = list[i].end() })
	}
	heavy, other, little, more := list[0], list[1], list[2], list[3]
	if o.lend(heavy, 6000) != nil || o.lend(other, 400) != nil {
		t.Fatal("what loads may have is refused")
	}
	if why := o.lend(other, 3201-1); why != nil || !heavy.givenUp.Load() || other.givenUp.Load() {
		t.Errorf("got %v", why)
	}
	const words = "the scripts that are being loaded hold the memory that there is for that, 6400 bytes, and these most of it: memory is short, the load is given up"
	if heavy.stopped == nil || heavy.stopped.Error() != words || heavy.ctx.Err() == nil {
		t.Errorf("it is told %v", heavy.stopped)
	}
	// 9600 are counted by now, one and a half times what there may be: one more is too much.
	if why := o.lend(little, 100); why != nil {
		t.Errorf("little is refused: %v", why)
	}
	if why := o.lend(more, 101); why == nil || why.Reason != vm.Shed || why.Limit != words || !more.givenUp.Load() {
		t.Errorf("more than little isn't refused: %v", why)
	}
	shown := 0
	o.Each(0, func(l LoadView) {
		if shown++; l.Bytes == 3600 {
			l.Relieve("enough")
		}
	})
	if shown != 2 || !other.givenUp.Load() || other.stopped == nil || !strings.HasPrefix(other.stopped.Error(), "enough: memory is short") {
		t.Errorf("%d loads are shown, and one is told %v", shown, other.stopped)
	}
	err := other.pass(BrokenScripts{{Err: errors.New("x")}})
	if list, ok := errors.AsType[BrokenScripts](err); !ok || !list.Passing() || !list.Memory() {
		t.Errorf("got %v", err)
	}
	if list, ok := errors.AsType[BrokenScripts](little.pass(BrokenScripts{{Err: errors.New("x")}})); !ok || list.Passing() || list.Memory() {
		t.Error("what was not stopped may pass")
	}
	if heavy.stop(vm.OutOfTime, errors.New("later")); heavy.stopped.Error() != words {
		t.Error("it is stopped twice")
	}
	if little.end() != nil || little.lock != nil {
		t.Error("one that was not stopped has been")
	}
	if little.stop(vm.OutOfTime, errors.New("later")); little.stopped != nil || little.ctx.Err() != nil {
		t.Error("one that has ended is stopped")
	}
}

// TestPaces: when a load makes way for others, and that this time isn't its own.
func TestPaces(t *testing.T) {
	t.Parallel()
	levels := []int{}
	o := &Options{Tenant: "a", Config: DefaultConfig()}
	l := newLoading(o, false)
	defer func() { _ = l.end() }()
	if l.Pace(time.Hour, 1<<40) != nil {
		t.Error("it makes way although nobody has asked for that")
	}
	var stopped, left time.Duration
	o.Config.LoadTimeout = 3600e9
	o.Yield = func(_ context.Context, level int) { levels = append(levels, level); stopped = l.left }
	l2 := newLoading(o, false)
	defer func() { _ = l2.end() }()
	l = l2
	for _, step := range []struct {
		ran     time.Duration
		charged int64
		waits   bool
	}{
		{firstPace - 1, firstBytes - 1, false}, {firstPace - 1, firstBytes, true}, {firstPace, 1 << 40, false}, {4*firstPace - 1, 1 << 40, false}, {4 * firstPace, 0, true},
		{16*firstPace - 1, 0, false}, {16 * firstPace, 0, true},
	} {
		wait := l.Pace(step.ran, step.charged)
		if (wait != nil) != step.waits {
			t.Errorf("after %v and %d bytes it makes way: %v", step.ran, step.charged, !step.waits)
		}
		if wait != nil {
			left = l.left
			if wait(); stopped > left || l.left != stopped || !l.timer.Stop() {
				t.Errorf("of its time %v were left, %v while it waited", left, stopped)
			}
			l.timer.Reset(time.Hour)
		}
	}
	if len(levels) != 3 || levels[0] != 1 || levels[2] != 3 {
		t.Errorf("it has made way at %v", levels)
	}
	fast := newLoading(o, false)
	defer func() { _ = fast.end() }()
	if fast.Pace(firstPace, 0) == nil {
		t.Error("it makes no way when it has run for the first pace")
	}
	waits := 0
	o.Waiting = func() func() { waits++; return func() { waits += 10 } }
	if fast.Watch(nil)(); waits != 11 {
		t.Errorf("its waits are told %d", waits)
	}
	o.Waiting = nil
	fast.Watch(nil)()
}
