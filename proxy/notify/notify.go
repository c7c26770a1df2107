// Package notify tells the service manager that has started the process, systemd
// or one that speaks as it does, how the process is: sd_notify(3). It needs no
// library, since a message is a datagram.
//
//	manager, err := notify.Manager(os.Getenv) // nil where nobody asks; its methods do nothing then
//	manager.Ready("serving 5 tenants")
package notify

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// Socket is where the service manager listens. A nil one takes everything and
// does nothing. Its methods may be called at once.
type Socket struct {
	address  *net.UnixAddr
	watchdog time.Duration // 0: none is asked for
}

// Manager returns the socket that NOTIFY_SOCKET names; nil without one.
// WATCHDOG_USEC and WATCHDOG_PID say whether the process is watched.
func Manager(getenv func(string) string) (*Socket, error) {
	name := getenv("NOTIFY_SOCKET")
	if name == "" {
		return nil, nil
	}
	if name[0] != '/' && name[0] != '@' {
		return nil, fmt.Errorf("cannot tell the service manager: NOTIFY_SOCKET is %q, expected a path or, behind an @, an abstract name", name)
	}
	s := &Socket{address: &net.UnixAddr{Name: name, Net: "unixgram"}}
	if who := getenv("WATCHDOG_PID"); who != "" && who != strconv.Itoa(os.Getpid()) {
		return s, nil // another process is
	}
	if text := getenv("WATCHDOG_USEC"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n <= 0 || n > int64(24*time.Hour/time.Microsecond) {
			return s, fmt.Errorf("cannot keep the watchdog calm: WATCHDOG_USEC is %q, expected microseconds, a day at most", text)
		}
		s.watchdog = time.Duration(n) * time.Microsecond
	}
	return s, nil
}

// Ready says that the process serves, after a start or a reload.
func (s *Socket) Ready(status string) error { return s.send("READY=1", status) }

// Reloading says that a reload begins; Ready ends it. The time tells the manager
// that the reload is the one that it has asked for (Type=notify-reload).
func (s *Socket) Reloading() error {
	return s.send("RELOADING=1\nMONOTONIC_USEC="+strconv.FormatInt(monotonic(), 10), "reloading")
}

// Stopping says that the process ends, and needs so long for it at most.
func (s *Socket) Stopping(within time.Duration, status string) error {
	return s.send("STOPPING=1\nEXTEND_TIMEOUT_USEC="+strconv.FormatInt(within.Microseconds(), 10), status)
}

// Replaced says that another process is the service's main one from now on.
func (s *Socket) Replaced(pid int) error {
	return s.send("MAINPID="+strconv.Itoa(pid), "process "+strconv.Itoa(pid)+" takes over")
}

// sendTimeout bounds a send: a manager that hangs must not stop the gateway.
const sendTimeout = time.Second

// send sends the assignments, lines of NAME=value, with a status for people.
func (s *Socket) send(assignments, status string) error {
	if s == nil {
		return nil
	}
	if status != "" {
		assignments += "\nSTATUS=" + strings.ReplaceAll(status, "\n", " ")
	}
	conn, err := net.DialUnix("unixgram", nil, s.address)
	if err != nil {
		return fmt.Errorf("cannot tell the service manager: %w", err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetWriteDeadline(time.Now().Add(sendTimeout))
	if _, err := conn.Write([]byte(assignments)); err != nil {
		return fmt.Errorf("cannot tell the service manager: %w", err)
	}
	return nil
}

// KeepCalm tells the manager's watchdog three times in its time that the process
// is well, as long as alive says so, until ctx is done. It returns at once where
// there is no watchdog.
func (s *Socket) KeepCalm(ctx context.Context, alive func() bool) {
	if s == nil || s.watchdog <= 0 {
		return
	}
	ticker := time.NewTicker(max(s.watchdog/3, time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if alive() {
			_ = s.send("WATCHDOG=1", "") // one that is lost is followed by others
		}
	}
}
