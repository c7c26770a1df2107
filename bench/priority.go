//go:build linux

package main

import (
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// starter starts a program.
type starter func(name, program string, args ...string) (*process, error)

// startPlain is start with the environment that there is.
func (l *lab) startPlain(name, program string, args ...string) (*process, error) {
	return l.start(name, nil, program, args...)
}

// startFirst is start, with a priority that lets the program run as soon as it
// has something to do, as if it had a machine of its own: what it sees of a proxy
// is then the proxy's, and not what it had to wait for a processor itself. It
// should run for little of the time. Where the system allows neither a real-time
// priority nor a high one, a remark says so.
func (l *lab) startFirst(name, program string, args ...string) (p *process, err error) {
	// As in startBound, the child inherits what the thread has, and so do all
	// of its threads.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot read the priority of this thread: %w", err)
	}
	first := &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 2}
	high := &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL, Nice: -19}
	switch {
	case unix.SchedSetAttr(0, first, 0) == nil:
	case unix.SchedSetAttr(0, high, 0) == nil:
		l.remark("%s had a high priority, but no real-time one, which the system refuses: it may have waited for processors", name)
	default:
		l.remark("%s had no priority, which the system refuses: it waited for processors as all others, and the figures say so", name)
		return l.startPlain(name, program, args...)
	}
	defer func() {
		if undo := unix.SchedSetAttr(0, before, 0); undo != nil {
			err = errors.Join(err, fmt.Errorf("cannot give this thread its priority back: %w", undo))
		}
	}()
	return l.startPlain(name, program, args...)
}
