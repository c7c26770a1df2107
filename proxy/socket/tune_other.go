//go:build !linux

package socket

import "syscall"

// tune does nothing; see tune_linux.go.
func tune(syscall.RawConn) error { return nil }
