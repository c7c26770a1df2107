//go:build linux

package main

import (
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// cpusFor divides the processors that bench may use. With one core the proxy
// gets the last of them, and everybody else the rest; where there is only one,
// they share it. With more cores all of them are everybody's, and it is the
// proxy's own settings that keep it to so many threads.
func (*lab) cpusFor(cores int) (proxy, others []int) {
	all := allowedCPUs()
	if cores > 1 || len(all) == 1 {
		return all, all
	}
	last := len(all) - 1
	return all[last:], all[:last]
}

// allowedCPUs lists the processors that this process is bound to, at least
// one: a container or taskset may have taken some away.
func allowedCPUs() (cpus []int) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err == nil {
		for cpu := range len(set) * 64 {
			if set.IsSet(cpu) {
				cpus = append(cpus, cpu)
			}
		}
	}
	if len(cpus) == 0 {
		for cpu := range runtime.NumCPU() {
			cpus = append(cpus, cpu)
		}
	}
	return cpus
}

// startBound is start, on some processors only, with all that the program
// starts itself.
func (l *lab) startBound(name string, cpus []int, env []string, program string, args ...string) (p *process, err error) {
	var before, during unix.CPUSet
	for _, cpu := range cpus {
		during.Set(cpu)
	}
	// A child inherits the affinity of the thread that makes it. So it is
	// bound before its first instruction, and so is every thread it makes: a
	// runtime that counts processors when it starts counts these.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return nil, fmt.Errorf("cannot read the processors of this thread: %w", err)
	}
	if err := unix.SchedSetaffinity(0, &during); err != nil {
		return nil, fmt.Errorf("cannot bind %s to processors %v: %w", name, cpus, err)
	}
	defer func() {
		if undo := unix.SchedSetaffinity(0, &before); undo != nil {
			err = errors.Join(err, fmt.Errorf("cannot release this thread from processors %v: %w", cpus, undo))
		}
	}()
	return l.start(name, env, program, args...)
}
