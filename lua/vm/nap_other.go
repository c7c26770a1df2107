//go:build !linux

package vm

import "time"

// nap sleeps for d.
func nap(d time.Duration) { time.Sleep(d) }
