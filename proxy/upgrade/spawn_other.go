//go:build !linux

package upgrade

import "syscall"

// child is a process that was started.
type child struct{ pid int }

func spawn(program Program, environment []string, files []uintptr) (child, error) {
	pid, _, err := syscall.StartProcess(program.Path, program.Args, &syscall.ProcAttr{Env: environment, Files: files, Sys: &syscall.SysProcAttr{Setpgid: true}})
	if err == nil {
		go func() { _, _ = syscall.Wait4(pid, nil, 0, nil) }() // ends with either process
	}
	return child{pid}, err
}

func (c child) signal(signal syscall.Signal) error { return syscall.Kill(c.pid, signal) }

// endsBefore doesn't know: the end of the connection to the process must do.
func (child) endsBefore(stop <-chan struct{}) bool { <-stop; return false }

func (c child) kill() { _ = syscall.Kill(-c.pid, syscall.SIGKILL) }

func (child) release() {}
