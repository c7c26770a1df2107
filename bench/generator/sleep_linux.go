package generator

import (
	"time"

	"golang.org/x/sys/unix"
)

// sleepPrecisely sleeps in the kernel: Go's own timers wake an idle process up
// to a millisecond late here, since epoll counts in milliseconds. That would
// show in every latency.
func sleepPrecisely(d time.Duration) {
	pause := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&pause, nil) // woken early, the pacer sleeps again
}
