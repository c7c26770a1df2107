//go:build !linux

package generator

import "time"

// sleepPrecisely sleeps; where there is no epoll, Go's timers are good enough.
func sleepPrecisely(d time.Duration) { time.Sleep(d) }
