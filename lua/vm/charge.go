package vm

import (
	"fmt"

	glua "github.com/yuin/gopher-lua"
)

// Charge counts bytes that a function is about to allocate for the script, and
// raises an error instead if they are more than the run may have.
func (r *Run) Charge(L *glua.LState, bytes int) {
	if n := int64(bytes); n > largeValue && n > r.largest {
		r.noteLargest(n)
	}
	r.charge(L, int64(bytes))
}

// ChargeString is Charge for a string of so many bytes, which may be too long.
func (r *Run) ChargeString(L *glua.LState, bytes int) {
	r.CheckString(L, bytes)
	r.Charge(L, bytes+stringSize)
}

// CheckString raises an error if a string of so many bytes would be too long.
func (r *Run) CheckString(L *glua.LState, bytes int) {
	if most := r.MaxString(); bytes > most {
		L.RaiseError("resulting string too large: %d bytes, expected at most %d", bytes, most)
	}
}

// MaxString is how many bytes a string may have.
func (r *Run) MaxString() int {
	if r.limits.String > 0 {
		return int(r.limits.String)
	}
	return 1 << 30
}

// stringSize is what a string takes besides its bytes.
const stringSize = 16

// ChargeItems is Charge for n things of so many bytes each.
func (r *Run) ChargeItems(L *glua.LState, n, bytes int) { r.charge(L, int64(n)*int64(bytes)) }

func (r *Run) charge(L *glua.LState, n int64) {
	if r.limits.Memory > 0 && n > r.limits.Memory-r.memory {
		r.Fail(L, OutOfMemory, fmt.Sprintf("lua.max_memory %s is used up", size(r.limits.Memory)))
	}
	if loader := r.limits.Loader; loader != nil {
		if why := loader.Lend(n); why != nil {
			r.Fail(L, why.Reason, why.Limit)
		}
	}
	if r.memory += n; r.large() {
		r.hurry()
	}
	if l := r.lock.ledger; l.used.Add(n) > l.limit && l.limit > 0 {
		r.Fail(L, OutOfVMMemory, fmt.Sprintf("lua.max_vm_memory %s is used up by the requests in flight", size(l.limit)))
	}
}

// Spend counts work of a Go function as instructions: about 20 ns each. It
// raises an error when they are used up, and lets others have the lock.
func (r *Run) Spend(L *glua.LState, instructions int) {
	if r.fuse -= int64(instructions); r.fuse < 0 && r.slow() != nil {
		r.Rethrow(L)
	}
}
