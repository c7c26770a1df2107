package luatest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Suffix ends the names of files with tests.
const Suffix = "_test.lua"

// DefaultTimeout is how long one test may take.
const DefaultTimeout = 10 * time.Second

// ErrNoTests says that there was nothing to run.
var ErrNoTests = errors.New("no tests")

// Options say what to run.
type Options struct {
	// Dir is the scripts directory, as in lua_routing.scripts_dir: names of
	// scripts are relative to it.
	Dir string
	// Files are the files with tests, and directories that stand for all below
	// them; nil is all below Dir.
	Files []string
	// Run chooses the tests whose names, "group / test", it matches; nil is all.
	Run *regexp.Regexp
	// Timeout bounds one test, and the loading of a file; 0 is DefaultTimeout.
	Timeout time.Duration
	// Cover counts which lines of the scripts have run.
	Cover bool
	// Progress, if not nil, is called by the goroutine of Run as things happen.
	Progress func(Event)
}

// Event is a step of a run. One of Test and File is nil: Test has begun or,
// with a Status, ended; File has ended.
type Event struct {
	Name string // of the file
	Test *TestReport
	File *FileReport
}

// Run runs tests, one after the other. The error says why there was nothing
// to run (ErrNoTests) or that ctx is done; failing tests are in the report.
//
// While a test file that sets env in its config runs, these variables are set
// for the whole process: two Runs at once must not both do that.
func Run(ctx context.Context, o Options) (*Report, error) {
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("cannot find the directory %q: %w", o.Dir, err)
	}
	o.Dir = dir
	names, err := o.names()
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%w: there is no *%s in %s", ErrNoTests, Suffix, dir)
	}
	r := &runner{options: o}
	if o.Cover {
		r.cover = newCoverage(dir)
	}
	report := &Report{}
	began := time.Now()
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		file := r.runFile(ctx, name)
		report.Files = append(report.Files, file)
		r.progress(Event{Name: name, File: file})
	}
	report.Duration = time.Since(began)
	if o.Cover {
		report.Coverage = r.cover.report()
	}
	if report.Tests() == 0 && report.OK() {
		return report, fmt.Errorf("%w: none is chosen by the expression %q", ErrNoTests, o.expression())
	}
	return report, nil
}

// runner is one run over all its files.
type runner struct {
	options Options
	cover   *coverage // nil without
}

func (r *runner) progress(e Event) {
	if r.options.Progress != nil {
		r.options.Progress(e)
	}
}

// names returns the files with tests, as paths below the directory with
// slashes, in order.
func (o *Options) names() ([]string, error) {
	paths := o.Files
	if paths == nil {
		paths = []string{o.Dir}
	}
	var names []string
	for _, path := range paths {
		found, err := find(path)
		if err != nil {
			return nil, err
		}
		for _, path := range found {
			name, err := below(o.Dir, path)
			if err != nil {
				return nil, err
			}
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// below returns a path as one below dir, with slashes.
func below(dir, path string) (string, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("cannot find the file %q: %w", path, err)
	}
	name, err := filepath.Rel(dir, absolute)
	if err != nil || !filepath.IsLocal(name) {
		return "", fmt.Errorf("file %q is not below the scripts directory %q", path, dir)
	}
	return filepath.ToSlash(name), nil
}

// find lists the test files below a directory, those in hidden directories
// left out, or returns the file itself.
func find(start string) ([]string, error) {
	var paths []string
	err := filepath.WalkDir(start, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case path == start && !entry.IsDir():
			paths = append(paths, path)
		case entry.IsDir() && path != start && strings.HasPrefix(entry.Name(), "."):
			return fs.SkipDir
		case !entry.IsDir() && strings.HasSuffix(entry.Name(), Suffix):
			paths = append(paths, path)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cannot look for tests: %w", err)
	}
	return paths, nil
}

func (o *Options) expression() string {
	if o.Run == nil {
		return ""
	}
	return o.Run.String()
}
