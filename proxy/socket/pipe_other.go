//go:build !linux

package socket

import "syscall"

// create fails: only Linux has splice. Bodies are copied.
func (p *Pipe) create() bool { return false }

func (p *Pipe) close() {}

func rawSplice(_, _, _ int) int { return -int(syscall.ENOSYS) }
