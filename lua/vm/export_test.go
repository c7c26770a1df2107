package vm

// Pay is pay.
func (l *Ledger) Pay(bytes, now int64) int64 { return l.pay(bytes, now) }
