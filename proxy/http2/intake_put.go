package http2

import "github.com/keystone-gateway/keystone-gateway/proxy/memory"

// part is a buffer of what has come behind another one.
type part struct {
	buf []byte
	n   int // bytes in it
}

// add keeps what has come. It needs mu.
func (i *Intake) add(p []byte) bool {
	if len(i.later) == 0 && i.w-i.r+len(p) <= memory.LargeBuffer {
		if !i.room(len(p)) {
			return false
		}
		i.unread += len(p)
		i.w += copy(i.buf[i.w:], p)
		return true
	}
	if len(i.later) == 0 {
		n := copy(i.buf[i.w:], p)
		i.w += n
		i.unread += n
		p = p[n:]
	}
	for len(p) > 0 {
		if last := len(i.later) - 1; last < 0 || i.later[last].n == memory.LargeBuffer {
			if !i.fulfil() {
				return false
			}
			i.later = append(i.later, part{buf: memory.AcquireBuffer(memory.LargeBuffer)})
		}
		last := &i.later[len(i.later)-1]
		n := copy(last.buf[last.n:], p)
		last.n += n
		i.unread += n
		p = p[n:]
	}
	return true
}

// fulfil charges a large buffer, as far as that hasn't been done before it came. It needs
// mu.
func (i *Intake) fulfil() bool {
	done := i.size.Use(memory.LargeBuffer)
	if rest := memory.LargeBuffer - done; rest > 0 && !i.charge.Acquire(rest) {
		i.charge.Release(done)
		return false
	}
	return true
}

// breakPromise gives back what is charged for content that is no longer to come. It
// needs mu.
func (i *Intake) breakPromise() {
	if charged := i.size.Use(MostWindow); charged > 0 {
		i.charge.Release(charged)
	}
}

// advance goes on to what has come behind what was read. It needs mu.
func (i *Intake) advance() {
	if i.r < i.w || len(i.later) == 0 {
		return
	}
	i.free(i.buf)
	i.buf, i.r, i.w = i.later[0].buf, 0, i.later[0].n
	i.later = append(i.later[:0], i.later[1:]...)
}

// room makes room for so many bytes more; it needs mu.
func (i *Intake) room(n int) bool {
	if i.w+n <= len(i.buf) {
		return true
	}
	need := i.w - i.r + n
	if need <= len(i.buf) {
		i.w = copy(i.buf, i.buf[i.r:i.w])
		i.r = 0
		return true
	}
	size := memory.LargeBuffer
	switch {
	case need <= memory.SmallBuffer:
		size = memory.SmallBuffer
	case need <= memory.MediumBuffer:
		size = memory.MediumBuffer
	}
	if !i.charge.Acquire(int64(size)) {
		return false
	}
	buf := memory.AcquireBuffer(size)
	i.w = copy(buf, i.buf[i.r:i.w])
	i.r = 0
	i.free(i.buf)
	i.buf = buf
	return true
}

// returnCredit gives the window back, once half of it has been taken and if more is to
// come: then gave is true. It needs mu, which it lets go meanwhile.
func (i *Intake) returnCredit() (gave bool) {
	if i.unread == 0 {
		i.size.Dry()
	}
	flow := Flow{
		Granted: i.window, Unread: int32(i.unread), //nolint:gosec // G115: it is within the window
		Left: i.left, Charged: int64(len(i.later)) * memory.LargeBuffer,
	}
	if !i.size.Due(flow) || i.ended || i.left == 0 || i.err != nil {
		return false
	}
	n := i.size.Resize(&i.charge, flow)
	if n == 0 {
		return false
	}
	i.window += n
	i.mu.Unlock()
	i.GiveBack(uint32(n)) //nolint:gosec // G115: it is positive
	i.mu.Lock()
	return true
}
