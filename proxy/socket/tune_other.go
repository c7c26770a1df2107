//go:build !linux

package socket

import "syscall"

// Tune does nothing; see tune_linux.go.
func Tune(string, string, syscall.RawConn) error { return nil }
