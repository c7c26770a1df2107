package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// suite is the tests of one package, built with all mutants of the changed one.
type suite struct {
	name   string
	dir    string   // in which they run
	binary string   // built by go test -c
	extra  []string // of the environment
	Hash   string   // of what was built: coverage that is kept belongs to it
	Tests  map[string]*coverage
}

// coverage is what one test does when nothing is changed.
type coverage struct {
	Fails   bool // then it judges nothing
	Took    time.Duration
	CPU     time.Duration
	Reaches []int // mutants, by number
}

// What a test may take that is run to see what it reaches, and how often what
// it took then one may take that judges, besides what the options grant.
const (
	coverPatience = 5 * time.Minute
	multiple      = 8
)

// memoryLimit bounds what a mutant's process may use, in KiB: one that
// allocates in an endless loop must not take the machine with it.
const memoryLimit = 4 << 20

// newSuite builds the tests of a package with the schema, and finds out what
// each reaches of those whose names match, unless that is known of the same binary.
func (b *bench) newSuite(ctx context.Context, pattern, only, overlay, dir string) (*suite, error) {
	where := exec.CommandContext(ctx, "go", "list", "-C", b.pkg.root, "-f", "{{.Dir}}", pattern) // #nosec G204 -- a developer's tool runs what its user names
	output, err := where.Output()
	if err != nil {
		return nil, fmt.Errorf("cannot find %s: %w", pattern, err)
	}
	s := &suite{name: pattern, dir: strings.TrimSpace(string(output)), binary: filepath.Join(dir, "tests")}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	built := sha256.New()
	if pattern == e2e {
		gateway := filepath.Join(dir, "keystone-gateway")
		if err := build(ctx, built, gateway, "build", "-C", b.pkg.root, "-overlay", overlay, "-o", gateway, "."); err != nil {
			return nil, err
		}
		s.extra = []string{"KEYSTONE_BINARY=" + gateway}
	}
	if err := build(ctx, built, s.binary, "test", "-C", b.pkg.root, "-c", "-overlay", overlay, "-o", s.binary, pattern); err != nil {
		return nil, err
	}
	s.Hash = hex.EncodeToString(built.Sum(nil))
	return s, s.cover(ctx, b, only, filepath.Join(dir, "cover.json"))
}

// build runs go, and adds what it built to a hash.
func build(ctx context.Context, hash io.Writer, result string, arguments ...string) error {
	command := exec.CommandContext(ctx, "go", arguments...) // #nosec G204 -- a developer's tool runs what its user names
	command.Stderr = os.Stderr
	if err := command.Run(); err != nil {
		return fmt.Errorf("cannot build: go %s: %w", strings.Join(arguments, " "), err)
	}
	built, err := os.Open(result) // #nosec G304 -- just built
	if err != nil {
		return err
	}
	defer func() { _ = built.Close() }()
	_, err = io.Copy(hash, built)
	return err
}

