// Package upgrade replaces the process by a new one of the same program, without
// refusing a connection in between; and it takes the sockets that a process is
// given at its start, by that or by the service manager.
//
// The old process, the predecessor, starts the new one, its successor, with all
// its listening sockets and a connection between the two (Start, Inherit). The
// successor says when it is ready (TakeOver), and the predecessor, if it hasn't
// given up waiting (Await), tells it to go on (Go). From then on the successor
// accepts, and the predecessor only ends what it has begun. It is bound to
// nothing that is left of it: several may end at the same time.
//
//	successor, err := upgrade.Start(upgrade.Options{Program: program, Sockets: sockets})
//	err = successor.Await(ctx)
//	err = successor.Go(upgrade.Order{})
//
// and in the new process
//
//	predecessor, err := upgrade.Inherit(sockets) // nil where there is none
//	order, err := predecessor.TakeOver()
package upgrade

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
)

// variable tells a process that it has a predecessor.
const variable = "KEYSTONE_UPGRADE"

// The descriptors of a successor, behind standard input and output. Standard
// error is a pipe to the predecessor until the successor takes over, so that it
// can be told why it didn't.
const (
	controlFD    = 3
	stderrFD     = 4 // standard error proper
	firstInherit = 5 // the sockets, in the order of State
)

// State is what a successor is told at its start.
type State struct {
	PID     int               `json:"pid"`   // the predecessor's
	Group   int               `json:"group"` // and its process group
	Sockets []listener.Socket `json:"sockets"`
	// Refused are the tenants whose requests the predecessor refuses, because they
	// are broken. That is no reason against an upgrade.
	Refused []string `json:"refused"`
	// Tickets are the secrets by which TLS sessions go on.
	Tickets map[int64][]byte `json:"tickets"`
}

// ready is what the successor says.
type ready struct {
	Ready bool `json:"ready"`
}

// Order is what a successor that is ready is told.
type Order struct {
	// Reload says that the predecessor was told to reload meanwhile.
	Reload bool `json:"reload"`
}

// Options says what a successor is made of.
type Options struct {
	Program Program
	// Sockets are handed on, all that are open.
	Sockets *listener.Sockets
	// Refused and Tickets are State's.
	Refused []string
	Tickets map[int64][]byte
	// Stderr takes what the successor writes to standard error until it takes over.
	Stderr io.Writer
}

// Successor is a process that is to take this one's place.
type Successor struct {
	process child
	control net.Conn
	said    *relay
}

// Start starts a successor.
func Start(o Options) (*Successor, error) {
	sockets, err := o.Sockets.Duplicate()
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, s := range sockets {
			_ = unix.Close(s.FD)
		}
	}()
	control, theirs, err := controlPair()
	if err != nil {
		return nil, fmt.Errorf("cannot make the connection to a new process: %w", err)
	}
	defer func() { _ = unix.Close(theirs) }()
	stderr, their, err := os.Pipe()
	if err != nil {
		_ = control.Close()
		return nil, fmt.Errorf("cannot make the standard error of a new process: %w", err)
	}
	defer func() { _ = their.Close() }()
	files := []uintptr{0, 1, their.Fd(), uintptr(theirs), 2}
	for _, s := range sockets {
		files = append(files, uintptr(s.FD))
	}
	process, err := spawn(o.Program, append(environment(), variable+"=1"), files)
	if err != nil {
		_, _ = control.Close(), stderr.Close()
		return nil, fmt.Errorf("cannot start %s: %w", o.Program.Path, err)
	}
	s := &Successor{process: process, control: control, said: newRelay(stderr, o.Stderr)}
	err = s.tell(State{PID: os.Getpid(), Group: unix.Getpgrp(), Sockets: sockets, Refused: o.Refused, Tickets: o.Tickets})
	if err != nil && !gone(err) { // which Await tells
		return nil, s.giveUp(fmt.Errorf("cannot tell the new process what there is to take over: %w", err))
	}
	return s, nil
}

// environment is the process's own, without what was meant for it alone.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return name == variable || name == "WATCHDOG_PID"
	})
}

// PID is the number of the new process.
func (s *Successor) PID() int { return s.process.pid }

