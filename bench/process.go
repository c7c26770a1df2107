//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// process is a program that was started, with those that it starts itself.
type process struct {
	name    string
	command *exec.Cmd
	output  string        // a file
	ended   chan struct{} // closed when it has ended
	began   time.Time
}

// start runs a program in a process group of its own: a Ctrl-C on the terminal
// reaches only bench, which then stops everything in order.
func (l *lab) start(name string, env []string, program string, args ...string) (*process, error) {
	l.number++
	p := &process{name: name, output: filepath.Join(l.directory, fmt.Sprintf("output-%d", l.number)), ended: make(chan struct{})}
	output, err := os.Create(p.output)
	if err != nil {
		return nil, err
	}
	defer func() { _ = output.Close() }()
	p.command = exec.Command(program, args...) //nolint:gosec,noctx // G204: what bench is for; stop ends it, in order
	p.command.Env = append(os.Environ(), env...)
	p.command.Stdout, p.command.Stderr = output, output
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	p.began = time.Now()
	if err := p.command.Start(); err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", name, err)
	}
	l.running = append(l.running, p)
	go func() {
		_ = p.command.Wait()
		close(p.ended)
	}()
	return p, nil
}

func (p *process) pid() int { return p.command.Process.Pid }

// stopTime is how long a process may take to stop.
const stopTime = 3 * time.Second

// stop ends the process, and kills its group if it doesn't go.
func (p *process) stop() {
	_ = p.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(stopTime):
	}
	_ = syscall.Kill(-p.pid(), syscall.SIGKILL)
	<-p.ended
}

// stopAll stops what is running, the last started first.
func (l *lab) stopAll() {
	for _, p := range slices.Backward(l.running) {
		p.stop()
	}
	l.running = nil
}

// forget leaves a process that has ended out of what is to be stopped.
func (l *lab) forget(p *process) {
	l.running = slices.DeleteFunc(l.running, func(other *process) bool { return other == p })
}

// failure is an error with the last of what the process has printed.
func (p *process) failure(err error) error {
	text, _ := os.ReadFile(p.output)
	if n := len(text); n > 2000 {
		text = text[n-2000:]
	}
	return fmt.Errorf("%s: %w\n%s", p.name, err, text)
}

// answers waits until a request to the process is answered with 200.
func (p *process) answers(ctx context.Context, address netip.AddrPort, host, path string, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		answer, err := get(ctx, address, host, path)
		if err == nil && answer.status == http.StatusOK {
			return nil
		}
		if err == nil {
			err = fmt.Errorf("status %d", answer.status)
		}
		select {
		case <-p.ended:
			return p.failure(errors.New("it has ended"))
		case <-ctx.Done():
			return p.failure(fmt.Errorf("no good answer within %v: %w", patience, err))
		case <-time.After(time.Millisecond):
		}
	}
}

// listens waits until something of the process can be connected to.
func (p *process) listens(ctx context.Context, address netip.AddrPort) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address.String())
		if err == nil {
			return conn.Close()
		}
		select {
		case <-p.ended:
			return p.failure(errors.New("it has ended"))
		case <-ctx.Done():
			return p.failure(fmt.Errorf("nobody listens at %s: %w", address, err))
		case <-time.After(time.Millisecond):
		}
	}
}
