//go:build linux

package main

import (
	"slices"
	"strings"
)

// collapse makes one frame of what Go's runtime and the system do for a
// function, so that a graph shows for what and not how: runtime.alloc,
// runtime.gc, runtime.scheduler, runtime.stack, or the runtime's function that
// was called; and syscall.NAME in the place of all below a system call. The
// stack's root comes first.
func collapse(stack []string) []string {
	var out []string
	for i := 0; i < len(stack); {
		if isSyscall(stack[i:]) {
			return append(out, syscallName(stack, i))
		}
		if !isRuntime(stack[i]) {
			out = append(out, stack[i])
			i++
			continue
		}
		end := i + 1
		for end < len(stack) && isRuntime(stack[end]) && !isSyscall(stack[end:]) {
			end++
		}
		out = append(out, runtimeFrames(stack[i:end], end == len(stack))...)
		i = end
	}
	return out
}

// isSyscall reports whether a stack begins with a function of a package of
// system calls that makes one: these packages do other things too.
func isSyscall(stack []string) bool {
	return inSyscallPackage(stack[0]) && slices.ContainsFunc(stack, isBareSyscall)
}

func inSyscallPackage(name string) bool {
	return strings.HasPrefix(name, "syscall.") || strings.HasPrefix(name, "golang.org/x/sys/unix.") ||
		strings.HasPrefix(name, "internal/runtime/syscall") || strings.HasPrefix(name, "internal/syscall/unix.")
}

// isBareSyscall reports whether a function makes the system call that it is
// told to, so that its name doesn't say which.
func isBareSyscall(name string) bool {
	if !inSyscallPackage(name) {
		return false
	}
	switch strings.TrimPrefix(strings.ToLower(functionOf(name)), "raw") {
	case "syscall", "syscall6", "syscallnoerror", "vforksyscall":
		return true
	}
	return false
}

// syscallName finds the name of the call that stack makes at i: that of the
// first function which has one, or else of the caller, as in rawRead.
func syscallName(stack []string, i int) string {
	for _, name := range stack[i:] {
		if inSyscallPackage(name) && !isBareSyscall(name) {
			return "syscall." + strings.ToLower(functionOf(name))
		}
	}
	if i == 0 {
		return "syscall.unknown"
	}
	return "syscall." + strings.TrimPrefix(strings.ToLower(functionOf(stack[i-1])), "raw")
}

// functionOf is a function's name without package and receiver.
func functionOf(name string) string {
	if i := strings.IndexByte(name, '['); i >= 0 {
		name = name[:i] // type parameters have dots
	}
	return name[strings.LastIndexByte(name, '.')+1:]
}

func isRuntime(name string) bool {
	return strings.HasPrefix(name, "runtime.") || strings.HasPrefix(name, "internal/runtime/")
}

// plumbing stands between goroutines or stacks and what runs on them.
var plumbing = []string{"goexit", "main", "systemstack", "mcall", "mstart", "mstart0", "mstart1", "morestack", "rt0_go"}

// runtimeCalls are the system calls that the runtime makes itself.
var runtimeCalls = []string{"futex", "usleep", "osyield", "madvise", "sysMmap", "mmap", "munmap", "tgkill", "write1", "read", "nanosleep", "timer_settime"}

// runtimeWork says by the start of a function's name what the runtime does in
// it and below. The collector comes first: it also works for who allocates.
var runtimeWork = []struct {
	work   string
	starts []string
}{
	{"gc", []string{"gcBgMark", "gcDrain", "gcStart", "gcMark", "gcAssist", "gcSweep", "gcWriteBarrier", "(*gcWork)",
		"bgsweep", "bgscavenge", "sweepone", "deductSweepCredit", "wbBufFlush", "scanobject", "greyobject", "(*sweepLocked)"}},
	{"alloc", []string{"mallocgc", "newobject", "newarray", "makeslice", "growslice", "makemap", "makechan",
		"rawstring", "rawbyteslice", "(*mcache)", "(*mheap)"}},
	{"stack", []string{"newstack", "copystack"}},
	{"scheduler", []string{"schedule", "findRunnable", "park_m", "gopark", "goready", "ready", "gosched", "goschedImpl",
		"gopreempt_m", "goexit0", "wakep", "startm", "stopm", "netpoll", "sysmon", "retake", "injectglist", "newproc",
		"entersyscall", "exitsyscall", "reentersyscall", "semasleep", "semawakeup"}},
}

// runtimeFrames are the frames for a part of a stack that is the runtime's; last
// if nothing follows it. Only plumbing leaves none, unless it is all there is.
func runtimeFrames(part []string, last bool) []string {
	named := slices.DeleteFunc(slices.Clone(part), func(name string) bool {
		return slices.Contains(plumbing, strings.TrimPrefix(name, "runtime."))
	})
	if len(named) == 0 {
		if last {
			return part[len(part)-1:]
		}
		return nil
	}
	var frames []string
	if work := workOf(named); work != "" {
		frames = append(frames, "runtime."+work)
	}
	leaf := strings.TrimPrefix(named[len(named)-1], "runtime.")
	switch {
	case slices.Contains(runtimeCalls, leaf):
		frames = append(frames, "syscall."+strings.ToLower(leaf))
	case len(frames) == 0:
		frames = append(frames, named[0])
	}
	return frames
}

// workOf is what a part of a stack works on, "" if that isn't known.
func workOf(part []string) string {
	for _, kind := range runtimeWork {
		for _, name := range part {
			function := strings.TrimPrefix(name, "runtime.")
			if slices.ContainsFunc(kind.starts, func(start string) bool { return strings.HasPrefix(function, start) }) {
				return kind.work
			}
		}
	}
	return ""
}
