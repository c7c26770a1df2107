package generator

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keystone-gateway/keystone-gateway/bench/load"
)

// lateAfter is how long after it was due a request may be sent.
const lateAfter = time.Millisecond

// tally is what was seen in some time.
type tally struct {
	latency load.Histogram // from when a request was due
	service load.Histogram // from when it was sent; in a closed loop that is the same, and this is empty

	statuses [1000]int64 // whole responses
	failures [kinds]int64
	cut      int64 // in flight when the run was ended

	lateBusy, lateOwn int64 // sent late: no connection was free; the generator was slow

	// These count what ended in the window, whenever it was sent.
	answered, received, sent int64
}

func (t *tally) merge(other *tally) {
	t.latency.Merge(&other.latency)
	t.service.Merge(&other.service)
	for i, n := range other.statuses {
		t.statuses[i] += n
	}
	for i, n := range other.failures {
		t.failures[i] += n
	}
	t.cut += other.cut
	t.lateBusy += other.lateBusy
	t.lateOwn += other.lateOwn
	t.answered += other.answered
	t.received += other.received
	t.sent += other.sent
}

func (t *tally) failed() (n int64) {
	for _, count := range t.failures {
		n += count
	}
	return n
}

// shard is where some of the workers record; there are several, so that they
// rarely wait for each other.
type shard struct {
	mu  sync.Mutex
	now *tally // since it was last drained
	_   [64]byte
}

// recorder gathers what workers record.
type recorder struct {
	shards []shard
	spare  *tally
	first  [kinds]atomic.Pointer[string] // message of each kind's first failure
}

func newRecorder() *recorder {
	r := &recorder{shards: make([]shard, 4*runtime.GOMAXPROCS(0)), spare: new(tally)}
	for i := range r.shards {
		r.shards[i].now = new(tally)
	}
	return r
}

func (r *recorder) shard(worker int) *shard { return &r.shards[worker%len(r.shards)] }

// drain moves what was recorded since the last time into t. Only one goroutine
// may call it.
func (r *recorder) drain(t *tally) {
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		full := s.now
		s.now = r.spare
		s.mu.Unlock()
		t.merge(full)
		*full = tally{}
		r.spare = full
	}
}

// note keeps the message of the first failure of its kind.
func (r *recorder) note(kind Kind, err error) {
	if r.first[kind].Load() != nil {
		return
	}
	text := printable(err)
	r.first[kind].CompareAndSwap(nil, &text)
}
