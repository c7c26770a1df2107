//go:build !linux

package listener

import "syscall"

// defers does nothing; see defer_linux.go.
func defers(string, string, syscall.RawConn) error { return nil }
