// Package test drives the built binary from outside: end-to-end and
// conformance suites over raw sockets, and the import rules of the module.
//
// It sees the gateway only through its command line, its sockets and its exit
// code. What one package does by itself is tested beside that package.
//
//	g := startGateway(t, simpleConfig(serveFunc(t, handler))) // until the test ends
//	answer := dial(t, g.address).exchange(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
package test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/test/port"
	"github.com/keystone-gateway/keystone-gateway/test/until"

	// The binary is built from these, so a cached result is stale when they change.
	_ "github.com/keystone-gateway/keystone-gateway/admin"
	_ "github.com/keystone-gateway/keystone-gateway/proxy"
)

const (
	// patience bounds every wait of the suite. Nothing that works comes near it,
	// on however slow or busy a machine: what fails may take long.
	patience = time.Minute
	// pollPause is how long a poll loop rests between two looks.
	pollPause = 5 * time.Millisecond
	// waitingTests is how many parallel tests run at once, unless -parallel says
	// otherwise: many of them wait for a time-out of the gateway, so that their
	// number isn't bound by the cores, but each has processes of its own, and
	// more at once take as long on two cores.
	waitingTests = 12
	// keptLog is how much of the end of a gateway's output is kept, in bytes.
	keptLog = 256 << 10
)

// binary is the gateway under test, built at its first use. TestMain owns the
// directory that it lives in.
var binary struct {
	once      sync.Once
	directory string
	path      string
	err       error
}

func TestMain(m *testing.M) {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen {
		if err := flag.Set("test.parallel", strconv.Itoa(waitingTests)); err != nil {
			panic(err)
		}
	}
	code := m.Run()
	if binary.directory != "" {
		_ = os.RemoveAll(binary.directory)
	}
	os.Exit(code)
}

// gateway is one running process of the binary.
type gateway struct {
	// address is the public listener, host:port.
	address string
	// admin is the admin listener, host:port.
	admin string
	// config is the path of its configuration file.
	config string
	// protocols, if not empty, are what the listener speaks, separated by commas.
	protocols string
	// secure, if not empty, is a second listener, with TLS; it goes with protocols.
	secure string
	// env is added to the environment, "NAME=value".
	env []string
	// dir is where it is started; empty is the test's directory.
	dir string
	// files is how many it may have open; 0 is as many as the test.
	files int
	// ends is the exit status that it is to end with.
	ends int

	command *exec.Cmd
	output  *tail
	exited  chan struct{}
}

// startGateway runs the binary with a configuration file that consists of the
// listeners on free ports, followed by config, which must not hold the keys
// server.address and admin.address. In config, a line "server:" may be given;
// its keys are merged below the address. The process ends with the test, which
// fails when it doesn't end with code 0 on SIGTERM, or when it reported a data
// race or a panic. env is added to its environment.
func startGateway(t *testing.T, config string, env ...string) *gateway {
	t.Helper()
	return (&gateway{env: env}).start(t, config)
}

// start is startGateway of a gateway that is something special.
func (g *gateway) start(t *testing.T, config string) *gateway {
	t.Helper()
	g.address, g.admin = port.Reserve(t), port.Reserve(t)
	g.config = filepath.Join(t.TempDir(), "config.yaml")
	g.write(t, config)
	g.launch(t)
	g.awaitReady(t)
	return g
}

// launch runs the binary with the gateway's configuration file.
func (g *gateway) launch(t *testing.T) {
	t.Helper()
	g.output = &tail{}
	g.launchInto(t, g.output)
}

