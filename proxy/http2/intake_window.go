package http2

import "github.com/keystone-gateway/keystone-gateway/proxy/memory"

// MostWindow is the largest window of a stream. It begins with FirstWindow. Each time
// that as much as the window has been taken it doubles, if there was nothing left to take
// meanwhile: whoever takes is faster than the peer. If there always was, the window is
// halved. It grows only while half of what the owner and the process may hold is free,
// and what may come beyond the first window is charged before the peer may send it.
const MostWindow = 512 << 10

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
	done := min(i.promised, memory.LargeBuffer)
	if rest := memory.LargeBuffer - done; rest > 0 && !i.charge.Acquire(rest) {
		return false
	}
	i.promised -= done
	return true
}

// breakPromise gives back what is charged for content that is no longer to come. It
// needs mu.
func (i *Intake) breakPromise() {
	if i.promised > 0 {
		i.charge.Release(i.promised)
		i.promised = 0
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
	i.dry = i.dry || i.unread == 0
	unread := int32(i.unread) //nolint:gosec // G115: it is within the window
	if i.size-i.window-unread < i.size/2 || i.ended || i.left == 0 || i.err != nil {
		return false
	}
	i.resize(unread)
	n := i.size - i.window - unread
	if n <= 0 {
		return false
	}
	i.window += n
	i.mu.Unlock()
	i.GiveBack(uint32(n))
	i.mu.Lock()
	return true
}

// resize has the window follow whoever takes what comes. It needs mu.
func (i *Intake) resize(unread int32) {
	size := i.size
	switch {
	case !i.charge.Spares():
		size = FirstWindow
	case i.cycle < i.size:
	case i.dry:
		size = i.grown()
	default:
		size = max(size/2, FirstWindow)
	}
	if i.cycle >= i.size {
		i.cycle, i.dry = 0, false
	}
	least := i.window + unread // what the client may send already, it may
	size = max(size, least)
	promise := i.beyond(size)
	if promise > i.promised && !i.charge.AcquireSpare(promise-i.promised) {
		size = max(FirstWindow, least)
		promise = min(i.promised, i.beyond(size))
	}
	if promise < i.promised {
		i.charge.Release(i.promised - promise)
	}
	i.size, i.promised = size, promise
}

// beyond is what is to be charged for a window of that size, besides the buffers that
// there are. It needs mu.
func (i *Intake) beyond(size int32) int64 {
	return max(0, int64(size-FirstWindow)-int64(len(i.later))*memory.LargeBuffer)
}

// grown is twice the window, as far as that much is to come. It needs mu.
func (i *Intake) grown() int32 {
	size := min(2*i.size, MostWindow)
	if rest := int64(i.unread) + i.left; i.left >= 0 && rest < int64(size) {
		size = max(i.size, int32(rest)) //nolint:gosec // G115: it is less than size
	}
	return size
}
