package socket

import (
	"sync"
	"time"
)

const (
	// pipeBytes is the size that pipes are asked to have, and the most that is
	// moved into one at once. CPU for 1 MiB down and up, in µs: copied 505 and
	// 485; with pipes of 64 KiB 358 and 365, 128 KiB 283 and 305, 256 KiB 256 and
	// 294, 1 MiB 260 and 252, which isn't worth four times the memory.
	pipeBytes = 256 << 10
	// leastPipe is the smallest pipe that is of use. Past its user's limit
	// (pipe(7), pipe-user-pages-soft) a process gets pipes of 8 KiB.
	leastPipe = 64 << 10
	// MaxPipes is how many pipes may be open, with two descriptors each, unless
	// SetMostPipes says less. It bounds what slow receivers make the kernel hold:
	// 32 MiB of bodies, and some times that where they came in tiny segments.
	// Beyond it bodies are copied.
	MaxPipes = 128
	// pipeIdle is how long a pipe is kept that nobody uses.
	pipeIdle = int64(5 * time.Second)
)

// Pipe holds bytes in the kernel, on their way from one socket to another. It
// belongs to one goroutine, from ReadPipe to WritePipe or Discard.
type Pipe struct {
	r, w int // descriptors
	held int // bytes in it
	pool *pipePool
	// idleSince is when it was put back (Nanotime).
	idleSince int64
}

// Len returns the number of bytes in the pipe; a nil one has none.
func (p *Pipe) Len() int {
	if p == nil {
		return 0
	}
	return p.held
}

// Discard gives the pipe back without writing what it holds. A nil pipe has
// nothing to give back.
func (p *Pipe) Discard() {
	if p != nil {
		p.pool.release(p)
	}
}

// pipePool keeps empty pipes for the next body. splice, rawSplice but for
// tests, must be set. Others may use it at any time.
type pipePool struct {
	splice func(from, to, n int) int

	mu     sync.Mutex
	idle   []*Pipe // the longest idle first
	open   int     // with those in use
	closed bool
	most   int // may be open
}

// acquire returns an empty pipe, or nil if there is none to be had.
func (pool *pipePool) acquire() *Pipe {
	pool.mu.Lock()
	if last := len(pool.idle) - 1; last >= 0 {
		p := pool.idle[last]
		pool.idle = pool.idle[:last]
		pool.mu.Unlock()
		return p
	}
	if pool.open >= pool.most {
		pool.mu.Unlock()
		return nil
	}
	pool.open++
	pool.mu.Unlock()
	p := &Pipe{pool: pool}
	if !p.create() {
		pool.forget(1)
		return nil
	}
	return p
}

// release takes a pipe back. One that still holds something is closed: those
// bytes must not get into another body.
func (pool *pipePool) release(p *Pipe) {
	if p.held > 0 {
		p.close()
		pool.forget(1)
		return
	}
	p.idleSince = Nanotime()
	pool.mu.Lock()
	keep := !pool.closed
	if keep {
		pool.idle = append(pool.idle, p)
	} else {
		pool.open--
	}
	pool.mu.Unlock()
	if !keep {
		p.close()
	}
}

func (pool *pipePool) forget(n int) {
	pool.mu.Lock()
	pool.open -= n
	pool.mu.Unlock()
}

// sweep closes pipes that have been idle for too long.
func (pool *pipePool) sweep(now int64) {
	pool.mu.Lock()
	n := 0
	for n < len(pool.idle) && now-pool.idle[n].idleSince > pipeIdle {
		pool.idle[n].close()
		n++
	}
	pool.drop(n)
	pool.mu.Unlock()
}

// end closes idle pipes, and has those in use closed when they are given back.
func (pool *pipePool) end() {
	pool.mu.Lock()
	pool.closed = true
	for _, p := range pool.idle {
		p.close()
	}
	pool.drop(len(pool.idle))
	pool.mu.Unlock()
}

// drop forgets the first n idle pipes, which have been closed.
func (pool *pipePool) drop(n int) {
	if n == 0 {
		return
	}
	left := copy(pool.idle, pool.idle[n:])
	clear(pool.idle[left:])
	pool.idle = pool.idle[:left]
	pool.open -= n
}
