package logs

import (
	"bytes"
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// most bounds the lines that wait to be written; more are dropped.
	most = 4 << 20
	// enough is how much is worth a write before pause has passed.
	enough = 32 << 10
	pause  = 100 * time.Millisecond
	// tellPause is between two notices of lines that were lost.
	tellPause = 10 * time.Second
)

// Queue writes lines on a goroutine of its own, in their order: a slow disk
// or pipe costs lines, which are counted, but nobody who adds one ever waits.
type Queue struct {
	mu           sync.Mutex
	waiting, out []byte // guarded by mu; out is the running goroutine's while it writes
	dropped      atomic.Uint64
	wake         chan struct{}
	sync         chan chan struct{} // closed when what was added before is written

	next atomic.Pointer[Sink] // to be used from the next flush on

	// What follows is the running goroutine's.
	sink   Sink
	torn   bool // the output ends in the middle of a line
	told   uint64
	toldAt time.Time

	// Set before Run, or never:
	Tell     func(lines uint64, err error) // of lines that were lost
	Flushing func()                        // called with every flush
}

// Sink is where lines go; Close may be nil.
type Sink struct {
	Writer io.Writer
	Close  io.Closer
}

// NewQueue returns a queue of lines to w.
func NewQueue(w io.Writer) *Queue {
	return &Queue{wake: make(chan struct{}, 1), sync: make(chan chan struct{}), sink: Sink{Writer: w}}
}

// Add queues a line. It never blocks and never fails. now says that it is worth
// a write of its own.
func (q *Queue) Add(p []byte, now bool) {
	q.mu.Lock()
	if len(q.waiting)+len(p) > most {
		q.mu.Unlock()
		q.dropped.Add(1)
		return
	}
	q.waiting = append(q.waiting, p...)
	full := len(q.waiting) >= enough
	q.mu.Unlock()
	if full || now {
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
}

// Run writes until ctx is done, and then what is left.
func (q *Queue) Run(ctx context.Context) {
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			q.flush()
			q.flush() // what the first has told
			q.change(Sink{Writer: io.Discard})
			return
		case <-ticker.C:
		case <-q.wake:
		case done := <-q.sync:
			q.flush()
			close(done)
			continue
		}
		q.flush()
	}
}

func (q *Queue) flush() {
	if q.Flushing != nil {
		q.Flushing()
	}
	if next := q.next.Swap(nil); next != nil {
		q.change(*next)
	}
	q.mu.Lock()
	batch := q.waiting
	q.waiting = q.out[:0]
	q.mu.Unlock()
	err := q.write(batch)
	if cap(batch) > 1<<20 {
		batch = nil
	}
	q.out = batch
	lost := q.dropped.Load() - q.told
	if lost == 0 || q.Tell == nil {
		return
	}
	if now := time.Now(); now.Sub(q.toldAt) >= tellPause || q.toldAt.IsZero() {
		q.told, q.toldAt = q.told+lost, now
		q.Tell(lost, err)
	}
}

// write writes whole lines. After a part of one, such as on a full disk, the
// next begins on a line of its own.
func (q *Queue) write(batch []byte) error {
	if len(batch) == 0 {
		return nil
	}
	if q.torn {
		if _, err := q.sink.Writer.Write([]byte{'\n'}); err != nil {
			q.drop(batch)
			return err
		}
		q.torn = false
	}
	n, err := q.sink.Writer.Write(batch)
	if err != nil {
		n = min(max(n, 0), len(batch))
		q.torn = n > 0 && batch[n-1] != '\n'
		q.drop(batch[n:])
	}
	return err
}

func (q *Queue) drop(lines []byte) {
	q.dropped.Add(uint64(bytes.Count(lines, []byte{'\n'}))) //nolint:gosec // G115: a count
}

// Dropped is how many lines were lost.
func (q *Queue) Dropped() uint64 { return q.dropped.Load() }

// SetOutput changes where lines go. It doesn't wait for a write that hangs.
func (q *Queue) SetOutput(to Sink) {
	if skipped := q.next.Swap(&to); skipped != nil && skipped.Close != nil {
		_ = skipped.Close.Close()
	}
}

func (q *Queue) change(to Sink) {
	if q.sink.Close != nil {
		_ = q.sink.Close.Close()
	}
	q.sink, q.torn = to, false
}