// Await returns when the successor is ready. After an error there is none any
// more: the error says what it wrote last.
func (s *Successor) Await(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = s.control.SetReadDeadline(time.Now()) })
	defer stop()
	var answer ready
	endWatch := s.watchEnd()
	err := json.NewDecoder(io.LimitReader(s.control, 1<<10)).Decode(&answer)
	endWatch()
	switch {
	case ctx.Err() != nil:
		return s.giveUp(context.Cause(ctx))
	case gone(err), errors.Is(err, os.ErrDeadlineExceeded):
		return s.giveUp(errors.New("the new process has ended before it was ready"))
	case err != nil || !answer.Ready:
		return s.giveUp(errors.Join(errors.New("the new process doesn't answer as a gateway does"), err))
	}
	return nil
}

// watchEnd ends the reading from a successor that has ended, also where what it has
// started holds its end of the connection. The function that it returns ends the watch.
func (s *Successor) watchEnd() (end func()) {
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		if s.process.endsBefore(stop) {
			_ = s.control.SetReadDeadline(time.Now().Add(lastWords))
		}
	}()
	return func() { close(stop); <-done }
}

// Go has a successor that is ready take over. After an error there is none.
func (s *Successor) Go(order Order) error {
	if err := s.tell(order); err != nil {
		return s.giveUp(fmt.Errorf("cannot tell the new process to take over: %w", err))
	}
	_ = s.control.Close()
	return nil
}

// Signal sends the successor a signal.
func (s *Successor) Signal(signal syscall.Signal) error { return s.process.signal(signal) }

// gone reports whether an error is that the other process has ended.
func gone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}

// tellTimeout bounds the wait for a new process to take what it is told, which
// fits into the buffer of its socket unless thousands of sockets are passed.
const tellTimeout = 10 * time.Second

func (s *Successor) tell(what any) error {
	_ = s.control.SetWriteDeadline(time.Now().Add(tellTimeout))
	return json.NewEncoder(s.control).Encode(what)
}

// lastWords is how long what an ended process has written is waited for.
const lastWords = 2 * time.Second

// giveUp ends the new process with all that it has started, which may hold its sockets,
// before the connection to it: it would go on without a predecessor. The error that it returns is why with what it wrote last.
func (s *Successor) giveUp(why error) error {
	s.process.kill()
	_ = s.control.Close()
	s.process.release()
	if lines := s.said.last(lastWords); len(lines) > 0 {
		return fmt.Errorf("%w; it has written last: %s", why, strings.Join(lines, " | "))
	}
	return why
}

// controlPair returns the ends of a connection, the other one for a new process.
func controlPair() (net.Conn, int, error) {
	syscall.ForkLock.RLock()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(pair[0])
		syscall.CloseOnExec(pair[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, -1, os.NewSyscallError("socketpair", err)
	}
	conn, err := connOf(pair[0])
	if err != nil {
		_ = unix.Close(pair[1])
	}
	return conn, pair[1], err
}

// connOf takes over a descriptor.
func connOf(fd int) (net.Conn, error) {
	file := os.NewFile(uintptr(fd), "control")
	defer func() { _ = file.Close() }()
	return net.FileConn(file)
}

// relay passes lines on and keeps the last.
type relay struct {
	done  chan struct{}
	lines []string // complete once done is closed
}

// Bounds of what is kept.
const (
	keptLines  = 8
	keptLength = 512 // bytes of a line
)

// newRelay relays until the pipe ends, which is when the other process has gone,
// or has taken over.
func newRelay(from *os.File, to io.Writer) *relay {
	r := &relay{done: make(chan struct{})}
	go func() {
		defer close(r.done)
		defer func() { _ = from.Close() }()
		in := bufio.NewReaderSize(from, 16<<10)
		for {
			line, err := in.ReadSlice('\n')
			if len(line) > 0 {
				_, _ = to.Write(line)
				r.keep(string(line))
			}
			if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
				return
			}
		}
	}()
	return r
}

func (r *relay) keep(line string) {
	if line = strings.TrimSpace(line); line == "" {
		return
	}
	r.lines = append(r.lines, line[:min(len(line), keptLength)])
	r.lines = r.lines[max(0, len(r.lines)-keptLines):]
}

// last returns the lines that were written last, once the writer has ended, or
// nothing if it hasn't within that time.
func (r *relay) last(within time.Duration) []string {
	select {
	case <-r.done:
		return r.lines
	case <-time.After(within):
		return nil
	}
}
