//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
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
	if len(args) == 0 {
		return errors.New("expected a command: bench lua [flags]; bench lua -h lists them")
	}
	switch args[0] {
	case "lua":
		return runLua(ctx, args[1:])
	case upstreamCommand:
		return runUpstream(ctx, args[1:])
	}
	return fmt.Errorf("unknown command %q, expected lua", args[0])
}

// runLua measures the promises about Lua.
func runLua(ctx context.Context, args []string) error {
	o := options{}
	flags := flag.NewFlagSet("lua", flag.ContinueOnError)
	flags.IntVar(&o.rounds, "rounds", 5, "rounds; every process is started anew in each, in a random order")
	seconds := flags.Float64("seconds", 5, "length of each measurement")
	only := flags.String("only", "", "run only these scenarios, separated by commas: "+strings.Join(scenarioNames(), ", "))
	flags.StringVar(&o.binary, "gateway", "", "gateway `binary`; default: built from this checkout")
	flags.StringVar(&o.nginx, "nginx", "/usr/sbin/nginx", "nginx `binary`, with lua-nginx-module installed")
	flags.StringVar(&o.output, "out", "", "write everything that was measured to this `file`, as JSON")
	flags.StringVar(&o.profiles, "profile", "", "write CPU and heap profiles of the gateway into this `directory`; the figures suffer")
	flags.BoolVar(&o.strict, "strict", false, "end with status 3 if a promise was not kept")
	if err := flags.Parse(args); err != nil {
		return err
	}
	o.duration = time.Duration(*seconds * float64(time.Second))
	if o.rounds < 1 || o.duration < 100*time.Millisecond || flags.NArg() > 0 {
		return errors.New("expected at least 1 round of at least 0.1 seconds, and no arguments")
	}
	chosen := luaScenarios()
	if *only != "" {
		names := strings.Split(*only, ",")
		for _, name := range names {
			if !slices.Contains(scenarioNames(), name) {
				return fmt.Errorf("unknown scenario %q, expected one of %s", name, strings.Join(scenarioNames(), ", "))
			}
		}
		chosen = slices.DeleteFunc(chosen, func(s *scenario) bool { return !slices.Contains(names, s.name) })
	}
	return measure(ctx, &o, chosen)
}

func luaScenarios() []*scenario {
	return []*scenario{middlewareScenario(), routeScenario(), waitingScenario(), tenantsScenario(), isolationScenario()}
}

func scenarioNames() (names []string) {
	for _, s := range luaScenarios() {
		names = append(names, s.name)
	}
	return names
}
