package proxy

import (
	"bytes"
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// logBuffer bounds the lines that wait to be written; more are dropped.
	logBuffer = 4 << 20
	// logBatch is how much is worth a write before logPause has passed.
	logBatch = 32 << 10
	logPause = 100 * time.Millisecond
	// tellPause is between two notices of lines that were lost.
	tellPause = 10 * time.Second
)

// logQueue writes lines on a goroutine of its own, in their order: a slow disk
// or pipe costs lines, which are counted, but nobody who adds one ever waits.
type logQueue struct {
	mu           sync.Mutex
	waiting, out []byte // guarded by mu; out is the running goroutine's while it writes
	dropped      atomic.Uint64
	wake         chan struct{}
	sync         chan chan struct{} // closed when what was added before is written

	next atomic.Pointer[logSink] // to be used from the next flush on

	// What follows is the running goroutine's.
	sink     logSink
	torn     bool // the output ends in the middle of a line
	told     uint64
	toldAt   time.Time
	tell     func(lines uint64, err error) // of lines that were lost; nil is nobody
	flushing func()                        // called with every flush; may be nil
}

// logSink is where lines go; close may be nil.
type logSink struct {
	w     io.Writer
	close io.Closer
}

func newLogQueue(w io.Writer) *logQueue {
	return &logQueue{wake: make(chan struct{}, 1), sync: make(chan chan struct{}), sink: logSink{w: w}}
}

// add queues a line. It never blocks and never fails. now says that it is worth
// a write of its own.
func (q *logQueue) add(p []byte, now bool) {
	q.mu.Lock()
	if len(q.waiting)+len(p) > logBuffer {
		q.mu.Unlock()
		q.dropped.Add(1)
		return
	}
	q.waiting = append(q.waiting, p...)
	full := len(q.waiting) >= logBatch
	q.mu.Unlock()
	if full || now {
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
}

// run writes until ctx is done, and then what is left.
func (q *logQueue) run(ctx context.Context) {
	ticker := time.NewTicker(logPause)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			q.flush()
			q.flush() // what the first has told
			q.change(logSink{w: io.Discard})
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

func (q *logQueue) flush() {
	if q.flushing != nil {
		q.flushing()
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
	if lost == 0 || q.tell == nil {
		return
	}
	if now := time.Now(); now.Sub(q.toldAt) >= tellPause || q.toldAt.IsZero() {
		q.told, q.toldAt = q.told+lost, now
		q.tell(lost, err)
	}
}

// write writes whole lines. After a part of one, such as on a full disk, the
// next begins on a line of its own.
func (q *logQueue) write(batch []byte) error {
	if len(batch) == 0 {
		return nil
	}
	if q.torn {
		if _, err := q.sink.w.Write([]byte{'\n'}); err != nil {
			q.drop(batch)
			return err
		}
		q.torn = false
	}
	n, err := q.sink.w.Write(batch)
	if err != nil {
		n = min(max(n, 0), len(batch))
		q.torn = n > 0 && batch[n-1] != '\n'
		q.drop(batch[n:])
	}
	return err
}

func (q *logQueue) drop(lines []byte) {
	q.dropped.Add(uint64(bytes.Count(lines, []byte{'\n'}))) //nolint:gosec // G115: a count
}

// setOutput changes where lines go. It doesn't wait for a write that hangs.
func (q *logQueue) setOutput(to logSink) {
	if skipped := q.next.Swap(&to); skipped != nil && skipped.close != nil {
		_ = skipped.close.Close()
	}
}

func (q *logQueue) change(to logSink) {
	if q.sink.close != nil {
		_ = q.sink.close.Close()
	}
	q.sink, q.torn = to, false
}
