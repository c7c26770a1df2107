package upgrade

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// child is a process that was started.
type child struct{ pid, pidfd int }

// spawn starts a process as a child of this one's parent: that has to know when it
// ends, and this one ends long before.
func spawn(program Program, environment []string, files []uintptr) (child, error) {
	c := child{pidfd: -1}
	attributes := &syscall.ProcAttr{
		Env: environment, Files: files,
		Sys: &syscall.SysProcAttr{Cloneflags: syscall.CLONE_PARENT, PidFD: &c.pidfd},
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

func (c child) release() { _ = unix.Close(c.pidfd) }