// cover runs each test alone, as the code stands.
func (s *suite) cover(ctx context.Context, b *bench, only, kept string) error {
	matching, err := regexp.Compile(b.tests)
	if err != nil {
		return fmt.Errorf("-tests: %w", err)
	}
	wanted, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("whose tests judge: %s: %w", s.name, err)
	}
	known := &suite{}
	if text, err := os.ReadFile(kept); err == nil && json.Unmarshal(text, known) == nil && known.Hash == s.Hash { // #nosec G304 -- our own
		s.Tests = known.Tests
	}
	if s.Tests == nil {
		s.Tests = map[string]*coverage{}
	}
	list, err := exec.CommandContext(ctx, s.binary, "-test.list", b.tests).Output() // #nosec G204 -- just built
	if err != nil {
		return fmt.Errorf("cannot list the tests of %s: %w", s.name, err)
	}
	var missing []string
	for name := range strings.Lines(string(list)) {
		name = strings.TrimSpace(name)
		isTest := strings.HasPrefix(name, "Test") || strings.HasPrefix(name, "Fuzz") || strings.HasPrefix(name, "Example")
		if isTest && matching.MatchString(name) && wanted.MatchString(name) && s.Tests[name] == nil {
			missing = append(missing, name)
		}
	}
	b.each(ctx, len(missing), func(i int) {
		c := s.coverOne(ctx, b.schema.size(), missing[i])
		b.mutex.Lock()
		defer b.mutex.Unlock()
		s.Tests[missing[i]] = c
		if c.Fails {
			_, _ = fmt.Fprintf(b.out, "%s: %s fails with the schema, and judges nothing\n", s.name, missing[i])
		}
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	maps.DeleteFunc(s.Tests, func(name string, _ *coverage) bool { // those that judged another time
		return !matching.MatchString(name) || !wanted.MatchString(name)
	})
	return os.WriteFile(kept, text, 0o600)
}

func (s *suite) coverOne(ctx context.Context, size int, name string) *coverage {
	c := &coverage{Fails: true}
	hits, err := os.CreateTemp("", "hits")
	if err != nil {
		return c
	}
	defer func() { _, _ = hits.Close(), os.Remove(hits.Name()) }()
	if hits.Truncate(int64(size)) != nil {
		return c
	}
	r := s.run(ctx, []string{name}, coverPatience, coverPatience, "KEYSTONE_MUTANT_HITS="+hits.Name())
	c.Fails, c.Took, c.CPU = r.failed, r.took, r.cpu
	reached, err := os.ReadFile(hits.Name())
	if err != nil {
		c.Fails = true
	}
	for id, hit := range reached {
		if hit != 0 {
			c.Reaches = append(c.Reaches, id)
		}
	}
	return c
}

// result is what came of a run of tests.
type result struct {
	failed, hung bool
	by           string // the first test that failed
	took, cpu    time.Duration
}

var failure = regexp.MustCompile(`(?m)^\s*--- FAIL: ([^\s/]+)`)

// run runs tests in a process of their own, which ends after a while of time
// or of the processor's, and with it all that it started.
func (s *suite) run(ctx context.Context, tests []string, patience, cpu time.Duration, environment ...string) result {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	temporary, err := os.MkdirTemp("", "mutant")
	if err != nil {
		return result{failed: true}
	}
	defer func() { _ = os.RemoveAll(temporary) }()
	limits := fmt.Sprintf(`ulimit -d %d -t %d; exec "$0" "$@"`, memoryLimit, int(cpu.Seconds())+1)
	command := exec.CommandContext(ctx, "sh", "-c", limits, s.binary, // #nosec G204 -- just built
		"-test.failfast", "-test.run", "^("+strings.Join(tests, "|")+")$")
	command.Dir = s.dir
	command.Env = append(append(append(os.Environ(), s.extra...), environment...), "TMPDIR="+temporary)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	command.WaitDelay = time.Second
	start := time.Now()
	output, err := command.CombinedOutput()
	r := result{failed: err != nil, took: time.Since(start), by: "a crash"}
	if found := failure.FindSubmatch(output); found != nil {
		r.by = string(found[1])
	}
	if state := command.ProcessState; state != nil {
		r.cpu = state.UserTime() + state.SystemTime()
		status, _ := state.Sys().(syscall.WaitStatus)
		r.hung = status.Signaled() && (status.Signal() == syscall.SIGKILL || status.Signal() == syscall.SIGXCPU)
		_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL) // what a test left behind
	}
	return r
}

// each calls a function for 0 to n-1, as many at once as there are workers.
func (b *bench) each(ctx context.Context, n int, do func(i int)) {
	var next, wait = make(chan int), sync.WaitGroup{}
	for range b.workers {
		wait.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	for i := 0; i < n && ctx.Err() == nil; i++ {
		next <- i
	}
	close(next)
	wait.Wait()
}
