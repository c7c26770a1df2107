// Package memory counts the bytes that requests hold: for whom, and within
// limits. It allocates nothing itself. Whoever is about to allocate for a
// client, a target or a script asks a Charge first, and tells it when that
// memory has gone; so a charge lives as long as the memory.
//
//	charge.Begin(account)
//	if charge.Acquire(n) {
//		… // n bytes are used
//		charge.Release(n)
//	}
//
// It counts what requests hold outside of Lua: what scripts hold is counted by
// their VMs.
package memory

import "sync/atomic"

// Process is what all accounts of a process hold together. Its methods may be
// called concurrently.
type Process struct {
	used    atomic.Int64
	ceiling atomic.Int64 // 0 is none
}

// SetCeiling changes how much all accounts may hold; 0 is no ceiling.
func (p *Process) SetCeiling(bytes int64) { p.ceiling.Store(bytes) }

// Ceiling returns how much all accounts may hold; 0 is no ceiling.
func (p *Process) Ceiling() int64 { return p.ceiling.Load() }

// Used returns what all accounts hold.
func (p *Process) Used() int64 { return p.used.Load() }

const (
	// LightShare of the ceiling is what an account may hold, whatever the others
	// do: who holds less is never refused for what somebody else holds.
	LightShare = 64
	// reserveShare of the ceiling is how far light accounts may go beyond it.
	reserveShare = 4
)

// grant counts bytes of an account that holds so much with them.
func (p *Process) grant(bytes, held int64) bool {
	total, ceiling := p.used.Add(bytes), p.ceiling.Load()
	if ceiling <= 0 || total <= ceiling {
		return true
	}
	if held <= ceiling/LightShare && total <= ceiling+ceiling/reserveShare {
		return true
	}
	p.used.Add(-bytes)
	return false
}

// Account is what the requests of one tenant hold, or what connections hold
// that belong to none yet. Its methods may be called concurrently.
type Account struct {
	process  *Process
	used     atomic.Int64
	limit    atomic.Int64 // 0 is none
	shedding atomic.Bool
	refused  atomic.Uint64
}

// Open sets the account of a process up, before it is used.
func (a *Account) Open(p *Process) { a.process = p }

// SetLimit changes how much the account may hold; 0 is no limit.
func (a *Account) SetLimit(bytes int64) { a.limit.Store(bytes) }

// Limit returns how much the account may hold; 0 is no limit.
func (a *Account) Limit() int64 { return a.limit.Load() }

// Used returns what the account holds.
func (a *Account) Used() int64 { return a.used.Load() }

// Refused counts what was asked for in vain.
func (a *Account) Refused() uint64 { return a.refused.Load() }

// SetShedding has requests get no more memory until it is unset.
func (a *Account) SetShedding(on bool) { a.shedding.Store(on) }

// Shedding reports whether requests get no more memory.
func (a *Account) Shedding() bool { return a.shedding.Load() }

// Allows reports whether there is room for so many bytes.
func (a *Account) Allows(bytes int64) bool {
	limit := a.limit.Load()
	return limit <= 0 || a.used.Load()+bytes <= limit
}

// spares reports whether half of every limit is left with so many bytes more.
func (a *Account) spares(bytes int64) bool {
	limit, ceiling := a.limit.Load(), a.process.ceiling.Load()
	return !a.shedding.Load() && (limit <= 0 || a.used.Load()+bytes <= limit/2) && (ceiling <= 0 || a.process.used.Load()+bytes <= ceiling/2)
}

// acquire counts bytes if the limits allow it.
func (a *Account) acquire(bytes int64) bool {
	used, limit := a.used.Add(bytes), a.limit.Load()
	if (limit <= 0 || used <= limit) && a.process.grant(bytes, used) {
		return true
	}
	a.used.Add(-bytes)
	a.refused.Add(1)
	return false
}

// Hold counts memory that is there already, whatever the limits.
func (a *Account) Hold(bytes int64) {
	a.used.Add(bytes)
	a.process.used.Add(bytes)
}

// Release gives back what was held.
func (a *Account) Release(bytes int64) { a.Hold(-bytes) }

// Charge is what one request holds, on the account of its tenant, or on that of
// connections until that is known. Acquire, Release and Held may be called
// concurrently, but not with the other methods.
type Charge struct {
	account atomic.Pointer[Account]
	held    atomic.Int64
}

// Begin puts the charge, which holds nothing, on an account.
func (c *Charge) Begin(a *Account) { c.account.Store(a) }

// On reports whether the charge is on that account. It may be called at any
// time.
func (c *Charge) On(a *Account) bool { return c.account.Load() == a }

// Move puts the charge on another account, with so many bytes more. It reports
// whether the limits allow it; if not, nothing has changed.
func (c *Charge) Move(to *Account, more int64) bool {
	from, held := c.account.Load(), c.held.Load()
	if !to.acquire(held + more) {
		return false
	}
	if held != 0 {
		from.Release(held)
	}
	c.account.Store(to)
	c.held.Add(more)
	return true
}

// Follow puts the charge on the account that another one is on, as Move does.
func (c *Charge) Follow(other *Charge) bool { return c.Move(other.account.Load(), 0) }

// End releases all but so many bytes, which stay on that account.
func (c *Charge) End(to *Account, left int64) {
	if held := c.held.Swap(left); held != 0 {
		c.account.Load().Release(held)
	}
	if left != 0 {
		to.Hold(left)
	}
	c.account.Store(to)
}

// Acquire counts memory that is about to be allocated. It reports whether the
// limits allow it; if not, nothing is counted.
func (c *Charge) Acquire(bytes int64) bool {
	account := c.account.Load()
	if account.shedding.Load() {
		account.refused.Add(1)
		return false
	}
	if !account.acquire(bytes) {
		return false
	}
	c.held.Add(bytes)
	return true
}

// Spares reports whether half of what the account, and all of them, may hold is free.
func (c *Charge) Spares() bool { return c.account.Load().spares(0) }

// AcquireSpare is Acquire of memory that can be done without: it is refused where less
// than half of what may be held would be left.
func (c *Charge) AcquireSpare(bytes int64) bool {
	return c.account.Load().spares(bytes) && c.Acquire(bytes)
}

// Release says that memory has gone.
func (c *Charge) Release(bytes int64) {
	c.account.Load().Release(bytes)
	c.held.Add(-bytes)
}

// Held returns what is held now.
func (c *Charge) Held() int64 { return c.held.Load() }

// leastBuffer is what Grow allocates first.
const leastBuffer = 4 << 10

// Grow returns a buffer with the content of b and room for more: twice as much,
// within most. It is nil if the limits don't allow it; b is then as it was.
// Charged is cap(b).
func (c *Charge) Grow(b []byte, most int64) []byte {
	size := min(max(2*int64(cap(b)), leastBuffer), most)
	if !c.Acquire(size) {
		return nil
	}
	grown := append(make([]byte, 0, size), b...)
	c.Release(int64(cap(b))) // which goes now
	return grown
}
