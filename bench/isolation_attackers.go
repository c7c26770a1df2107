//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/keystone-gateway/keystone-gateway/bench/load"
)

// attackersCommand makes bench the attackers, in a process of their own that
// yields to the gateway: on machines of their own they would take none of its
// processors' time. What they do doesn't depend on when exactly they do it; where
// they come to less than they should, a remark says so.
const attackersCommand = "attackers"

// attackerHost is the attacking tenant's.
const attackerHost = "attacker.example.com"

// onslaught is what attackersCommand is told.
type onslaught struct {
	Attack   string // its name
	Address  netip.AddrPort
	Duration time.Duration // of requests at a rate; slow clients go on until they are told to end
}

// harm is what attackersCommand says in the end.
type harm struct {
	Done, Due int64 // requests that were sent, or connections that were opened, and how many should have been
}

// runAttackers is the command.
func runAttackers(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("expected one argument: what is to be done")
	}
	var o onslaught
	if err := json.Unmarshal([]byte(args[0]), &o); err != nil {
		return fmt.Errorf("cannot read what is to be done: %w", err)
	}
	i := slices.IndexFunc(attacks, func(a attack) bool { return a.name == o.Attack })
	if i < 0 {
		return fmt.Errorf("unknown attack %q", o.Attack)
	}
	// All threads that there are, and so those that they make, have it.
	if err := unix.Setpriority(unix.PRIO_PGRP, 0, 19); err != nil {
		return fmt.Errorf("cannot yield to others: %w", err)
	}
	if clients := attacks[i].clients; clients != nil {
		return json.NewEncoder(os.Stdout).Encode(clients.run(ctx, o.Address.String(), attackerHost))
	}
	result, err := load.Run(ctx, load.Options{
		Address: o.Address, Requests: [][]byte{request(attackerHost, fmt.Sprintf("/attack%d", i))}, Connections: 400, Rate: attackerRate,
		Duration: o.Duration, Timeout: 5 * time.Second,
	})
	if err != nil {
		return err
	}
	if !attacks[i].answered && result.Statuses[2] > 0 {
		return fmt.Errorf("%d attacks were answered with 2xx: they are none", result.Statuses[2])
	}
	sent := result.Answered() + result.Failed
	return json.NewEncoder(os.Stdout).Encode(harm{Done: sent, Due: sent + result.Unsent})
}

// startAttack has attackers do harm for that time, or in the case of slow clients
// until end is called, which waits for them.
func (l *lab) startAttack(ctx context.Context, a *attack, address netip.AddrPort, duration time.Duration) (end func() error, err error) {
	p, err := l.startSelf(l.startPlain, "the attackers", attackersCommand, onslaught{a.name, address, duration})
	if err != nil {
		return nil, err
	}
	return func() error {
		if a.clients != nil {
			_ = p.command.Process.Signal(unix.SIGTERM)
		}
		var h harm
		if err := l.result(ctx, p, &h); err != nil {
			return err
		}
		if h.Done < h.Due {
			l.remark("%s: the attackers came to %d of %d requests or connections", a.name, h.Done, h.Due)
		}
		return nil
	}, nil
}
