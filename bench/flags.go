//go:build linux

package main

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// flagSet are the flags that commands which measure have in common.
type flagSet struct {
	*flag.FlagSet
	options *options
	seconds float64
	only    string
}

func newFlags(command string, rounds int) *flagSet {
	f := &flagSet{FlagSet: flag.NewFlagSet(command, flag.ContinueOnError), options: &options{}}
	o := f.options
	f.IntVar(&o.rounds, "rounds", rounds, "rounds; every process is started anew in each, in a random order")
	f.Float64Var(&f.seconds, "seconds", 5, "length of each measurement")
	f.StringVar(&f.only, "only", "", "run only these `scenarios`, separated by commas; name:1 and name:2 are those with so many cores")
	f.StringVar(&o.binary, "gateway", "", "gateway `binary`; default: built from this checkout")
	f.StringVar(&o.nginx, "nginx", "/usr/sbin/nginx", "nginx `binary`")
	f.StringVar(&o.profiles, "profile", "", "write CPU and heap profiles of the gateway into this `directory`; the figures suffer")
	f.BoolVar(&o.strict, "strict", false, "end with status 3 if a promise was not kept")
	f.Func("loader", "who sends closed loops: auto (wrk where it is installed and costs less), wrk or own (default auto)", func(text string) error {
		o.loader = loader(text)
		if !slices.Contains([]loader{autoLoader, wrkLoader, ownLoader}, o.loader) {
			return errors.New("expected auto, wrk or own")
		}
		return nil
	})
	o.loader = autoLoader
	return f
}

// parse reads the arguments, of which none may be left, into the options.
func (f *flagSet) parse(args []string) error {
	if err := f.Parse(args); err != nil {
		return err
	}
	o := f.options
	o.duration = time.Duration(f.seconds * float64(time.Second))
	if o.rounds < 1 || o.duration < 100*time.Millisecond || f.NArg() > 0 {
		return errors.New("expected at least 1 round of at least 0.1 seconds, and no arguments")
	}
	if o.loader == wrkLoader && o.duration < time.Second {
		return fmt.Errorf("-loader wrk with -seconds %g: wrk counts whole seconds, expected at least 1", f.seconds)
	}
	return nil
}

// choose keeps the scenarios that were asked for.
func (f *flagSet) choose(all []*scenario) ([]*scenario, error) {
	if f.only == "" {
		return all, nil
	}
	names := strings.Split(f.only, ",")
	for _, name := range names {
		if !slices.ContainsFunc(all, func(s *scenario) bool { return s.called(name) }) {
			return nil, fmt.Errorf("unknown scenario %q, expected some of %s, or one of them with a number of cores, as %s:1",
				name, strings.Join(namesOf(all), ", "), all[0].name)
		}
	}
	return slices.DeleteFunc(all, func(s *scenario) bool { return !slices.ContainsFunc(names, s.called) }), nil
}

// called reports whether that is the scenario's name, alone or with its number
// of cores.
func (s *scenario) called(name string) bool {
	return name == s.name || name == fmt.Sprintf("%s:%d", s.name, s.cores)
}

func namesOf(all []*scenario) (names []string) {
	for _, s := range all {
		if !slices.Contains(names, s.name) {
			names = append(names, s.name)
		}
	}
	return names
}

// parseCores reads "1", "2" or "1,2".
func parseCores(text string) (cores []int, err error) {
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 1 || n > 2 || slices.Contains(cores, n) {
			return nil, fmt.Errorf("-cores %q: expected 1, 2 or 1,2", text)
		}
		cores = append(cores, n)
	}
	return cores, nil
}

// reportFlags are those of report.
type reportFlags struct {
	*flag.FlagSet
	directory *string
	readme    *bool
}

func newReportFlags() *reportFlags {
	f := &reportFlags{FlagSet: flag.NewFlagSet("report", flag.ContinueOnError)}
	f.directory = f.String("out", keptResults, "the `directory` with "+resultsFile)
	f.readme = f.Bool("readme", true, "put the results into README.md and bench/README.md of the current directory")
	return f
}
