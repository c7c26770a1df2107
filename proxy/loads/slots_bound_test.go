package loads

import (
	"context"
	"testing"
	"testing/synctest"
)

// begins calls acquire on a goroutine of its own, and returns what it has got so far.
func begins(p *slots) (got func() *slot) {
	var made *slot
	go func() { made = p.acquire() }()
	return func() *slot { synctest.Wait(); return made }
}

// yields has a load yield on a goroutine of its own, and returns whether it goes on.
func yields(ctx context.Context, s *slot, level int) (goesOn func() bool) {
	done := false
	go func() { s.yield(ctx, level); done = true }()
	return func() bool { synctest.Wait(); return done }
}

// inUse demands so many loads that run, and that are under way.
func inUse(t *testing.T, p *slots, runs, all int) {
	t.Helper()
	if p.runs != runs || p.all != all {
		t.Errorf("%d run of %d that are under way, want %d of %d", p.runs, p.all, runs, all)
	}
}

// TestSlotsBoundWhatRuns: so many loads run, and no more; one that waits for something
// makes room, and goes on without waiting for it again.
func TestSlotsBoundWhatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newSlots(2)
		first, second := p.acquire(), p.acquire()
		third := begins(p)
		if third() != nil {
			t.Fatal("a third runs beside two")
		}
		end := first.wait()
		inner := first.wait() // within it: nothing more to give
		if third() == nil {
			t.Fatal("a load that waits keeps another from running")
		}
		inUse(t, p, 2, 3)
		inner()
		inUse(t, p, 3, 3) // it waits for nobody
		end()
		inUse(t, p, 3, 3)
		fourth := begins(p)
		if first.release(); fourth() != nil {
			t.Error("another begins where as many run as may")
		}
		if second.release(); fourth() == nil {
			t.Error("none begins after a release")
		}
		third().release()
		fourth().release()
		inUse(t, p, 0, 0)
	})
}

// TestSlotsBoundWhatIsUnderWay: those that wait for something are bounded as well.
// Then those that wait to begin are in nobody's way.
func TestSlotsBoundWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newSlots(1)
		p.begun = 2
		first := p.acquire()
		end := first.wait()
		second := p.acquire()
		third := begins(p)
		if second.yield(context.Background(), 1); third() != nil { // for nobody that may begin
			t.Fatal("more are under way than may")
		}
		inUse(t, p, 1, 2)
		if second.wait()(); third() != nil {
			t.Fatal("more are under way than may")
		}
		again := second.wait()
		if inUse(t, p, 0, 2); third() != nil {
			t.Fatal("more are under way than may, if all wait for something")
		}
		again()
		p.begun = 3
		goesOn := yields(context.Background(), second, 1)
		if goesOn() || third() == nil {
			t.Fatal("a load that has run goes before one that has not")
		}
		third().release()
		if !goesOn() {
			t.Error("nobody else runs, and it doesn't go on")
		}
		end()
		first.release()
		second.release()
		inUse(t, p, 0, 0)
	})
}

// TestYieldKeepsTheOrder: who has run for less goes first, who has run for as long
// or for longer doesn't; and the last level is for all that have run for longer.
func TestYieldKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newSlots(1)
		first := p.acquire()
		first.yield(context.Background(), 0) // nobody else is there
		end := first.wait()
		second := p.acquire()
		end() // two run, of one
		loser := yields(context.Background(), first, slotLevels+5)
		if loser() {
			t.Fatal("it goes on while another runs")
		}
		if p.waiting[slotLevels-1] != 1 {
			t.Errorf("those that wait are %d", p.waiting)
		}
		second.yield(context.Background(), slotLevels-2) // has run for less: at once
		inUse(t, p, 1, 2)
		same := yields(context.Background(), second, slotLevels-1)
		if loser() == same() {
			t.Error("of two that have run for as long, not one goes on")
		}
		second.release()
		first.release()
		inUse(t, p, 0, 0)
		if !loser() || !same() || p.waiting != [slotLevels]int{} {
			t.Errorf("they wait after all has ended: %d", p.waiting)
		}
	})
}

// TestYieldEnds: with its context, and with the load; one that waits for something, or
// was given up, has nothing to give.
func TestYieldEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newSlots(1)
		first := p.acquire()
		end := first.wait()
		first.yield(context.Background(), 0)
		inUse(t, p, 0, 1)
		second := p.acquire()
		first.yield(context.Background(), 1) // which still waits
		inUse(t, p, 1, 2)
		end()
		ctx, cancel := context.WithCancel(context.Background())
		goesOn := yields(ctx, first, 1)
		if goesOn() {
			t.Fatal("it goes on while another runs")
		}
		if cancel(); !goesOn() {
			t.Fatal("it goes on waiting when its time is over")
		}
		inUse(t, p, 2, 2)
		if goesOn = yields(context.Background(), first, 1); goesOn() {
			t.Fatal("it goes on while another runs")
		}
		if first.release(); !goesOn() { // it was given up
			t.Fatal("it waits for a slot that it has no use for")
		}
		inUse(t, p, 1, 1)
		late := first.wait()
		first.yield(context.Background(), 3)
		late()
		inUse(t, p, 1, 1)
		second.release()
		inUse(t, p, 0, 0)
	})
}
