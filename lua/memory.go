package lua

import (
	"fmt"
	"sync"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// retiring is the VM that was replaced last and still has requests in flight.
// There is only one: what VMs hold is bounded by how many there can be.
type retiring struct {
	mu sync.Mutex
	sh *shard
}

// Memory returns the bytes that are attributed to the scripts now: what
// requests in flight have been charged and what was acquired, and what the VMs
// held when they were counted last, with all that they were charged since.
func (s *Scripts) Memory() int64 {
	n := s.ledger.Used()
	if s.code > smallCode {
		n += s.code // of small ones many are shared
	}
	for i := range s.shards {
		if sh := s.shards[i].Load(); sh != nil {
			n += sh.memory()
		}
	}
	s.retiring.mu.Lock()
	defer s.retiring.mu.Unlock()
	if s.retiring.sh != nil {
		n += s.retiring.sh.memory()
	}
	return n
}

func (sh *shard) memory() int64 { return sh.held.Load() + sh.lock.Allocated() }

// AcquireMemory counts memory that belongs to the tenant and that no script is
// charged, such as a body until it has been sent; ReleaseMemory gives it back.
// It reports whether lua.max_vm_memory allows it; if not, nothing is counted.
func (s *Scripts) AcquireMemory(bytes int64) bool { return s.ledger.Acquire(bytes) }

// ReleaseMemory gives back what was acquired.
func (s *Scripts) ReleaseMemory(bytes int64) { s.ledger.Release(bytes) }

// Shed drops all VMs and what they hold. Requests in flight on them end before
// their next instruction, with an Error of the kind KindShed and these words;
// the next request makes a new VM.
func (s *Scripts) Shed(words string) {
	for i := range s.shards {
		if sh := s.shards[i].Swap(nil); sh != nil {
			sh.empty(vm.Shed, words)
		}
	}
	s.retiring.mu.Lock()
	sh := s.retiring.sh
	s.retiring.sh = nil
	s.retiring.mu.Unlock()
	if sh != nil {
		sh.empty(vm.Shed, words)
	}
}

// empty ends the requests in flight of a VM that takes no others, and drops
// what it holds.
func (sh *shard) empty(reason vm.Reason, words string) {
	sh.lock.Retire(reason, words)
	sh.lock.Lock()
	defer sh.lock.Unlock()
	vm.Empty(sh.main, sh.roots())
	sh.free = nil
	clear(sh.interned)
	sh.held.Store(0)
	sh.lock.Measured(0)
}

// release gives a VM back after a request. One whose globals have grown too
// large is left to its requests in flight, and replaced.
func (s *Scripts) release(sh *shard) {
	sh.inFlight--
	replaced := false
	if limit := s.options.Config.MaxVMMemory.Int64(); limit > 0 && sh.lock.Allocated() > limit/4*max(1, sh.pace) {
		replaced = s.measure(sh, limit)
	}
	old, busy := sh.replaced, sh.inFlight > 0
	sh.lock.Unlock()
	switch {
	case replaced && busy:
		s.retireShard(sh)
	case old && !busy:
		s.dropShard(sh)
	}
}

// lifetime is after how many times lua.max_vm_memory a VM is replaced, whatever
// it seems to hold: what is held and not seen can't have become more. It costs
// a few milliseconds in thousands of requests.
const lifetime = 64

// measure counts what a VM holds, and reports whether it was replaced. A VM that
// doesn't grow is measured half as often.
func (s *Scripts) measure(sh *shard, limit int64) bool {
	held, longest := vm.Measure(sh.main, limit, sh.roots())
	held += sh.overhead()
	if sh.pace = 1; held-sh.held.Load() < limit/16 {
		sh.pace = 2
	}
	sh.held.Store(held)
	sh.lock.Measured(longest)
	if held <= limit && sh.lock.Total()/lifetime > limit {
		return s.replace(sh)
	}
	return held > limit && s.recycle(sh, fmt.Sprintf("the globals of a VM hold more than lua.max_vm_memory, %d bytes: it is replaced by a fresh one", limit))
}

// overhead is what a VM has besides Lua's values, in bytes.
func (sh *shard) overhead() int64 {
	n := sh.declarer.bytes + internedBytes*int64(len(sh.interned))
	for _, c := range sh.free {
		n += callBytes + 16*int64(vm.StackSlots(c.L))
	}
	return n
}

// What an interned string and a pooled call take, in bytes, without its stack.
const (
	internedBytes = 200
	callBytes     = 3 << 10
)

// recycle has a VM replaced, whose lock is held, because of what it holds.
func (s *Scripts) recycle(sh *shard, words string) bool {
	done := s.replace(sh)
	if done {
		s.record(&Error{Kind: string(vm.OutOfVMMemory), Message: words})
	}
	return done
}

// replace has a VM take no new requests.
func (s *Scripts) replace(sh *shard) bool {
	for i := range s.shards {
		if s.shards[i].CompareAndSwap(sh, nil) {
			sh.replaced = true
			s.stats.Recycled.Add(1)
			return true
		}
	}
	return false
}

// retireShard lets the requests in flight of a VM that was replaced go on, and ends
// those of the one before it.
func (s *Scripts) retireShard(sh *shard) {
	s.retiring.mu.Lock()
	before := s.retiring.sh
	s.retiring.sh = sh
	s.retiring.mu.Unlock()
	if before != nil && before != sh {
		before.empty(vm.OutOfVMMemory, "the VM of the request held more than lua.max_vm_memory, and so did one after it")
	}
	sh.lock.Lock()
	none := sh.inFlight == 0
	sh.lock.Unlock()
	if none { // they ended meanwhile
		s.dropShard(sh)
	}
}

// dropShard forgets a VM that was replaced and has no requests in flight any more.
func (s *Scripts) dropShard(sh *shard) {
	s.retiring.mu.Lock()
	if s.retiring.sh == sh {
		s.retiring.sh = nil
	}
	s.retiring.mu.Unlock()
}

// LongRuns returns a channel that has a value when a script has run for long
// since the last one was received: beyond a fifth of a millisecond.
func LongRuns() <-chan struct{} { return vm.LongRuns() }
