//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/keystone-gateway/keystone-gateway/bench/load"
)

// clientsCommand makes bench the clients of one tenant, in a process of its own,
// so that it shares neither a scheduler nor a collector with those that attack
// another.
const clientsCommand = "clients"

// seen is what clients have seen: what clientsCommand says.
type seen struct {
	P50, P90, P99, Max time.Duration
	Bad, Unsent        int64
	Reason             string // of the first failure, if there is one
}

// String is for progress.
func (s *seen) String() string {
	return fmt.Sprintf("p50 %.2f, p90 %.2f, p99 %.2f, most %.1f ms, %d failed, %d unsent %s", milliseconds(s.P50), milliseconds(s.P90), milliseconds(s.P99), milliseconds(s.Max), s.Bad, s.Unsent, s.Reason)
}

// runClients is the command.
func runClients(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("expected one argument: what is to be sent")
	}
	var o load.Options
	if err := json.Unmarshal([]byte(args[0]), &o); err != nil {
		return fmt.Errorf("cannot read what is to be sent: %w", err)
	}
	result, err := load.Run(ctx, o)
	if err != nil {
		return err
	}
	s := seen{
		P50: result.Latency.Quantile(0.5), P90: result.Latency.Quantile(0.9), P99: result.Latency.Quantile(0.99), Max: result.Latency.Max(),
		Bad: result.Bad(), Unsent: result.Unsent,
	}
	if err := result.Err(); err != nil {
		s.Reason = err.Error()
	}
	return json.NewEncoder(os.Stdout).Encode(s)
}

// asClients sends from a process of its own that runs first, as from another
// machine.
func (l *lab) asClients(ctx context.Context, o load.Options) (*seen, error) {
	p, err := l.startSelf(l.startFirst, "the tenant's clients", clientsCommand, o)
	if err != nil {
		return nil, err
	}
	s := &seen{}
	return s, l.result(ctx, p, s)
}

// startSelf starts this program with a command and what it is told.
func (*lab) startSelf(start starter, name, command string, told any) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(told)
	if err != nil {
		return nil, err
	}
	return start(name, self, command, string(text))
}

// result waits for what a process says in the end.
func (l *lab) result(ctx context.Context, p *process, to any) error {
	select {
	case <-p.ended:
	case <-ctx.Done():
		return ctx.Err() // stopAll ends it
	}
	l.forget(p)
	text, err := os.ReadFile(p.output)
	if err == nil && p.command.ProcessState.Success() {
		err = json.NewDecoder(bytes.NewReader(text)).Decode(to) // what may follow is standard error
	} else if err == nil {
		err = errors.New("it has failed")
	}
	if err != nil {
		return p.failure(err)
	}
	return nil
}
