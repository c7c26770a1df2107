package socket

// PipeIdle is pipeIdle.
const PipeIdle = pipeIdle

// WriteExpiry is when the current write ends for want of progress (Nanotime).
func (c *Conn) WriteExpiry() int64 { return c.writeExpiry.Load() }

// SetSplice replaces the system call; before any is made.
func (s *Sweeper) SetSplice(f func(from, to, n int) int) { s.pipes.splice = f }

// SweepPipes looks at idle pipes as if it were that time (Nanotime).
func (s *Sweeper) SweepPipes(now int64) { s.pipes.sweep(now) }

// EndPipes is what the end of Run does.
func (s *Sweeper) EndPipes() { s.pipes.end() }

// Pipes returns how many pipes are idle, and how many are open.
func (s *Sweeper) Pipes() (idle, open int) {
	s.pipes.mu.Lock()
	defer s.pipes.mu.Unlock()
	return len(s.pipes.idle), s.pipes.open
}

// WriteWait is writeWait.
type WriteWait struct{ w writeWait }

// NewWriteWait is a write that waits from the time 1 on, with so many bytes given
// to the socket.
func NewWriteWait(idle, rate, given int64) *WriteWait {
	return &WriteWait{writeWait{waiting: true, since: 1, idle: idle, rate: rate, given: given}}
}

// Look reports whether the peer has been found too slow.
func (w *WriteWait) Look(now int64, unsent int) bool {
	w.w.look(now, unsent)
	return w.w.slow
}
