//go:build linux

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// upstreamServer is one loop of the upstream. It is so plain because it must
// cost little beside the cheapest proxy: no goroutines, no allocation for a
// request, bodies dropped without being copied. One goroutine owns it.
type upstreamServer struct {
	epoll     int
	listeners map[int]bool
	conns     []*upstreamConn // by descriptor
	slow      []slowAnswer    // by when they are due
	buffer    []byte
	events    []unix.EpollEvent
}

// slowAnswer is one that is due later, unless the connection has ended.
type slowAnswer struct {
	conn *upstreamConn
	due  time.Time
}

func openUpstream(addresses []string) (*upstreamServer, error) {
	s := &upstreamServer{listeners: map[int]bool{}, buffer: make([]byte, 256<<10), events: make([]unix.EpollEvent, 512)}
	var err error
	if s.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	for _, address := range addresses {
		fd, err := listenUpstream(address)
		if err != nil {
			return nil, err
		}
		s.listeners[fd] = true
		if err := s.watch(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// listenUpstream shares the port with the other loops.
func listenUpstream(address string) (fd int, err error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil || !at.Addr().Is4() {
		return -1, fmt.Errorf("cannot listen at %q: expected an IPv4 address with a port", address)
	}
	if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return -1, err
	}
	for _, option := range []int{unix.SO_REUSEADDR, unix.SO_REUSEPORT} {
		if err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, 1); err != nil {
			return -1, err
		}
	}
	if err = unix.Bind(fd, &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}); err != nil {
		return -1, err
	}
	return fd, unix.Listen(fd, 4096)
}

func (s *upstreamServer) watch(operation, fd int, events uint32) error {
	event := unix.EpollEvent{Events: events, Fd: int32(fd)} //nolint:gosec // G115: the number of an open file
	return unix.EpollCtl(s.epoll, operation, fd, &event)
}

func (s *upstreamServer) run() error {
	for {
		n, err := unix.EpollWait(s.epoll, s.events, s.patience())
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		for i := range max(n, 0) {
			fd := int(s.events[i].Fd)
			if s.listeners[fd] {
				s.accept(fd)
			} else if c := s.conns[fd]; c != nil {
				s.serve(c)
			}
		}
		s.answerSlow(time.Now())
	}
}

// patience is how long may be waited for events, in milliseconds.
func (s *upstreamServer) patience() int {
	if len(s.slow) == 0 {
		return -1
	}
	return int(max(0, time.Until(s.slow[0].due).Milliseconds()+1))
}

func (s *upstreamServer) accept(listener int) {
	for {
		fd, _, err := unix.Accept4(listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			return // none is left, or there are too many: who waits tries again
		}
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		s.adopt(fd)
	}
}

// adopt serves a connection, and closes it in the end.
func (s *upstreamServer) adopt(fd int) {
	for len(s.conns) <= fd {
		s.conns = append(s.conns, nil)
	}
	s.conns[fd] = &upstreamConn{fd: fd}
	if s.watch(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN) != nil {
		s.shut(s.conns[fd])
	}
}

func (s *upstreamServer) shut(c *upstreamConn) {
	s.conns[c.fd] = nil
	c.closed = true
	_ = unix.Close(c.fd)
}

// answerSlow sends what is due by now. All take as long, so that the first is
// always due first.
func (s *upstreamServer) answerSlow(now time.Time) {
	for len(s.slow) > 0 && !s.slow[0].due.After(now) {
		c := s.slow[0].conn
		s.slow[0].conn = nil
		s.slow = s.slow[1:]
		if !c.closed {
			s.send(c, canned)
		}
	}
}
