package port

import (
	"syscall"
	"testing"
)

// keep holds the port until the test ends.
func keep(t testing.TB, fd int) { t.Cleanup(func() { _ = syscall.Close(fd) }) }
