//go:build linux

package load

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// loop is a run under way. One goroutine owns it.
type loop struct {
	options Options
	result  Result
	to      unix.SockaddrInet4

	epoll, timer int
	events       []unix.EpollEvent
	buffer       []byte
	conns        []conn // by their number; fixed, so that events can name them
	opened       int    // of conns: the rest has never been open
	free         []int  // open and without a request; the last used comes first

	start    time.Time // of everything
	sent     int       // requests, for taking turns
	issued   int64     // of those that are due at a constant rate, sent
	counting bool
	ended    bool          // the time is over
	checked  time.Duration // when time-outs were last looked for
}

// clock is the time since the start.
func (l *loop) clock() time.Duration { return time.Since(l.start) }

// timerEvent is the timer's place in the events' data; the others are numbers
// of connections.
const timerEvent = -1

func (l *loop) open() (err error) {
	l.epoll, l.timer = -1, -1
	l.to = unix.SockaddrInet4{Port: int(l.options.Address.Port()), Addr: l.options.Address.Addr().As4()}
	l.conns = make([]conn, l.options.Connections)
	for i := range l.conns {
		l.conns[i].fd = -1
	}
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("cannot make an epoll: %w", err)
	}
	if l.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK); err != nil {
		return fmt.Errorf("cannot make a timer: %w", err)
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: timerEvent}
	if err = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, l.timer, &event); err != nil {
		return fmt.Errorf("cannot watch a timer: %w", err)
	}
	return nil
}

// tick is how often the loop looks at the clock: for each request that is due,
// else often enough for a ramp and for the end. It is rounded up, and counted
// from the start: a tick a moment before a request is due would send it with the
// next one.
func (l *loop) tick() time.Duration {
	if l.options.Rate > 0 {
		return max(time.Duration(math.Ceil(float64(time.Second)/l.options.Rate)), 50*time.Microsecond)
	}
	return 2 * time.Millisecond
}

func (l *loop) close() {
	for i := range l.conns {
		if c := &l.conns[i]; c.fd >= 0 {
			_ = unix.Close(c.fd)
		}
	}
	for _, fd := range []int{l.timer, l.epoll} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

func (l *loop) run(ctx context.Context) error {
	l.start = time.Now()
	every := unix.NsecToTimespec(l.tick().Nanoseconds())
	if err := unix.TimerfdSettime(l.timer, 0, &unix.ItimerSpec{Interval: every, Value: every}, nil); err != nil {
		return fmt.Errorf("cannot start a timer: %w", err)
	}
	begin, end := l.options.Warmup, l.options.Warmup+l.options.Duration
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		now := l.clock()
		if !l.counting && now >= begin {
			l.counting = true
			call(l.options.Begin)
		}
		if now >= end && !l.ended {
			l.ended = true
			call(l.options.End)
			l.result.Elapsed = now - begin
		}
		if l.ended && (l.options.Rate == 0 || l.settled(now-end)) {
			return nil
		}
		l.offer(now)
		l.expire(now)
		n, err := unix.EpollWait(l.epoll, l.events, -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("cannot wait for events: %w", err)
		}
		for _, event := range l.events[:max(n, 0)] {
			l.handle(event)
		}
	}
}

// settled reports whether nothing of a constant rate is left to wait for, so
// long after its end: what was due has been sent, and has had its answer or its
// time. Who left at the end would neither see what the last requests took, nor
// that they got no answer, and would count what was due in the last moment as
// unsent.
func (l *loop) settled(late time.Duration) bool {
	l.result.Unsent = max(0, l.inAll()-l.issued)
	if late > l.options.Timeout+2*expiry {
		l.result.Failed += int64(l.opened - len(l.free))
		return true
	}
	return l.result.Unsent == 0 && len(l.free) == l.opened
}

// inAll is how many requests are due at a constant rate.
func (l *loop) inAll() int64 {
	return int64(math.Ceil((l.options.Warmup + l.options.Duration).Seconds() * l.options.Rate))
}

func call(f func()) {
	if f != nil {
		f()
	}
}

func (l *loop) handle(event unix.EpollEvent) {
	if event.Fd == timerEvent {
		var count [8]byte
		_, _ = unix.Read(l.timer, count[:]) // the clock says more than the count
		return
	}
	c := &l.conns[event.Fd]
	switch c.state {
	case connecting, sending:
		l.write(c)
	case receiving:
		l.read(c)
	case idle: // the server closes it between requests
		l.shut(c)
	}
}

// offer sends what is due, or opens connections of a closed loop.
func (l *loop) offer(now time.Duration) {
	if l.options.Rate > 0 {
		due := int64(now.Seconds()*l.options.Rate) + 1 // the first is due at 0
		if l.ended {
			due = l.inAll()
		}
		for l.issued < due {
			intended := time.Duration(float64(l.issued) / l.options.Rate * float64(time.Second))
			c := l.take()
			if c == nil {
				return
			}
			l.issued++
			l.begin(c, intended)
		}
		return
	}
	wanted := len(l.conns)
	if l.options.Ramp > 0 && now < l.options.Ramp {
		wanted = int(float64(wanted) * now.Seconds() / l.options.Ramp.Seconds())
	}
	for range len(l.free) + max(0, wanted-l.opened) {
		l.begin(l.take(), now)
	}
}

// take returns a connection without a request, nil if there is none.
func (l *loop) take() *conn {
	if n := len(l.free); n > 0 {
		i := l.free[n-1]
		l.free = l.free[:n-1]
		return &l.conns[i]
	}
	if l.opened == len(l.conns) {
		return nil
	}
	c := &l.conns[l.opened]
	c.number = l.opened
	l.opened++
	return c
}

// expiry is how often time-outs are looked for.
const expiry = 100 * time.Millisecond

// expire ends requests that have taken too long.
func (l *loop) expire(now time.Duration) {
	if now-l.checked < expiry {
		return
	}
	l.checked = now
	for i := range l.opened {
		if c := &l.conns[i]; c.state != idle && now-c.sentAt > l.options.Timeout {
			l.fail(c, errTimeout)
		}
	}
}

var errTimeout = errors.New("no answer in time")
