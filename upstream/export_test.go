package upstream

import "time"

// Marks is how many passive marks there have been.
func (t *Target) Marks() uint64 {
	t.health.mu.Lock()
	defer t.health.mu.Unlock()
	return t.health.marks
}

// Record records a probe that has succeeded and that began after so many marks.
func (t *Target) Record(marks uint64) { t.record(probeResult{end: time.Now()}, marks) }
