//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := dispatch(ctx, os.Args[1:])
	stop()
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errMissed):
		os.Exit(3)
	default:
		fmt.Fprintln(os.Stderr, "bench: "+err.Error())
		os.Exit(1)
	}
}

// errMissed ends the program with status 3 if that was asked for.
var errMissed = errors.New("a promise was not kept")

func dispatch(ctx context.Context, args []string) error {
	const expected = "compare, fleet, sim, chaos, flame or report; each has -h"
	if len(args) == 0 {
		return errors.New("expected a command: " + expected)
	}
	switch args[0] {
	case "compare":
		return runCompare(ctx, args[1:])
	case "fleet":
		return runFleet(ctx, args[1:])
	case "sim":
		return runSim(args[1:])
	case "flame":
		return runFlame(ctx, args[1:])
	case "chaos":
		return runChaos(ctx, args[1:])
	case "report":
		return runReport(args[1:])
	case upstreamCommand:
		return runUpstream(ctx, args[1:])
	case grpcUpstreamCommand:
		return runGRPCUpstream(ctx, args[1:])
	case attackersCommand:
		return runAttackers(ctx, args[1:])
	case clientsCommand:
		return runClients(ctx, args[1:])
	case fasthttpCommand:
		return runFasthttp(ctx, args[1:])
	case forwarderCommand:
		return runForwarder(ctx, args[1:])
	}
	return fmt.Errorf("unknown command %q, expected %s", args[0], expected)
}
