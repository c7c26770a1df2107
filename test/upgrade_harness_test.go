package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/test/port"
	"github.com/keystone-gateway/keystone-gateway/test/program"
)

// lineage is a gateway whose process is replaced by others: all of them write to
// one log.
type lineage struct {
	gateway
	binary    string // the file that upgrades start
	processes []*generation
}

// generation is one of the processes.
type generation struct {
	*os.Process
	exited chan struct{}
	code   int // once exited is closed
}

// startLineage starts the first process. config is as startGateway's. At the end
// each process must have ended with status 0.
func startLineage(t *testing.T, config string, env ...string) *lineage {
	t.Helper()
	directory := t.TempDir()
	l := &lineage{gateway: gateway{address: port.Reserve(t), admin: port.Reserve(t), config: filepath.Join(directory, "config.yaml"), output: &tail{}}}
	l.binary = filepath.Join(directory, "keystone-gateway")
	l.install(t, gatewayBinary(t))
	l.write(t, config)
	read, write, err := os.Pipe() // which no goroutine of exec's reads: that would wait for all processes
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(l.output, read) }()          // ends with the last process
	l.command = exec.Command(l.binary, "-config", l.config) // #nosec G204 -- the binary that this test built
	l.command.Env = append(os.Environ(), env...)
	l.command.Stdout, l.command.Stderr = write, write
	if err := l.command.Start(); err != nil {
		t.Fatal(err)
	}
	_ = write.Close()
	l.adopt(l.command.Process)
	t.Cleanup(func() { l.end(t) })
	l.awaitMessages(t, "listening", 1)
	return l
}

// write is gateway's, or, of a configuration that lists its listeners, puts the
// address in the place of PLAIN.
func (l *lineage) write(t *testing.T, config string) {
	t.Helper()
	if !strings.Contains(config, "PLAIN") {
		l.gateway.write(t, config)
		return
	}
	text := "admin: {address: " + l.admin + "}\n" + strings.ReplaceAll(config, "PLAIN", l.address)
	if err := os.WriteFile(l.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// install puts a file in the binary's place, as a new version would be.
func (l *lineage) install(t *testing.T, from string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	l.installText(t, content)
}

func (l *lineage) installText(t *testing.T, content []byte) {
	t.Helper()
	fresh := l.binary + ".new"
	program.Write(t, fresh, content)
	if err := os.Rename(fresh, l.binary); err != nil {
		t.Fatal(err)
	}
}

// adopt waits for the end of a process, which is a child of this one: the gateway
// starts its successor so.
func (l *lineage) adopt(process *os.Process) *generation {
	g := &generation{Process: process, exited: make(chan struct{})}
	l.processes = append(l.processes, g)
	go func() {
		defer close(g.exited)
		state, err := process.Wait()
		if g.code = -1; err == nil {
			g.code = state.ExitCode()
		}
	}()
	return g
}

// current is the process that serves.
func (l *lineage) current() *generation { return l.processes[len(l.processes)-1] }

func (l *lineage) signal(t *testing.T, signal os.Signal) {
	t.Helper()
	if err := l.current().Signal(signal); err != nil {
		t.Fatal(err)
	}
}

// upgrade replaces the process that serves.
func (l *lineage) upgrade(t *testing.T) {
	t.Helper()
	n := len(l.messages(tookOver))
	l.signal(t, syscall.SIGUSR2)
	l.awaitUpgrade(t, n)
}

const (
	tookOver  = "upgrade: the new process has taken over, this one ends what it has begun"
	noUpgrade = "no upgrade, this process goes on"
)

// awaitUpgrade waits for another process than the first n.
func (l *lineage) awaitUpgrade(t *testing.T, n int) {
	t.Helper()
	l.awaitMessages(t, tookOver, n+1)
	l.awaitMessages(t, "listening", n+2)
	process, err := os.FindProcess(l.messages(tookOver)[n].PID)
	if err != nil {
		t.Fatal(err)
	}
	l.adopt(process)
}

// refuseUpgrade has an upgrade fail; the log must say why.
func (l *lineage) refuseUpgrade(t *testing.T, why string) {
	t.Helper()
	n := len(l.messages(noUpgrade))
	l.signal(t, syscall.SIGUSR2)
	l.awaitMessages(t, noUpgrade, n+1)
	if got := l.messages(noUpgrade)[n].Error; !strings.Contains(got, why) {
		t.Errorf("the upgrade failed with %q, want %q", got, why)
	}
}

type logged struct {
	Message, Error string
	PID            int
}

// messages are the log's lines with a message.
func (l *lineage) messages(message string) (list []logged) {
	for line := range bytes.Lines([]byte(l.output.String())) {
		var m logged
		if json.Unmarshal(line, &m) == nil && m.Message == message {
			list = append(list, m)
		}
	}
	return list
}

func (l *lineage) awaitMessages(t *testing.T, message string, n int) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for len(l.messages(message)) < n {
		if time.Now().After(deadline) {
			t.Fatalf("%d lines of the log say %q, want %d:\n%s", len(l.messages(message)), message, n, lastLines(l.output.String(), 40))
		}
		time.Sleep(pollPause)
	}
}

// end ends all processes, and looks how they ended.
func (l *lineage) end(t *testing.T) {
	t.Helper()
	for _, p := range l.processes {
		_ = p.Signal(syscall.SIGTERM)
	}
	for i, p := range l.processes {
		select {
		case <-p.exited:
		case <-time.After(2 * patience):
			t.Errorf("process %d of %d still runs after SIGTERM", i+1, len(l.processes))
			_ = p.Kill()
			<-p.exited
		}
		if p.code != 0 {
			t.Errorf("process %d of %d ended with status %d, want 0", i+1, len(l.processes), p.code)
		}
	}
	for _, sign := range []string{"DATA RACE", "panic", "goroutine 1 ["} {
		if strings.Contains(l.output.String(), sign) {
			t.Errorf("the gateway's output holds %q", sign)
		}
	}
	if t.Failed() {
		t.Logf("output of the gateway:\n%s", lastLines(l.output.String(), 80))
	}
}

// echoUpstream answers requests, and echoes what tunnels send.
func echoUpstream(t *testing.T) string {
	t.Helper()
	return serveFunc(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			_, _ = fmt.Fprintf(w, "hello %s", r.URL.Path)
			return
		}
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_, _ = io.Copy(conn, rw)
	})
}

// traffic is load that counts what fails.
type traffic struct {
	stop  chan struct{}
	wait  sync.WaitGroup
	mu    sync.Mutex
	done  int
	wrong []string
}

func (f *traffic) count(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.done++
	if err != nil && len(f.wrong) < 20 {
		f.wrong = append(f.wrong, err.Error())
	}
}

func (f *traffic) requests() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.done
}

// repeat calls f at that interval until the traffic ends.
func (f *traffic) repeat(interval time.Duration, call func() error) {
	f.wait.Go(func() {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			f.count(call())
			select {
			case <-f.stop:
				return
			case <-ticker.C:
			}
		}
	})
}

// end stops the traffic and fails the test if anything of it failed.
func (f *traffic) end(t *testing.T) {
	t.Helper()
	close(f.stop)
	f.wait.Wait()
	for _, w := range f.wrong {
		t.Error(w)
	}
	t.Logf("%d requests and messages, %d failed (20 at most are counted)", f.done, len(f.wrong))
}
