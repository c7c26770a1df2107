package vm

// A slice is the instructions between two looks at the clock and at who else
// waits for the lock. An instruction of the engine's can't be interrupted, and
// some take longer the larger their operands are: comparing two strings of
// 1 MiB takes 1.4 ms, and so does looking for one in nine tables that are
// each other's __index. Which instructions those are doesn't matter: a slice is
// so short that it takes no longer than maxSlice if all its instructions are of
// that kind and have the largest value that the VM was ever given. Where costs
// grow in other ways, the slices get shorter as they get slower.
const (
	slice      = 64            // instructions, at most
	largeValue = 48 << 10      // bytes, from which on slices are shorter
	maxSlice   = int64(5e6)    // nanoseconds
	slowSlice  = maxSlice / 10 // nanoseconds, from which on the next slice is shorter
)

// sliceFor is the length of slices for the largest value: 1.5 ns a byte.
func sliceFor(largest int64) int64 {
	return max(1, min(slice, maxSlice*2/3/max(largest, 1)))
}

// noteLargest notes a large value. The lock is held.
func (l *Lock) noteLargest(bytes int64) {
	if bytes > l.largest {
		l.largest, l.slice = bytes, sliceFor(bytes)
	}
}

// noteLargest notes a large value, and has the clock looked at before anything is done
// with it.
func (r *Run) noteLargest(bytes int64) {
	r.largest = bytes
	r.lock.noteLargest(bytes)
	r.slice = min(r.slice, r.lock.slice)
	r.hurry()
}

// resume starts the clock when the run has the lock again. The VM may have been
// measured meanwhile, or have met larger values.
func (r *Run) resume() {
	r.lock.noteLargest(r.largest)
	if r.slice > r.lock.slice {
		r.slice = r.lock.slice
		r.hurry()
	}
	r.since = nanotime()
}

// adapt sets the length of the next slice by how long the last one took.
func (r *Run) adapt(took int64) {
	if took > slowSlice {
		r.slice = max(1, r.slice*slowSlice/took)
		return
	}
	r.slice = min(2*r.slice, r.lock.slice)
}
