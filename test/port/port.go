// Package port gives tests ports that stay theirs. It is for tests only.
//
//	address := port.Reserve(t) // "127.0.0.1:…", where nobody listens, until the test ends
package port

import (
	"fmt"
	"syscall"
	"testing"
)

// Reserve returns an address, "127.0.0.1:port", that the system gives to nobody
// else until the test ends. Nobody listens on it, so that connecting is
// refused, except while the test itself, or a program that it starts, listens
// on it by name: on Linux that is possible at any time, as often as it likes.
//
// A port that was free a moment ago isn't good enough: a test that runs at the
// same time may be given it, and serve, or be flooded by, another test's
// requests.
func Reserve(t testing.TB) string {
	t.Helper()
	fd, port, err := bound()
	if err != nil {
		t.Fatalf("cannot reserve a port: %v", err)
	}
	keep(t, fd)
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// bound returns a socket that has a port, but doesn't listen.
func bound() (fd, port int, err error) {
	syscall.ForkLock.RLock()
	fd, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return 0, 0, err
	}
	// A listener, which has the option too, may have the same address.
	err = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	if err == nil {
		err = syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	}
	var name syscall.Sockaddr
	if err == nil {
		name, err = syscall.Getsockname(fd)
	}
	at, ok := name.(*syscall.SockaddrInet4)
	if err != nil || !ok {
		_ = syscall.Close(fd)
		return 0, 0, fmt.Errorf("a socket on the loopback interface has the name %v: %w", name, err)
	}
	return fd, at.Port, nil
}
