package vm

import (
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// longNap is from when on a millisecond more or less doesn't matter.
	longNap = 5 * time.Millisecond
	// maxTimers is how many naps may be exact at once. Where more long runs
	// rest, others run meanwhile.
	maxTimers = 8
)

// timer is one of the system's. While a processor waits for the network Go's
// own are only looked at every millisecond, which would be several times the
// rest that is due.
type timer struct {
	fd   int
	file *os.File // the same, to be waited for together with the network
}

var (
	timers     = make(chan *timer, maxTimers) // that are free
	timersMade atomic.Int32
)

// nap sleeps for d.
func nap(d time.Duration) {
	if d < longNap {
		if t := takeTimer(); t != nil {
			err := t.wait(d)
			timers <- t
			if err == nil {
				return
			}
		}
	}
	time.Sleep(d)
}

func (t *timer) wait(d time.Duration) error {
	at := unix.ItimerSpec{Value: unix.NsecToTimespec(max(1, int64(d)))}
	if err := unix.TimerfdSettime(t.fd, 0, &at, nil); err != nil {
		return err //nolint:wrapcheck // nobody sees it
	}
	var expirations [8]byte
	_, err := t.file.Read(expirations[:])
	return err //nolint:wrapcheck // nobody sees it
}

// takeTimer returns a timer, or nil if there are enough.
func takeTimer() *timer {
	select {
	case t := <-timers:
		return t
	default:
	}
	if timersMade.Add(1) > maxTimers {
		timersMade.Add(-1)
		return nil
	}
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		timersMade.Add(-1)
		return nil
	}
	return &timer{fd: fd, file: os.NewFile(uintptr(fd), "timer")}
}
