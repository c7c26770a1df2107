//go:build !linux

package socket

// boundUnsent does nothing; see tune_linux.go.
func boundUnsent(uintptr) {}
