package vm

import "time"

var started = time.Now()

// nanotime is a monotonic clock; it is never 0.
func nanotime() int64 { return int64(time.Since(started)) + 1 }
