// Command mutate says whether the tests of a package would notice if the
// package did something else. It makes many small changes (mutants) of its
// code, runs the tests that reach each one, and lists those that no test
// noticed: `make mutate PKG=./proxy/http1 SAMPLE=200`.
//
// All mutants are compiled into one test binary (schema.go), and an
// environment variable chooses one: so a mutant costs the run of a few tests,
// not a build. Which tests reach which mutants is found out first, by running
// each test alone (cover.go); a mutant is then given those alone, quick ones
// first, and the first failure ends it (judge.go). What is decided is kept in
// .mutate, so that a run that was interrupted goes on, and what can't be
// noticed, since it changes nothing that anybody can see, stands with its
// reason in equivalent.txt; judges.txt says whose tests, besides its own, judge a
// package (record.go).
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// options are what the command line asks for.
type options struct {
	packages []string // to be changed: patterns of go list
	also     []string // whose tests judge what the package's own haven't noticed
	alsoSet  bool     // also is what the user wants, not what judges.txt says
	sample   int      // how many mutants of those that tests reach; 0 is all
	seed     int64
	workers  int
	tests    string        // only tests whose names match judge
	function string        // only mutants of functions that match
	longest  time.Duration // of the processor's, that tests may take which judge; 0 is no bound
	again    bool          // what survived is judged anew, and nothing else
	list     bool          // only says what has survived
	minimum  float64
	patience time.Duration // besides a multiple of what tests take
	cpu      time.Duration // so too, of the processor's
	dir      string        // where results are kept
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main without the process: 0 is a share of killed mutants that is
// large enough, 1 one that isn't, 2 that it couldn't be found out.
func run(ctx context.Context, arguments []string, stdout, stderr io.Writer) int {
	o, err := parse(arguments, stderr)
	if err != nil {
		return 2
	}
	enough := true
	for _, pattern := range o.packages {
		score, err := mutate(ctx, o, pattern, stdout)
		if err != nil {
			_, _ = fmt.Fprintf(stderr, "mutate %s: %v\n", pattern, err)
			return 2
		}
		enough = enough && score.percent() >= o.minimum
	}
	if !enough {
		return 1
	}
	return 0
}

func parse(arguments []string, stderr io.Writer) (*options, error) {
	o := &options{}
	var also string
	flags := flag.NewFlagSet("mutate", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&also, "also", "", "packages, separated by commas, as the module's root calls them, whose tests judge what the package's own haven't noticed; those in ./test with a gateway that holds the mutants; after a colon, an expression that their names must match; judges.txt says it otherwise")
	flags.IntVar(&o.sample, "sample", 0, "how many mutants, chosen at random; 0 is all")
	flags.Int64Var(&o.seed, "seed", 1, "chooses the sample")
	flags.IntVar(&o.workers, "workers", 2, "how many mutants are judged at once")
	flags.StringVar(&o.tests, "tests", ".", "only tests whose names match this expression judge")
	flags.DurationVar(&o.longest, "longest", 0, "only tests that take no more of the processor's time judge; what they haven't noticed, -again gives to all; 0 is no bound")
	flags.StringVar(&o.function, "func", ".", "only mutants of functions whose names match this expression")
	flags.BoolVar(&o.again, "again", false, "judge what has survived anew, and nothing else")
	flags.BoolVar(&o.list, "list", false, "only list what has survived")
	flags.Float64Var(&o.minimum, "minimum", 85, "percentage of mutants that must be killed")
	flags.DurationVar(&o.patience, "patience", 20*time.Second, "how long a mutant may take longer than the code as it stands")
	flags.DurationVar(&o.cpu, "cpu", 4*time.Second, "how much more of the processor's time a mutant may use")
	flags.StringVar(&o.dir, "dir", ".mutate", "where results are kept")
	if err := flags.Parse(arguments); err != nil {
		return nil, err
	}
	if o.packages = flags.Args(); len(o.packages) == 0 {
		flags.Usage()
		return nil, flag.ErrHelp
	}
	flags.Visit(func(f *flag.Flag) { o.alsoSet = o.alsoSet || f.Name == "also" })
	if also != "" {
		o.also = strings.Split(also, ",")
	}
	dir, err := filepath.Abs(o.dir)
	if err != nil {
		return nil, err
	}
	o.dir = dir
	return o, nil
}

// mutate does all for one package.
func mutate(ctx context.Context, o *options, pattern string, stdout io.Writer) (score, error) {
	pkg, err := loadPackage(ctx, pattern)
	if err != nil {
		return score{}, err
	}
	schema, err := newSchema(pkg)
	if err != nil {
		return score{}, err
	}
	kept, err := openRecord(filepath.Join(o.dir, strings.ReplaceAll(pkg.relative(), "/", "_")), pkg.relative())
	if err != nil {
		return score{}, err
	}
	equivalents, err := readEquivalents(pkg.root)
	if err != nil {
		return score{}, err
	}
	if !o.alsoSet {
		judges, err := readJudges(pkg.root)
		if err != nil {
			return score{}, err
		}
		own := *o
		o, own.also = &own, judges[pkg.relative()]
	}
	b := &bench{options: o, pkg: pkg, schema: schema, record: kept, equivalents: equivalents, out: stdout}
	if !o.list {
		if err := b.judgeAll(ctx); err != nil {
			return score{}, err
		}
	}
	return b.report(), ctx.Err()
}
