package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/keystone-gateway/keystone-gateway/proxy"
	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
	"github.com/keystone-gateway/keystone-gateway/proxy/upgrade"
)

// succession is how far the process is with being replaced.
type succession struct {
	mu        sync.Mutex
	under     bool               // a successor is starting
	reloadDue bool               // a reload has come meanwhile, which that may not have seen
	successor *upgrade.Successor // it has taken over; else nil
}

// reload passes a reload on; it is false where it is this process's too.
func (s *succession) reload() (passed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reloadDue = s.under
	if s.successor != nil {
		_ = s.successor.Signal(syscall.SIGHUP) // it may have ended since
	}
	return s.successor != nil
}

// done reports whether another process has taken over.
func (s *succession) done() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.successor != nil
}

func (s *succession) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.under, s.reloadDue = true, false
}

// end has the successor, if it is ready, take over.
func (s *succession) end(ready *upgrade.Successor) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.under = false
	if ready == nil {
		return nil
	}
	if err := ready.Go(upgrade.Order{Reload: s.reloadDue}); err != nil {
		return err
	}
	s.successor = ready
	return nil
}

// upgrades starts a new process for each signal, until one has taken over: then it
// calls handOver. It ends with ctx, and a process that isn't ready by then is ended.
func (p *process) upgrades(ctx context.Context, server *proxy.Server, handOver func()) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.asked.upgrade:
		}
		if s := p.succession.successor; s != nil {
			p.log.Warn().Int("pid", s.PID()).Msg("no upgrade of this process, which has been replaced: send SIGUSR2 to the one that serves")
			continue
		}
		err := p.upgrade(ctx, server)
		select {
		case <-p.asked.upgrade:
			p.log.Warn().Msg("one upgrade, not two: a second SIGUSR2 has come within the first")
		default:
		}
		if err == nil {
			handOver()
			continue
		}
		// Said last: whoever has read it can try again.
		p.log.Error().Str("program", p.program.Path).Str("error", cause.Text(err)).Msg("no upgrade, this process goes on")
	}
}

// upgrade starts a new process and has it take over.
func (p *process) upgrade(ctx context.Context, server *proxy.Server) error {
	if p.programErr != nil {
		return fmt.Errorf("cannot find this program's own file: %w", p.programErr)
	}
	if os.Getpid() == 1 {
		return errors.New("this is the first process of a container, which ends with it: start another container instead")
	}
	p.succession.begin()
	options := upgrade.Options{Program: p.program, Sockets: &p.sockets, Stderr: os.Stderr, Tickets: server.Tickets()}
	for t := range server.Tenants() {
		if t.Refused() {
			options.Refused = append(options.Refused, t.Name)
		}
	}
	patience := server.Config().Server.Upgrade.ReadyTimeout
	waiting, stop := context.WithTimeoutCause(ctx, patience.Std(),
		fmt.Errorf("the new process was not ready within server.upgrade.ready_timeout (%s)", patience))
	defer stop()
	successor, err := upgrade.Start(options)
	if err == nil {
		p.sockets.Relate(successor.PID(), "which is to replace this one, and has what this reload asks for already")
		p.log.Info().Str("program", p.program.Path).Int("pid", successor.PID()).Msg("upgrade: a new process starts")
		err = successor.Await(waiting)
	}
	if err != nil {
		_ = p.succession.end(nil)
		return err
	}
	p.warn(p.manager.Replaced(successor.PID())) // before it speaks itself
	if err := p.succession.end(successor); err != nil {
		p.warn(p.manager.Replaced(os.Getpid()))
		return err
	}
	p.sockets.Leave()
	p.log.Info().Int("pid", successor.PID()).Msg("upgrade: the new process has taken over, this one ends what it has begun")
	return nil
}

// takeOver has the process serve: its predecessor, if there is one, stops accepting.
func (p *process) takeOver(ctx context.Context, server *proxy.Server) error {
	if p.predecessor == nil {
		return nil
	}
	for t := range server.Tenants() {
		if t.Refused() && !slices.Contains(p.predecessor.Refused, t.Name) {
			return fmt.Errorf("cannot take over from process %d, which serves the tenant %q: %s", p.predecessor.PID, t.Name, problemText(t.Problem))
		}
	}
	if ctx.Err() != nil {
		return errors.New("a signal has come before the process could take over")
	}
	order, err := p.predecessor.TakeOver()
	if err != nil {
		return err
	}
	p.sockets.Claim()
	if order.Reload {
		p.reload(server)
	}
	return nil
}

func problemText(problem *proxy.Problem) string {
	if problem == nil || len(problem.Errors) == 0 {
		return "it is refused"
	}
	return strings.Join(problem.Errors, "; ")
}

// writePID writes the number of the process into its file, in one step. remove
// removes it, unless another process has written there.
func (p *process) writePID() (remove func(), err error) {
	if p.pidFile == "" {
		return func() {}, nil
	}
	pid := strconv.Itoa(os.Getpid())
	fresh := p.pidFile + "." + pid
	if err = os.WriteFile(fresh, []byte(pid+"\n"), 0o644); err == nil { //nolint:gosec // G306: others are to read it
		err = os.Rename(fresh, p.pidFile)
	}
	switch {
	case err == nil:
	case p.predecessor != nil: // which serves no longer
		p.warn(fmt.Errorf("cannot write -pid-file: %w", err))
	default:
		return nil, fmt.Errorf("cannot write -pid-file: %w", err)
	}
	return func() {
		if p.succession.done() {
			return // the file is the successor's to write, and needed until then
		}
		if text, err := os.ReadFile(p.pidFile); err == nil && strings.TrimSpace(string(text)) == pid {
			_ = os.Remove(p.pidFile)
		}
	}, nil
}
