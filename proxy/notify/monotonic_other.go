//go:build !linux

package notify

// monotonic has no meaning where systemd doesn't run.
func monotonic() int64 { return 0 }
