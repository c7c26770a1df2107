//go:build linux

package load

import (
	"errors"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"github.com/keystone-gateway/keystone-gateway/bench/response"
)

// conn is one connection, and the request on it.
type conn struct {
	fd     int // -1 is closed
	number int
	state  state
	due    time.Duration // when the request was to be sent: latency counts from here
	sentAt time.Duration // when its sending began: the time-out counts from here
	out    []byte        // of the request, still to be sent
	body   []byte        // what comes after out
	armed  uint32        // the events that are watched for
	answer response.Reader
	served bool // a response has come on it
}

type state uint8

const (
	idle state = iota
	connecting
	sending
	receiving
)

// begin sends the next request; due is when it should have been.
func (l *loop) begin(c *conn, due time.Duration) {
	c.due, c.sentAt = due, l.clock()
	c.out = l.options.Requests[l.sent%len(l.options.Requests)]
	c.body = l.options.Body
	l.sent++
	c.answer.Reset(false)
	if c.fd < 0 {
		if err := l.connect(c); err != nil {
			l.fail(c, err)
		}
		return
	}
	c.state = sending
	l.write(c)
}

func (l *loop) connect(c *conn) (err error) {
	c.state, c.served = connecting, false
	if c.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		c.fd = -1
		return err
	}
	// Closing resets: tens of thousands of ports in TIME_WAIT would change the
	// next round.
	_ = unix.SetsockoptLinger(c.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	_ = unix.SetsockoptInt(c.fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if err = unix.Connect(c.fd, &l.to); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return err
	}
	c.armed = unix.EPOLLOUT
	return l.watch(c, unix.EPOLL_CTL_ADD)
}

func (l *loop) watch(c *conn, operation int) error {
	event := unix.EpollEvent{Events: c.armed, Fd: int32(c.number)} //nolint:gosec // G115: the number of an open file at most
	return unix.EpollCtl(l.epoll, operation, c.fd, &event)
}

// arm changes what is watched for.
func (l *loop) arm(c *conn, events uint32) error {
	if c.armed == events {
		return nil
	}
	c.armed = events
	return l.watch(c, unix.EPOLL_CTL_MOD)
}

// write sends what it can, and then waits for the answer.
func (l *loop) write(c *conn) {
	if c.state == connecting {
		code, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR)
		if err == nil && code != 0 {
			err = unix.Errno(code)
		}
		if err != nil {
			l.fail(c, err)
			return
		}
	}
	if err := c.push(); err != nil {
		l.retry(c, err)
		return
	}
	var events uint32 = unix.EPOLLIN
	c.state = receiving
	if len(c.out)+len(c.body) > 0 {
		c.state, events = sending, unix.EPOLLOUT
	}
	if err := l.arm(c, events); err != nil {
		l.fail(c, err)
	}
}

// push writes what the socket takes of the request.
func (c *conn) push() error {
	for len(c.out)+len(c.body) > 0 {
		if len(c.out) == 0 {
			c.out, c.body = c.body, nil
		}
		n, err := unix.Write(c.fd, c.out)
		if err != nil {
			if errors.Is(err, unix.EAGAIN) {
				return nil
			}
			return err
		}
		c.out = c.out[n:]
	}
	return nil
}

// read takes what has arrived.
func (l *loop) read(c *conn) {
	n, err := unix.Read(c.fd, l.buffer)
	switch {
	case errors.Is(err, unix.EAGAIN):
		return
	case err != nil:
		l.retry(c, err)
		return
	case n == 0 && c.answer.End():
		l.complete(c)
		return
	case n == 0:
		l.retry(c, io.ErrUnexpectedEOF)
		return
	}
	done, err := c.answer.Feed(l.buffer[:n])
	if err != nil {
		l.fail(c, err)
	} else if done {
		l.complete(c)
	}
}

// complete counts a response, and goes on.
func (l *loop) complete(c *conn) {
	now := l.clock()
	if l.counting {
		l.result.Latency.Add(now - c.due)
		l.result.Statuses[min(c.answer.Status/100, len(l.result.Statuses)-1)]++
	}
	c.served = true
	if c.answer.Close {
		l.shut(c)
	}
	c.state = idle
	if l.options.Rate > 0 {
		l.free = append(l.free, c.number)
	} else {
		l.begin(c, now)
	}
}

// retry sends a request again, once, that the server may have closed a kept
// connection under: that is no failure of the server's (RFC 9112 §9.6).
func (l *loop) retry(c *conn, err error) {
	if !c.served || c.answer.Begun() {
		l.fail(c, err)
		return
	}
	l.shut(c)
	l.sent--
	due := c.due
	l.begin(c, due)
}

// fail counts a request that gets no answer. A closed loop waits for the next
// tick before it tries again, so that a server that is down isn't hammered.
func (l *loop) fail(c *conn, err error) {
	if l.counting {
		l.result.Failed++
		if l.result.Reason == nil {
			l.result.Reason = err
		}
	}
	l.shut(c)
	c.state = idle
	l.free = append(l.free, c.number)
}

func (l *loop) shut(c *conn) {
	if c.fd >= 0 {
		_ = unix.Close(c.fd) // which ends its watch too
		c.fd = -1
	}
}
