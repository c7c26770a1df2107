// Package program writes programs for tests to run. A process that is started while
// one is written has its file open, until it runs another program itself, and as long
// as somebody has it open to write it can't be run ("text file busy"). It is for
// tests only.
//
//	program.Write(t, path, []byte("#!/bin/sh\necho hello\n"))
package program

import (
	"os"
	"syscall"
	"testing"
)

// Write writes a program while this process starts no other.
func Write(t *testing.T, path string, content []byte) {
	t.Helper()
	syscall.ForkLock.RLock()
	err := os.WriteFile(path, content, 0o700) //nolint:gosec // G306: it is a program
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
}
