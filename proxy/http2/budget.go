package http2

// Budget bounds how often something happens: so often at once, and so often a second
// over time. Its zero value has had nothing. It isn't safe for concurrent use.
type Budget struct {
	used int64 // in nanoseconds of the rate's time
	last int64
}

// Allowance is what a Budget is held to.
type Allowance struct {
	Burst, PerSecond int64
}

// Take counts one more at that time (socket.Nanotime). It reports whether that is
// within the allowance.
func (b *Budget) Take(now int64, a Allowance) bool {
	const second = int64(1e9)
	cost := second / a.PerSecond
	b.used = max(0, b.used-(now-b.last)) + cost
	b.last = now
	if b.used > a.Burst*cost {
		b.used -= cost
		return false
	}
	return true
}

// GiveBack allows so many more.
func (b *Budget) GiveBack(n int64, a Allowance) {
	b.used = max(0, b.used-n*(int64(1e9)/a.PerSecond))
}
