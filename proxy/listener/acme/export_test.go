package acme

import "time"

// Wake has Run look at all names now.
func (m *Manager) Wake() { m.look() }

// Quicken shortens the times of locks.
func (d *Directory) Quicken(beat, dead time.Duration) { d.beat, d.dead = beat, dead }

// RetryAfter is retryAfter.
var RetryAfter = retryAfter
