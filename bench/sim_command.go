//go:build linux

package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/keystone-gateway/keystone-gateway/bench/sim"
)

// What sim fleet puts into docs.
const (
	fleetDocument = "docs/fleet.md"
	fleetPlot     = "docs/fleet-failover.svg"
	fleetBegin    = "<!-- sim fleet -->\n"
	fleetEnd      = "<!-- /sim fleet -->\n"
)

// runSim simulates.
func runSim(args []string) error {
	if len(args) == 0 || args[0] != "fleet" {
		return errors.New("sim: expected what to simulate: fleet; it has -h")
	}
	flags := flag.NewFlagSet("sim fleet", flag.ContinueOnError)
	seconds := flags.Float64("seconds", 5, "how long each load lasts")
	cost := flags.Duration("cost", 12*time.Microsecond, "what one decision costs the store's processor, as fleet measures it")
	docs := flags.Bool("docs", false, "put what comes of it into "+fleetDocument+" and "+fleetPlot+" of the current directory")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if flags.NArg() > 0 || *seconds < 0.1 || *seconds > 60 {
		return errors.New("sim fleet: expected no arguments, and 0.1 to 60 seconds")
	}
	table, err := sim.Table(sim.Fleets(time.Duration(*seconds*float64(time.Second))), *cost)
	if err != nil {
		return err
	}
	failover := sim.Failover(1e6)
	r, err := failover.Run()
	if err != nil {
		return err
	}
	text := table + fmt.Sprintf("\nAt the moment of the failover %d requests of %d a second have waited for %v.\n", r.Waited, int(failover.Offered), failover.Timeout)
	if !*docs {
		fmt.Print(text)
		return nil
	}
	return keepFleet(text, failover.Plot(r))
}

// keepFleet replaces what the documents have of before.
func keepFleet(text, drawing string) error {
	document, err := os.ReadFile(fleetDocument)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(document), fleetBegin)
	_, after, ends := strings.Cut(rest, fleetEnd)
	if !ok || !ends {
		return fmt.Errorf("%s has no %q, or no %q after it", fleetDocument, fleetBegin, fleetEnd)
	}
	if err := os.WriteFile(fleetPlot, []byte(drawing), 0o644); err != nil { //nolint:gosec // G306: documents are for everyone
		return err
	}
	return os.WriteFile(fleetDocument, []byte(before+fleetBegin+text+fleetEnd+after), 0o644) //nolint:gosec // G306: as above
}
