package vm

import "runtime"

// Pay is pay.
func (l *Ledger) Pay(bytes, now int64) int64 { return l.pay(bytes, now) }

// Processors is how many long runs may run at once.
func Processors() int { return max(1, runtime.GOMAXPROCS(0)-1) }

// Order returns in which order runs that have run for so long get the only
// processor, if they ask for it in this one.
func Order(ran ...int64) (order []int) {
	g := &gate{}
	got := make(chan int)
	for i, ran := range ran {
		go func() {
			g.take(ran)
			got <- i
		}()
		for g.asked() <= i {
			runtime.Gosched()
		}
	}
	for range ran {
		g.leave()
		order = append(order, <-got)
	}
	return order
}

func (g *gate) asked() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return int(g.arrived)
}
