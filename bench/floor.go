//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// forwarderCommand makes bench a forwarder that parses nothing: the floor,
// below which no proxy on these system calls can get.
const forwarderCommand = "forwarder"

func findForwarder(context.Context, *lab) (string, error) {
	return "epoll forwarder that parses nothing, in bench itself", nil
}

func startForwarder(ctx context.Context, l *lab, w *work) (*target, error) {
	return l.selfPeer(ctx, w, peerForwarder, forwarderCommand)
}

// forwarder is one thread's loop, with connections of its own. Each
// connection from a client has one to a target, and bytes are copied both ways.
type forwarder struct {
	epoll, listener int
	targets         [2]*unix.SockaddrInet4
	turn            int
	ends            []*end // by descriptor
	buffer          [64 << 10]byte
}

// end is one of the two connections of a pair.
type end struct {
	fd      int
	other   *end
	pending []byte // that could not be written yet; other isn't read meanwhile
}

// runForwarder forwards until ctx is done, with one loop a core. Its arguments
// are those of selfPeer.
func runForwarder(ctx context.Context, args []string) error {
	if len(args) != 4 {
		return errors.New("expected an address, the two of the upstream, and the number of cores")
	}
	cores, err := strconv.Atoi(args[3])
	if err != nil || cores < 1 || cores > 1024 {
		return fmt.Errorf("expected a number of cores from 1 to 1024, got %q", args[3])
	}
	var addresses [3]*unix.SockaddrInet4
	for i := range addresses {
		address, err := netip.ParseAddrPort(args[i])
		if err != nil || !address.Addr().Is4() {
			return fmt.Errorf("expected an IPv4 address with a port, got %q", args[i])
		}
		addresses[i] = &unix.SockaddrInet4{Port: int(address.Port()), Addr: address.Addr().As4()}
	}
	ended := make(chan error, cores)
	for range cores {
		f, err := newForwarder(addresses[0], [2]*unix.SockaddrInet4{addresses[1], addresses[2]})
		if err != nil {
			return err
		}
		go func() { ended <- f.run(ctx) }()
	}
	return <-ended
}

func newForwarder(address *unix.SockaddrInet4, targets [2]*unix.SockaddrInet4) (*forwarder, error) {
	f := &forwarder{targets: targets, ends: make([]*end, 1024)}
	var err error
	if f.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("cannot make an epoll: %w", err)
	}
	if f.listener, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return nil, fmt.Errorf("cannot make a socket: %w", err)
	}
	for _, option := range []int{unix.SO_REUSEADDR, unix.SO_REUSEPORT} { // a listener for each loop
		if err := unix.SetsockoptInt(f.listener, unix.SOL_SOCKET, option, 1); err != nil {
			return nil, fmt.Errorf("cannot share the address: %w", err)
		}
	}
	if err := unix.Bind(f.listener, address); err != nil {
		return nil, fmt.Errorf("cannot bind to port %d: %w", address.Port, err)
	}
	if err := unix.Listen(f.listener, 4096); err != nil {
		return nil, fmt.Errorf("cannot listen on port %d: %w", address.Port, err)
	}
	return f, f.watch(unix.EPOLL_CTL_ADD, f.listener, unix.EPOLLIN)
}

func (f *forwarder) run(ctx context.Context) error {
	runtime.LockOSThread()
	events := make([]unix.EpollEvent, 256)
	for ctx.Err() == nil {
		n, err := unix.EpollWait(f.epoll, events, 250)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("cannot wait for connections: %w", err)
		}
		for i := range max(n, 0) {
			fd := int(events[i].Fd)
			if fd == f.listener {
				f.acceptAll()
			} else if e := f.ends[fd]; e != nil {
				f.serve(e, events[i].Events)
			}
		}
	}
	return nil
}

// acceptAll pairs every new connection with one to the next target.
func (f *forwarder) acceptAll() {
	for {
		client, _, err := unix.Accept4(f.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			return // none is left, or no descriptor: the next event tries again
		}
		target, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			_ = unix.Close(client)
			return
		}
		one, two := &end{fd: client}, &end{fd: target}
		one.other, two.other = two, one
		f.keep(one)
		f.keep(two)
		f.turn++
		if err := unix.Connect(target, f.targets[f.turn%2]); err != nil && !errors.Is(err, unix.EINPROGRESS) {
			f.drop(one)
			continue
		}
		for _, e := range []*end{one, two} {
			_ = unix.SetsockoptInt(e.fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
			_ = f.watch(unix.EPOLL_CTL_ADD, e.fd, unix.EPOLLIN) // fails for want of memory only
		}
	}
}

func (f *forwarder) keep(e *end) {
	for e.fd >= len(f.ends) {
		f.ends = append(f.ends, make([]*end, len(f.ends))...)
	}
	f.ends[e.fd] = e
}

// drop closes a pair, which ends its events too.
func (f *forwarder) drop(e *end) {
	for _, e := range []*end{e, e.other} {
		f.ends[e.fd] = nil
		_ = unix.Close(e.fd)
	}
}

func (f *forwarder) watch(operation, fd int, events uint32) error {
	return unix.EpollCtl(f.epoll, operation, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)}) //nolint:gosec // G115: a descriptor
}

// serve does what an event allows. With level-triggered events, what is left
// of it comes again.
func (f *forwarder) serve(e *end, events uint32) {
	if len(e.pending) > 0 && events&unix.EPOLLOUT != 0 {
		f.flush(e) // and what can be read, at the next event
		return
	}
	blocked := len(e.other.pending) > 0
	switch {
	case events&unix.EPOLLIN != 0 && !blocked:
		f.copyFrom(e)
	case events&(unix.EPOLLERR|unix.EPOLLHUP) != 0:
		f.drop(e)
	}
}

// copyFrom passes on what one read gets. The end of one side ends both.
func (f *forwarder) copyFrom(e *end) {
	n, err := unix.Read(e.fd, f.buffer[:])
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return
	}
	if err != nil || n == 0 {
		f.drop(e)
		return
	}
	written, ok := f.write(e.other, f.buffer[:n])
	if ok && written < n {
		e.other.pending = append(e.other.pending[:0], f.buffer[written:n]...)
		f.watchBoth(e)
	}
}

func (f *forwarder) flush(e *end) {
	written, ok := f.write(e, e.pending)
	if !ok {
		return
	}
	if e.pending = e.pending[:copy(e.pending, e.pending[written:])]; len(e.pending) == 0 {
		f.watchBoth(e)
	}
}

// watchBoth waits for what either end can do: it is read unless the other has
// bytes pending, and written if it has some itself.
func (f *forwarder) watchBoth(e *end) {
	for _, e := range []*end{e, e.other} {
		events := uint32(0)
		if len(e.other.pending) == 0 {
			events |= unix.EPOLLIN
		}
		if len(e.pending) > 0 {
			events |= unix.EPOLLOUT
		}
		_ = f.watch(unix.EPOLL_CTL_MOD, e.fd, events)
	}
}

// write reports how much went out; if it is not ok, the pair is gone.
func (f *forwarder) write(e *end, text []byte) (written int, ok bool) {
	n, err := unix.Write(e.fd, text)
	if err == nil {
		return n, true
	}
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return 0, true
	}
	f.drop(e)
	return 0, false
}