// launchInto is launch with standard output and error of the test's.
func (g *gateway) launchInto(t *testing.T, output io.Writer) {
	t.Helper()
	g.exited = make(chan struct{})
	g.command = exec.Command(gatewayBinary(t), "-config", g.config) // #nosec G204 -- the binary that this test built
	if g.files > 0 {
		g.command = exec.Command("sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$0" -config "$1"`, g.files), gatewayBinary(t), g.config) // #nosec G204 -- as above
	}
	g.command.Env, g.command.Dir = append(os.Environ(), g.env...), g.dir
	g.command.Stdout, g.command.Stderr = output, output
	if err := g.command.Start(); err != nil {
		t.Fatalf("cannot start %s: %v", g.command.Path, err)
	}
	go func() {
		_ = g.command.Wait()
		close(g.exited)
	}()
	t.Cleanup(func() { g.stop(t) })
}

// write puts config, completed by the listeners, into the gateway's file.
func (g *gateway) write(t *testing.T, config string) {
	t.Helper()
	server, rest, found := strings.Cut("\n"+config, "\nserver:\n")
	if !found {
		server, rest = "\n"+config, ""
	}
	text := fmt.Sprintf("admin:\n  address: %s\nserver:\n  address: %s\n%s%s\n", g.admin, g.address, rest, server)
	if g.protocols != "" {
		second := ""
		if g.secure != "" {
			second = fmt.Sprintf(", {address: %q, tls: true}", g.secure)
		}
		text = fmt.Sprintf("admin:\n  address: %s\nlisteners: [{address: %q, protocols: [%s]}%s]\n%s\n", g.admin, g.address, g.protocols, second, server)
	}
	if err := os.WriteFile(g.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// awaitReady returns when the gateway says that it listens.
func (g *gateway) awaitReady(t *testing.T) {
	t.Helper()
	eventually(t, patience, "the gateway listens on "+g.address, func() bool {
		select {
		case <-g.exited:
			t.Fatalf("the gateway ended instead of listening on %s: %v\n%s", g.address, g.command.ProcessState, g.output)
		default:
		}
		return strings.Contains(g.output.String(), `"message":"listening"`)
	})
}

// stop ends the process and checks how it ended. Its output is shown when the
// test has failed.
func (g *gateway) stop(t *testing.T) {
	t.Helper()
	if err := g.command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("cannot send SIGTERM to the gateway: %v", err)
	}
	select {
	case <-g.exited:
	case <-time.After(2 * patience):
		t.Errorf("the gateway still runs %v after SIGTERM", 2*patience)
		_ = g.command.Process.Signal(syscall.SIGQUIT)
		<-g.exited
	}
	output := g.output.String()
	if code := g.command.ProcessState.ExitCode(); code != g.ends {
		t.Errorf("the gateway ended with %v, want exit status %d", g.command.ProcessState, g.ends)
	}
	for _, sign := range []string{"DATA RACE", "panic", "goroutine 1 ["} {
		if strings.Contains(output, sign) {
			t.Errorf("the gateway's output holds %q", sign)
		}
	}
	if t.Failed() {
		t.Logf("output of the gateway, without its access log:\n%s", lastLines(output, 60))
	}
}

// gatewayBinary returns the path of the gateway, built once for the whole run,
// with the race detector when the suite itself runs under it.
func gatewayBinary(t *testing.T) string {
	t.Helper()
	binary.once.Do(func() {
		if given := os.Getenv("KEYSTONE_BINARY"); given != "" { // see test/mutate
			binary.path = given
			return
		}
		if binary.directory, binary.err = os.MkdirTemp("", "keystone-gateway-test-"); binary.err != nil {
			return
		}
		binary.path = filepath.Join(binary.directory, "keystone-gateway")
		arguments := []string{"build", "-o", binary.path}
		if raceEnabled {
			arguments = append(arguments, "-race")
		}
		if counted := os.Getenv("KEYSTONE_COVER"); counted != "" { // see .ci/coverage
			arguments = append(arguments, "-cover", "-coverpkg="+counted)
		}
		build := exec.Command("go", append(arguments, "..")...) // #nosec G204 -- constant arguments
		if output, err := build.CombinedOutput(); err != nil {
			binary.err = fmt.Errorf("cannot build the gateway: %w\n%s", err, output)
		}
	})
	if binary.err != nil {
		t.Fatal(binary.err)
	}
	return binary.path
}

// missing skips a test for something that this machine lacks; in CI, where
// everything must be there, it fails it.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("KEYSTONE_CI") != "" {
		t.Fatalf("%s, and KEYSTONE_CI forbids to skip", what)
	}
	t.Skip(what)
}

// every calls f at that interval, on a goroutine of its own, until the test
// ends.
func every(t *testing.T, interval time.Duration, f func()) {
	t.Helper()
	stop, stopped := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(stop); <-stopped })
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				f()
			case <-stop:
				return
			}
		}
	}()
}

// eventually waits until something is true, and fails the test when that takes
// longer than a limit.
var eventually = until.Within

// lastLines returns the last count lines of text that aren't of the access log.
func lastLines(text string, count int) string {
	lines := slices.DeleteFunc(strings.Split(strings.TrimRight(text, "\n"), "\n"), func(line string) bool {
		return strings.Contains(line, `"bytes_out":`)
	})
	return strings.Join(lines[max(0, len(lines)-count):], "\n")
}

// tail is a writer that keeps the last keptLog bytes. It may be used by several
// goroutines.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

// Write never fails.
func (w *tail) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kept = append(w.kept, p...)
	if extra := len(w.kept) - keptLog; extra > 0 {
		w.kept = bytes.Clone(w.kept[extra:])
	}
	return len(p), nil
}

// String returns what is kept.
func (w *tail) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.kept)
}
