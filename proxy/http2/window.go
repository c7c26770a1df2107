package http2

// MostWindow is the largest window of a stream.
const MostWindow = 512 << 10

// Window is the size of a stream's window: how much the peer may send that nobody has
// read. It follows whoever takes what comes, the gateway's target or its client. Each time
// that as much as the window has been taken it doubles, if there was nothing left to take
// meanwhile: whoever takes is faster than the peer. If there always was, the window is
// halved. It grows only while half of what the owner and the process may hold is free,
// and what may come beyond the first window is charged before the peer may send it.
// Whoever has one guards it.
type Window struct {
	Size  int32
	first int32 // the least, with which it begins
	taken int32 // bytes, since the size was chosen last
	dry   bool  // there was nothing left to take meanwhile
	// promised is charged for what may still come beyond the first window.
	promised int64
}

// Lender is whose memory a window's content takes: a *memory.Charge.
type Lender interface {
	Spares() bool
	AcquireSpare(bytes int64) bool
	Release(bytes int64)
}

// Begin makes w a window of that size, for which nothing is charged.
func (w *Window) Begin(first int32) { *w = Window{Size: first, first: first} }

// Take counts what was taken.
func (w *Window) Take(bytes int) { w.taken += int32(bytes) } //nolint:gosec // G115: it is within the window

// Dry says that there is nothing left to take.
func (w *Window) Dry() { w.dry = true }

// Use takes over what is charged: so many bytes that have come, at most. It returns how
// much that was, which is the caller's to release from now on.
func (w *Window) Use(bytes int64) (charged int64) {
	charged = min(w.promised, bytes)
	w.promised -= charged
	return charged
}

// Flow is how things stand with a stream's content.
type Flow struct {
	Granted int32 // what may still come
	Unread  int32 // what has come, and isn't taken
	Left    int64 // what is to come in all; below 0 where that isn't known
	Charged int64 // what is charged for what has come beyond the first window, but for the window
}

// Due reports whether half of the window has been taken.
func (w *Window) Due(f Flow) bool { return w.Size-f.Granted-f.Unread >= w.Size/2 }

// Resize chooses the size, and has from lend what that takes. It returns what is to be
// granted now, which may be nothing.
func (w *Window) Resize(from Lender, f Flow) (grant int32) {
	size := w.Size
	switch {
	case !from.Spares():
		size = w.first
	case w.taken < w.Size:
	case w.dry:
		size = w.grown(f)
	default:
		size = max(size/2, w.first)
	}
	if w.taken >= w.Size {
		w.taken, w.dry = 0, false
	}
	least := f.Granted + f.Unread // what the peer may send already, it may
	size = max(size, least)
	promise := w.beyond(size, f)
	if promise > w.promised && !from.AcquireSpare(promise-w.promised) {
		size = max(w.first, least)
		promise = min(w.promised, w.beyond(size, f))
	}
	if promise < w.promised {
		from.Release(w.promised - promise)
	}
	w.Size, w.promised = size, promise
	return max(0, size-least)
}

// beyond is what is to be charged for a window of that size, besides what is.
func (w *Window) beyond(size int32, f Flow) int64 { return max(0, int64(size-w.first)-f.Charged) }

// grown is twice the window, as far as that much is to come.
func (w *Window) grown(f Flow) int32 {
	size := min(2*w.Size, MostWindow)
	if rest := int64(f.Unread) + f.Left; f.Left >= 0 && rest < int64(size) {
		size = max(w.Size, int32(rest)) //nolint:gosec // G115: it is less than size
	}
	return size
}
