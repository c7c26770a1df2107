package luatest

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/proxy/files"
)

// file is one file with tests under way. Its fields are guarded by the
// machine's lock where Lua functions use them; clock, mocks and gateways guard
// themselves.
type file struct {
	runner  *runner
	name    string // below the directory, with slashes
	machine *machine
	clock   *fakeClock
	mocks   map[string]*mock
	headers *glua.LTable // metatables
	message *glua.LTable
	expects *glua.LTable

	root    *group
	current *group // the one being declared
	tests   []*testCase
	running *testCase // nil while tests are declared
}

// group is what describe makes; the root is the file itself.
type group struct {
	parent        *group
	name          string
	before, after []*glua.LFunction
	scripts       []string
	config        map[string]any
}

// testCase is one test.
type testCase struct {
	group  *group
	name   string
	fn     *glua.LFunction
	skip   bool
	report *TestReport

	// While it runs:
	own      group // what the test itself configures
	gateway  *gateway
	starting bool
	output   strings.Builder
	trouble  []error // of functions that answered for a mock
	asked    []string
}

// maxSource bounds a test file, in bytes.
const maxSource = 1 << 20

// runFile runs one file.
func (r *runner) runFile(ctx context.Context, name string) *FileReport {
	report := &FileReport{Name: name}
	began := time.Now()
	defer func() { report.Duration = time.Since(began) }()
	f := &file{runner: r, name: name, clock: &fakeClock{}, mocks: map[string]*mock{}, root: &group{}}
	f.clock.reset()
	f.current = f.root
	var cover func(string, int)
	if r.cover != nil {
		cover = r.cover.hit
	}
	f.machine = newMachine(f.clock, f, cover)
	defer f.machine.close()
	defer f.closeMocks()
	f.openFunctions(f.machine.main)
	if err := f.load(ctx); err != nil {
		report.Err = f.describe(err)
		return report
	}
	for _, t := range f.tests {
		if expression := r.options.Run; expression != nil && !expression.MatchString(t.fullName()) {
			continue
		}
		t.report = &TestReport{Name: t.fullName()}
		report.Tests = append(report.Tests, t.report)
		r.progress(Event{Name: name, Test: t.report})
		f.runTest(ctx, t)
		r.progress(Event{Name: name, Test: t.report})
	}
	return report
}

// load runs the file itself, which declares its tests.
func (f *file) load(ctx context.Context) error {
	source, err := readSource(f.runner.options.Dir, f.name)
	if err != nil {
		return err
	}
	f.machine.lock.Lock()
	main, err := f.machine.instantiate(source, f.name, false)
	f.machine.lock.Unlock()
	if err != nil {
		return err
	}
	return f.machine.call(ctx, f.runner.options.Timeout, main, nil, nil)
}

// runTest runs one test with a fresh gateway, fresh mocks and the clock reset.
func (f *file) runTest(ctx context.Context, t *testCase) {
	if t.skip {
		t.report.Status = Skipped
		return
	}
	began := time.Now()
	f.clock.reset()
	t.own.parent = t.group
	err := f.resetMocks()
	if err == nil {
		f.setRunning(t)
		err = f.runFunctions(ctx, t)
		f.setRunning(nil)
	}
	f.finish(t, err)
	t.report.Duration = time.Since(began)
}

func (f *file) setRunning(t *testCase) {
	f.machine.lock.Lock()
	f.running = t
	f.machine.lock.Unlock()
}

// runFunctions runs what stands around a test, and the test. What comes after
// it runs also if it has failed.
func (f *file) runFunctions(ctx context.Context, t *testCase) error {
	timeout := f.runner.options.Timeout
	var groups []*group // the outermost first
	for g := t.group; g != nil; g = g.parent {
		groups = append([]*group{g}, groups...)
	}
	var failed error
	run := func(list []*glua.LFunction) {
		for _, fn := range list {
			if failed == nil {
				failed = f.machine.call(ctx, timeout, fn, nil, nil)
			}
		}
	}
	for _, g := range groups {
		run(g.before)
	}
	run([]*glua.LFunction{t.fn})
	for i := len(groups) - 1; i >= 0; i-- {
		for _, fn := range groups[i].after {
			if err := f.machine.call(ctx, timeout, fn, nil, nil); failed == nil {
				failed = err
			}
		}
	}
	return failed
}

// finish stops the test's gateway and fills in its report.
func (f *file) finish(t *testCase, err error) {
	f.releaseMocks()         // else the gateway waits for those who never answer
	f.machine.client.Close() // idle connections to the gateway
	if t.gateway != nil {
		t.gateway.stop()
	}
	f.machine.answering.Lock() // waits for functions that still answer for mocks
	defer f.machine.answering.Unlock()
	f.machine.lock.Lock() // for what they have left
	defer f.machine.lock.Unlock()
	t.report.Output = t.output.String()
	if err == nil && len(t.trouble) > 0 {
		err, t.trouble = t.trouble[0], t.trouble[1:]
	}
	if err == nil {
		t.report.Status = Passed
		return
	}
	t.report.Status = Failed
	t.report.Failure = f.describe(err)
	t.report.Details = f.details(t)
}

// describe words an error with where it came from.
func (f *file) describe(err error) string {
	e, ok := err.(*luaError) //nolint:errorlint // machine.call returns it unwrapped
	if !ok {
		return err.Error()
	}
	text := e.message
	for i, frame := range e.stack {
		// The innermost frame is where the message says it was.
		if i > maxCallers || i == 0 && strings.HasPrefix(text, position(frame)+":") {
			continue
		}
		text += "\n  called at " + frame
	}
	return text
}

// maxCallers bounds how many callers are shown of a failure.
const maxCallers = 8

// details tells what the test asked, and what the gateway and the upstreams
// have noticed of it.
func (f *file) details(t *testCase) string {
	var b strings.Builder
	for _, line := range t.asked {
		fmt.Fprintf(&b, "%s\n", line)
	}
	if t.gateway != nil {
		t.gateway.log.describe(&b)
	}
	for _, err := range t.trouble {
		fmt.Fprintf(&b, "a function that answers for an upstream failed: %s\n", f.describe(err))
	}
	return strings.TrimRight(b.String(), "\n")
}

func (t *testCase) fullName() string {
	name := t.name
	for g := t.group; g != nil && g.parent != nil; g = g.parent {
		name = g.name + " / " + name
	}
	return name
}

// tenant is the tenant's name unless the configuration says otherwise: that of
// the first directory, as modules of tenants are kept.
func (f *file) tenant() string {
	if first, _, ok := strings.Cut(f.name, "/"); ok {
		return first
	}
	return "test"
}

// script is the script that the file tests unless it says otherwise.
func (f *file) script() string {
	return strings.TrimSuffix(f.name, Suffix) + ".lua"
}

// readSource returns the content of a file below dir.
func readSource(dir, name string) ([]byte, error) {
	source, _, err := files.Dir{Path: dir}.Read(path.Clean(name), maxSource)
	if errors.Is(err, files.ErrTooLarge) {
		return nil, fmt.Errorf("file %q is too large, expected at most %d bytes", name, maxSource)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open %q: %w", name, err)
	}
	return source, nil
}
