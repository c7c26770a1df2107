package upgrade

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// child is a process that was started.
type child struct{ pid, pidfd int }

// spawn starts a process as a child of this one's parent: that has to know when it
// ends, and this one ends long before. It is in a group of its own until it takes over,
// so that it can be ended with all that it has started.
func spawn(program Program, environment []string, files []uintptr) (child, error) {
	c := child{pidfd: -1}
	attributes := &syscall.ProcAttr{
		Env: environment, Files: files,
		Sys: &syscall.SysProcAttr{Cloneflags: syscall.CLONE_PARENT, PidFD: &c.pidfd, Setpgid: true},
	}
	var err error
	c.pid, _, err = syscall.StartProcess(program.Path, program.Args, attributes) //nolint:gosec // G204: it is this program
	return c, err
}

// signal reaches that process and no other that has got its number since.
func (c child) signal(signal syscall.Signal) error {
	if c.pidfd < 0 { // an older kernel's
		return syscall.Kill(c.pid, signal)
	}
	return unix.PidfdSendSignal(c.pidfd, signal, nil, 0)
}

// endsBefore reports whether the process ends before stop does, however many others
// have its descriptors.
func (c child) endsBefore(stop <-chan struct{}) bool {
	if c.pidfd < 0 { // the end of the connection to it must do
		<-stop
		return false
	}
	for {
		select {
		case <-stop:
			return false
		default:
		}
		fds := []unix.PollFd{{Fd: int32(c.pidfd), Events: unix.POLLIN}} //nolint:gosec // G115: a descriptor
		if n, err := unix.Poll(fds, endLook); err == nil && n > 0 {
			return true
		}
	}
}

// endLook is how long endsBefore waits at a time, in milliseconds.
const endLook = 20

// wholeGroup is PIDFD_SIGNAL_PROCESS_GROUP, of Linux 6.9 and later.
const wholeGroup = 4

// kill ends the process with its group, in which may be what it has started, even
// where it has ended itself.
func (c child) kill() {
	if c.pidfd >= 0 && unix.PidfdSendSignal(c.pidfd, unix.SIGKILL, nil, wholeGroup) == nil {
		return
	}
	_ = syscall.Kill(-c.pid, syscall.SIGKILL) // no other group has its number while there is anybody in it
	_ = c.signal(syscall.SIGKILL)
}

func (c child) release() { _ = unix.Close(c.pidfd) }
