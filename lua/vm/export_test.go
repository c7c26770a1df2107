package vm

// Pay is pay.
func (l *Ledger) Pay(bytes, now int64) int64 { return l.pay(bytes, now) }

// Processors is how many long runs may run at once.
func Processors() int { return cap(processors) }
