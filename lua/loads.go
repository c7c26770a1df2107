package lua

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// Loads bounds what scripts hold in the whole process while they are loaded,
// and what they keep of that before they are in use: each tenant's load has
// limits of its own, but there may be hundreds at a time, which wait for
// something. Beyond the bound, the load that holds most is given up, so that
// small ones are not refused for what large ones hold. Its methods may be called
// by many goroutines at once.
type Loads struct {
	budget func() Budget
	used   atomic.Int64 // by loads, in bytes
	bound  atomic.Int64 // for used, as it was found last
	asked  atomic.Int64 // when that was, in nanoseconds
	origin time.Time

	mu   sync.Mutex
	list map[*loading]struct{} // guarded by mu, as is kept
	kept map[*Scripts]struct{} // loaded, and not in use yet
}

// Budget is what the process may hold, and what it holds besides loads, in
// bytes.
type Budget struct {
	Ceiling int64 // 0 is none
	Held    int64 // by requests and by scripts in use
}

// Shares of the ceiling: loads have at most half of it, and at least a quarter,
// whatever else is held. What was loaded leaves a quarter free.
const (
	mostForLoads  = 2
	leastForLoads = 4
	leftByLoads   = 4
	// beyondCeiling is how far requests may go beyond the ceiling by making a VM:
	// that has the heaviest tenant relieved of its own.
	beyondCeiling = 8
)

// boundAge is how old the bound may be.
const boundAge = int64(10 * time.Millisecond)

// NewLoads returns the loads of a process, none. budget is called often.
func NewLoads(budget func() Budget) *Loads {
	return &Loads{budget: budget, origin: time.Now(), list: map[*loading]struct{}{}, kept: map[*Scripts]struct{}{}}
}

// begin counts a load until end.
func (o *Loads) begin(l *loading) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list[l] = struct{}{}
}

func (o *Loads) end(l *loading) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.list, l)
	o.used.Add(-l.bytes.Load())
}

// most is how much loads may hold now; 0 is no bound.
func (o *Loads) most() int64 {
	now := int64(time.Since(o.origin)) + 1
	if asked := o.asked.Load(); asked == 0 || now-asked > boundAge {
		o.asked.Store(now)
		b := o.budget()
		o.mu.Lock()
		left := b.Ceiling - b.Held - o.keptLocked() + o.againLocked()
		o.mu.Unlock()
		o.bound.Store(min(max(left, b.Ceiling/leastForLoads), b.Ceiling/mostForLoads))
	}
	return o.bound.Load()
}

// keptLocked is what scripts hold that are not in use yet.
func (o *Loads) keptLocked() (bytes int64) {
	for s := range o.kept {
		bytes += s.Memory()
	}
	return bytes
}

// againLocked is what loads hold for scripts in use, which those count too.
func (o *Loads) againLocked() (bytes int64) {
	for l := range o.list {
		if l.again {
			bytes += l.bytes.Load()
		}
	}
	return bytes
}

// lend counts bytes of a load. It says why, if the load is given up.
func (o *Loads) lend(l *loading, bytes int64) *vm.Exhausted {
	if o == nil {
		return nil
	}
	l.bytes.Add(bytes)
	used, most := o.used.Add(bytes), o.most()
	if most <= 0 || used <= most {
		return nil
	}
	return o.relieve(l, most)
}

// relieve gives up the loads that hold most until the others hold no more than
// so much. It says why, if the one that asks is among them.
func (o *Loads) relieve(asks *loading, most int64) *vm.Exhausted {
	o.mu.Lock()
	defer o.mu.Unlock()
	words := fmt.Sprintf("the scripts that are being loaded hold the memory that there is for that, %d bytes, and these most of it", most)
	for {
		heaviest, held := o.heaviestLocked()
		if held <= most || heaviest == nil {
			break
		}
		if why := heaviest.relieve(words); heaviest == asks {
			return why
		}
	}
	// Those that have been given up need a moment to end.
	if o.used.Load() > most+most/2 && asks.bytes.Load() > most/leastRefused {
		return asks.relieve(words)
	}
	return nil
}

// leastRefused is the share of what loads may hold together that one may always
// have while others end.
const leastRefused = 64

// heaviestLocked finds the load that holds most, and what all do that have not
// been given up.
func (o *Loads) heaviestLocked() (heaviest *loading, held int64) {
	for l := range o.list {
		if l.givenUp.Load() {
			continue // it ends, and then its memory goes
		}
		bytes := l.bytes.Load()
		held += bytes
		if heaviest == nil || bytes > heaviest.bytes.Load() {
			heaviest = l
		}
	}
	return heaviest, held
}

// keep reports whether there is memory to keep a VM of so many bytes that no
// request has asked for.
func (o *Loads) keep(bytes int64) bool {
	if o == nil || bytes < smallVM {
		return true
	}
	b := o.budget()
	o.mu.Lock()
	defer o.mu.Unlock()
	return b.Ceiling <= 0 || b.Held+o.keptLocked()-o.againLocked()+bytes <= b.Ceiling-b.Ceiling/leftByLoads
}

// admit reports whether there is memory for a VM of so many bytes that a request
// has asked for.
func (o *Loads) admit(bytes int64) bool {
	if o == nil || bytes < smallVM {
		return true
	}
	b := o.budget()
	return b.Ceiling <= 0 || b.Held+bytes <= b.Ceiling+b.Ceiling/beyondCeiling
}

// smallVM is up to how many bytes VMs are always kept.
const smallVM = 64 << 10

// hold counts what scripts have kept until InUse or Close.
func (o *Loads) hold(s *Scripts) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.kept[s] = struct{}{}
}

func (o *Loads) forget(s *Scripts) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.kept, s)
}

// Held returns what is held by loads and by what they have left that is not in
// use yet; what VMs hold that are made for scripts in use is in their Memory.
func (o *Loads) Held() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.used.Load() - o.againLocked() + o.keptLocked()
}

// LoadView is a load under way, for whoever looks for memory.
type LoadView struct {
	Tenant string
	Bytes  int64
	of     *loading
}

// Relieve gives the load up, with an error of these words.
func (l *LoadView) Relieve(words string) { _ = l.of.relieve(words) }

// Each calls f with the loads that hold more than so many bytes and have not
// been given up.
func (o *Loads) Each(least int64, f func(LoadView)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for l := range o.list {
		if bytes := l.bytes.Load(); bytes > least && !l.again && !l.givenUp.Load() {
			f(LoadView{l.options.Tenant, bytes, l})
		}
	}
}
