package listener

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// sleepers are connections that wait in a set of epoll's, besides the one of
// Go's runtime, which needs a goroutine for each.
type sleepers struct {
	file *os.File        // the set; itself watched by Go's runtime
	set  syscall.RawConn // of file

	mu   sync.Mutex
	beds []bed // by descriptor; guarded by mu
}

// bed is empty where its descriptor has no sleeper.
type bed struct {
	conn    *Conn
	sleeper Sleeper
}

// WakeSleepers serves Conn.Sleep until ctx is done; sleepers are not woken by
// its end. It returns at once where the system can't do it.
func (l *Listener) WakeSleepers(ctx context.Context) error {
	s, err := newSleepers()
	if err != nil {
		return err
	}
	l.sleepers.Store(s)
	defer l.sleepers.Store(nil)
	defer func() { _ = s.file.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = s.file.Close() })
	defer stop()
	for ctx.Err() == nil {
		if err := s.wake(); err != nil && ctx.Err() == nil {
			return fmt.Errorf("cannot watch sleeping connections: %w", err)
		}
	}
	return nil
}

func newSleepers() (*sleepers, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("cannot watch sleeping connections: %w", os.NewSyscallError("epoll_create1", err))
	}
	if err := unix.SetNonblock(epoll, true); err != nil { // or Go would keep a thread for it
		_ = unix.Close(epoll)
		return nil, fmt.Errorf("cannot watch sleeping connections: %w", os.NewSyscallError("fcntl", err))
	}
	s := &sleepers{file: os.NewFile(uintptr(epoll), "sleepers")}
	if s.set, err = s.file.SyscallConn(); err != nil {
		_ = s.file.Close()
		return nil, fmt.Errorf("cannot watch sleeping connections: %w", err)
	}
	return s, nil
}

// wake waits until some can be read, and wakes them.
func (s *sleepers) wake() error {
	var events [128]unix.EpollEvent
	n, failed := 0, error(nil)
	err := s.set.Read(func(set uintptr) bool {
		n, failed = unix.EpollWait(int(set), events[:], 0)
		return n > 0 || failed != nil
	})
	if err != nil {
		return err
	}
	if failed != nil && failed != unix.EINTR {
		return os.NewSyscallError("epoll_wait", failed)
	}
	for i := range max(n, 0) {
		if sleeper := s.rouse(int(events[i].Fd)); sleeper != nil {
			sleeper.Wake()
		}
	}
	return nil
}

// rouse takes out who sleeps on that descriptor. That may be another one than
// the event was about, if it was closed meanwhile; that one finds nothing to
// read then, and waits.
func (s *sleepers) rouse(fd int) Sleeper {
	s.mu.Lock()
	defer s.mu.Unlock()
	if fd >= len(s.beds) {
		return nil
	}
	sleeper := s.beds[fd].sleeper
	s.beds[fd] = bed{}
	return sleeper
}

func (s *sleepers) add(c *Conn, sleeper Sleeper) error {
	var failed error
	number := -1
	err := c.Sock.Control(func(fd uintptr) {
		number = int(fd)
		again := c.slept.Swap(true)
		s.put(int(fd), bed{c, sleeper})
		err := s.set.Control(func(set uintptr) { failed = watch(int(set), int(fd), again) })
		failed = errors.Join(err, failed)
	})
	if err = errors.Join(err, failed); err == nil && c.closed.Load() { // perhaps before there was something to remove
		err = net.ErrClosed
	}
	if err != nil {
		s.forget(number, c)
	}
	return err
}

func (s *sleepers) put(fd int, b bed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if missing := fd + 1 - len(s.beds); missing > 0 {
		s.beds = append(s.beds, make([]bed, missing)...)
	}
	s.beds[fd] = b
}

// remove forgets a sleeper whose descriptor is still open.
func (s *sleepers) remove(c *Conn) {
	_ = c.Sock.Control(func(fd uintptr) { s.forget(int(fd), c) })
}

// forget takes c out of its bed, if it is still its own.
func (s *sleepers) forget(fd int, c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if fd >= 0 && fd < len(s.beds) && s.beds[fd].conn == c {
		s.beds[fd] = bed{}
	}
}

// watch asks for one event. A descriptor stays in the set until it is closed.
func watch(set, fd int, again bool) error {
	operation := unix.EPOLL_CTL_ADD
	if again {
		operation = unix.EPOLL_CTL_MOD
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLONESHOT, Fd: int32(fd)} //nolint:gosec // G115: descriptors are small
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(set, operation, fd, &event))
}
