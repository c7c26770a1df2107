package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/mattn/go-isatty"

	"github.com/keystone-gateway/keystone-gateway/lua/luatest"
	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
)

// exitStatus ends the program with a status other than 1, when the cause has
// been printed.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// statusUsage is the status where nothing has been tested.
const statusUsage = exitStatus(2)

// scriptsDirectory is where scripts are unless the command line says otherwise.
const scriptsDirectory = "scripts"

// testFlags are the command line of the command "test".
type testFlags struct {
	run, dir, coverOut, junit string
	cover, verbose            bool
	timeout                   time.Duration
}

// runTest is the command "test": it runs the tests of scripts.
func runTest(args []string) error {
	var f testFlags
	flags := flag.NewFlagSet("test", flag.ContinueOnError)
	flags.StringVar(&f.run, "run", "", "run only the tests whose names (\"group / test\") match this `regexp`")
	flags.StringVar(&f.dir, "scripts", "", "scripts `directory` that names of scripts start from (default: the one that is tested)")
	flags.BoolVar(&f.cover, "cover", false, "print which lines of the scripts have run")
	flags.StringVar(&f.coverOut, "cover-out", "", "write these lines to a `file`, in the format of lcov")
	flags.StringVar(&f.junit, "junit", "", "write the results to a `file`, as JUnit's XML")
	flags.BoolVar(&f.verbose, "v", false, "print every test, and what it prints")
	flags.DurationVar(&f.timeout, "timeout", luatest.DefaultTimeout, "how long one test may take")
	flags.Usage = func() {
		fmt.Fprintf(flags.Output(), "usage: keystone-gateway test [flags] [directory | file%s ...]\n\n", luatest.Suffix)
		flags.PrintDefaults()
	}
	err := parseFlags(flags, args)
	if errors.Is(err, flag.ErrHelp) {
		return err
	}
	var report *luatest.Report
	if err == nil {
		report, err = f.test(flags.Args())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "keystone-gateway: "+cause.Text(err))
		return statusUsage
	}
	if err := f.write(report); err != nil {
		return err
	}
	if !report.OK() {
		return errReported
	}
	return nil
}

// test runs the tests that the arguments name.
func (f *testFlags) test(args []string) (*luatest.Report, error) {
	options := luatest.Options{Cover: f.cover || f.coverOut != "", Timeout: f.timeout}
	var err error
	if options.Dir, options.Files, err = chooseTests(f.dir, args); err != nil {
		return nil, err
	}
	f.dir = options.Dir
	if f.run != "" {
		if options.Run, err = regexp.Compile(f.run); err != nil {
			return nil, fmt.Errorf("-run %q is not a regular expression: %w", f.run, err)
		}
	}
	terminal := isatty.IsTerminal(os.Stdout.Fd())
	console := &luatest.Console{Out: os.Stdout, Terminal: terminal, Plain: os.Getenv("NO_COLOR") != "", Verbose: f.verbose}
	options.Progress = console.Progress
	ctx := untilSignal()
	report, err := luatest.Run(ctx, options)
	if err == nil {
		console.Summary(report)
	}
	return report, err
}

// chooseTests finds out what to run, and from which directory names of scripts
// start.
func chooseTests(dir string, args []string) (string, []string, error) {
	if len(args) == 0 {
		if dir == "" {
			dir = scriptsDirectory
		}
		args = []string{dir}
	}
	for _, arg := range args {
		info, err := os.Stat(arg)
		if err != nil {
			return "", nil, fmt.Errorf("cannot test: %w", err)
		}
		if dir != "" {
			continue
		}
		if dir = arg; !info.IsDir() {
			dir = filepath.Dir(arg)
		}
		dir = directoryOf(dir)
	}
	return dir, args, nil
}

// directoryOf is the scripts directory for tests in a directory: "scripts" if
// it is within, else the directory itself.
func directoryOf(dir string) string {
	if relative, err := filepath.Rel(scriptsDirectory, dir); err == nil && filepath.IsLocal(relative) {
		return scriptsDirectory
	}
	return dir
}

// write writes what was asked for beside the results.
func (f *testFlags) write(r *luatest.Report) error {
	if f.cover {
		fmt.Println()
		if err := luatest.WriteCoverage(os.Stdout, r.Coverage); err != nil {
			return err
		}
	}
	if f.coverOut != "" {
		if err := writeFile(f.coverOut, func(w io.Writer) error { return luatest.WriteLCOV(w, f.dir, r.Coverage) }); err != nil {
			return err
		}
	}
	if f.junit != "" {
		return writeFile(f.junit, func(w io.Writer) error { return luatest.WriteJUnit(w, r) })
	}
	return nil
}

func writeFile(name string, write func(w io.Writer) error) error {
	var text strings.Builder
	if err := write(&text); err != nil {
		return err
	}
	if err := os.WriteFile(name, []byte(text.String()), 0o644); err != nil { //nolint:gosec // a report is for everybody
		return fmt.Errorf("cannot write the report: %w", err)
	}
	return nil
}
