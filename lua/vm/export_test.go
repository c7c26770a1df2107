package vm

import "runtime"

// Pay is pay.
func (l *Ledger) Pay(bytes, now int64) int64 { return l.pay(bytes, now) }

// Spent returns how many instructions a run has used.
func Spent(r *Run) int64 { return r.limits.Instructions - r.left - r.fuse }

// Processors is how many long runs may run at once.
func Processors() int { return max(1, runtime.GOMAXPROCS(0)-1) }

// Order returns in which order runs that have run for so long get the only
// processor, if they ask for it in this one.
func Order(ran ...int64) (order []int) {
	g := &gate{}
	got := make(chan int)
	for i, ran := range ran {
		go func() {
			g.acquire(ran, func() bool { return false })
			got <- i
		}()
		for g.asked() <= i {
			runtime.Gosched()
		}
	}
	for range ran {
		g.release()
		order = append(order, <-got)
	}
	return order
}

// Had returns which of the runs that wait for the only processor get it, of which
// some are over by then, and whether it is free in the end.
func Had(over ...bool) ([]bool, int) {
	g, had := &gate{}, make([]bool, len(over))
	done := make(chan struct{})
	for i := range over {
		go func() {
			had[i] = g.acquire(0, func() bool { return over[i] })
			done <- struct{}{}
		}()
		for g.asked() <= i {
			runtime.Gosched()
		}
	}
	for range over {
		g.release()
	}
	for range over {
		<-done
	}
	return had, g.free
}

func (g *gate) asked() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return int(g.arrived)
}
