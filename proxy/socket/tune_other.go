//go:build !linux

package socket

// rawUnsent doesn't know; see tune_linux.go.
func rawUnsent(uintptr) int { return -1 }

// boundUnsent does nothing; see tune_linux.go.
func boundUnsent(uintptr) {}
