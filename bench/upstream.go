//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"time"
)

// upstreamCommand makes bench the server behind the proxies, in a process of
// its own so that nobody is charged for it.
const upstreamCommand = "upstream"

// slowness is how long the upstream takes to answer /slow.
const slowness = 2 * time.Second

// upstream is a running one.
type upstream struct {
	addresses [2]netip.AddrPort
}

// startUpstream starts a server on two ports, on all processors.
func (l *lab) startUpstream(ctx context.Context) (*upstream, error) {
	return l.startUpstreamOn(ctx, allowedCPUs())
}

// startUpstreamOn starts it on some processors only.
func (l *lab) startUpstreamOn(ctx context.Context, cpus []int) (*upstream, error) {
	return openUpstreamBy(ctx, func(name, program string, args ...string) (*process, error) {
		return l.startBound(name, cpus, nil, program, args...)
	})
}

// startUpstreamFirst starts it so that it waits for nobody.
func (l *lab) startUpstreamFirst(ctx context.Context) (*upstream, error) {
	return openUpstreamBy(ctx, l.startFirst)
}

func openUpstreamBy(ctx context.Context, start starter) (u *upstream, err error) {
	u = &upstream{}
	for i := range u.addresses {
		if u.addresses[i], err = freeAddress(); err != nil {
			return nil, err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p, err := start("the upstream", self, upstreamCommand, u.addresses[0].String(), u.addresses[1].String())
	if err != nil {
		return nil, err
	}
	return u, p.answers(ctx, u.addresses[1], "x", "/", startPatience)
}

// runUpstream serves until ctx is done, with one loop for each two processors:
// a proxy and a load generator need the others.
func runUpstream(ctx context.Context, addresses []string) error {
	if len(addresses) == 0 {
		return errors.New("expected addresses")
	}
	ended := make(chan error, runtime.NumCPU())
	for range max(1, runtime.NumCPU()/2) {
		server, err := openUpstream(addresses)
		if err != nil {
			return fmt.Errorf("cannot serve at %v: %w", addresses, err)
		}
		go func() { ended <- server.run() }()
	}
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return nil // the sockets end with the process
	}
}
