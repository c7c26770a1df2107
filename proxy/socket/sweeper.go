package socket

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// SweepInterval is how often expiries are looked at, and so the error of
// every timeout of the data plane.
const SweepInterval = 100 * time.Millisecond

// started anchors Nanotime.
var started = time.Now()

// Nanotime is a monotonic clock in nanoseconds. It is never 0, so that 0 can
// mean "no expiry".
func Nanotime() int64 { return int64(time.Since(started)) + 1 }

// Sweeper ends reads and writes whose expiry has passed. Setting a timer for
// each costs a request 3 µs; an atomic store and a sweep cost nearly nothing.
// One sweeper serves all connections of the process.
type Sweeper struct {
	next   atomic.Uint32
	swept  atomic.Int64 // when, last
	shards [16]sweeperShard
	pipes  pipePool // of all connections
}

// sweeperShard keeps the lock of accept and close apart from the sweep's.
type sweeperShard struct {
	mu    sync.Mutex
	conns []*Conn
	_     [64]byte
}

// NewSweeper returns a sweeper; connections can be made before it runs.
func NewSweeper() *Sweeper { return &Sweeper{pipes: pipePool{splice: rawSplice, most: MaxPipes}} }

// SetMostPipes bounds the pipes that are open, with two descriptors each. It
// must be called before there are connections.
func (s *Sweeper) SetMostPipes(n int) { s.pipes.most = min(n, MaxPipes) }

// Run sweeps until ctx is done. Pipes are not kept after that.
func (s *Sweeper) Run(ctx context.Context) {
	defer s.pipes.end()
	ticker := time.NewTicker(SweepInterval)
	defer ticker.Stop()
	var batch []*Conn
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			batch = s.Sweep(batch)
		}
	}
}

// Sweep looks at every connection, and at idle pipes, once. batch is scratch space to reuse.
func (s *Sweeper) Sweep(batch []*Conn) []*Conn {
	now := Nanotime()
	for i := range s.shards {
		shard := &s.shards[i]
		shard.mu.Lock()
		batch = append(batch[:0], shard.conns...)
		shard.mu.Unlock()
		for _, c := range batch {
			c.sweep(now)
		}
		clear(batch)
	}
	s.pipes.sweep(now)
	s.swept.Store(now)
	return batch[:0]
}

// Swept returns when the last sweep began that has ended (Nanotime); 0 is never.
func (s *Sweeper) Swept() int64 { return s.swept.Load() }

// Len returns the number of open connections.
func (s *Sweeper) Len() int {
	n := 0
	for i := range s.shards {
		s.shards[i].mu.Lock()
		n += len(s.shards[i].conns)
		s.shards[i].mu.Unlock()
	}
	return n
}

func (s *Sweeper) add(c *Conn) {
	c.shard = &s.shards[s.next.Add(1)%uint32(len(s.shards))]
	c.shard.mu.Lock()
	c.slot = len(c.shard.conns)
	c.shard.conns = append(c.shard.conns, c)
	c.shard.mu.Unlock()
}

func (s *Sweeper) remove(c *Conn) {
	c.shard.mu.Lock()
	last := len(c.shard.conns) - 1
	moved := c.shard.conns[last]
	c.shard.conns[c.slot] = moved
	moved.slot = c.slot
	c.shard.conns[last] = nil
	c.shard.conns = c.shard.conns[:last]
	c.shard.mu.Unlock()
}

func (c *Conn) sweep(now int64) {
	if at := c.readExpiry.Load(); at != 0 && now >= at {
		_ = c.nc.SetReadDeadline(longAgo)
	}
	if at := c.writeExpiry.Load(); at != 0 {
		c.sweepWrite(now, at)
	}
	if at := c.writeExpiry.Load(); at != 0 && now >= at {
		_ = c.nc.SetWriteDeadline(longAgo)
	}
	if who := c.onSweep.Load(); who != nil {
		(*who).Sweep(now)
	}
}
