//go:build unix

package generator

import (
	"fmt"
	"syscall"
	"time"
)

// spareFiles are those open beside connections.
const spareFiles = 64

// raiseFiles lets the process have as many connections open, or says why it
// can't.
func raiseFiles(connections int) error {
	needed := uint64(connections + spareFiles) //nolint:gosec // both positive
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("cannot read the limit of open files: %w", err)
	}
	if limit.Cur >= needed {
		return nil
	}
	if limit.Max < needed {
		return fmt.Errorf("%d connections need %d open files, the limit is %d: lower -c or raise the limit (ulimit -Hn)", connections, needed, limit.Max)
	}
	limit.Cur = needed
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("cannot raise the limit of open files to %d: %w", needed, err)
	}
	return nil
}

// processorTime is what the process has used so far, user and system.
func processorTime() time.Duration {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
