package test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestUpgradeFails: whatever is wrong with the new process, the old one goes on,
// and says what the new one has said.
func TestUpgradeFails(t *testing.T) {
	t.Parallel()
	upstream := echoUpstream(t)
	good := "server:\n  upgrade: {ready_timeout: 1m}\n" + simpleConfig(upstream)
	l := startLineage(t, good)
	tunnel := openTunnel(t, func() (net.Conn, error) { return net.Dial("tcp", l.address) })
	serves := func(after string) {
		t.Helper()
		if answer := dial(t, l.address).exchange(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); answer.status != 200 {
			t.Errorf("after %s: %d", after, answer.status)
		}
		if err := tunnel(); err != nil {
			t.Errorf("after %s: %v", after, err)
		}
	}
	for name, test := range map[string]struct{ content, why string }{
		"no program":            {"nonsense", "exec format error"},
		"a program that fails":  {"#!/bin/sh\necho library not found >&2\nexit 127\n", "has ended before it was ready; it has written last: library not found"},
		"one that ends in time": {"#!/bin/sh\nexit 0\n", "has ended before it was ready"},
		"another program":       {"#!/bin/sh\necho hello >&3\nsleep 1000\n", "doesn't answer as a gateway does"},
	} {
		l.installText(t, []byte(test.content))
		l.refuseUpgrade(t, test.why)
		serves(name)
	}
	if err := os.Remove(l.binary); err != nil {
		t.Fatal(err)
	}
	l.refuseUpgrade(t, "no such file")
	l.install(t, gatewayBinary(t))
	l.write(t, good+"\nnonsense: 1\n")
	l.refuseUpgrade(t, "unknown key \"nonsense\"")
	serves("a broken configuration")
	l.write(t, strings.ReplaceAll(good, "path_prefix: /", "path_prefix: nowhere"))
	l.refuseUpgrade(t, "nowhere")
	serves("a broken tenant")

	l.write(t, good)
	l.upgrade(t)
	serves("all of that")
}

// TestUpgradeHangs ends a new process that isn't ready in time.
func TestUpgradeHangs(t *testing.T) {
	t.Parallel()
	l := startLineage(t, "server:\n  upgrade: {ready_timeout: 100ms}\n"+simpleConfig(echoUpstream(t)))
	l.installText(t, []byte("#!/bin/sh\nexec sleep 1000\n"))
	l.refuseUpgrade(t, "was not ready within server.upgrade.ready_timeout (100ms)")
	hung := l.adoptStarted(t, 0)
	await(t, "the new process is ended", hung.exited)
	l.processes = l.processes[:1]
	if answer := dial(t, l.address).exchange(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); answer.status != 200 {
		t.Errorf("%d", answer.status)
	}
}

// adoptStarted adopts the nth process that an upgrade has started.
func (l *lineage) adoptStarted(t *testing.T, n int) *generation {
	t.Helper()
	const starts = "upgrade: a new process starts"
	l.awaitMessages(t, starts, n+1)
	process, err := os.FindProcess(l.messages(starts)[n].PID)
	if err != nil {
		t.Fatal(err)
	}
	return l.adopt(process)
}

// TestUpgradeEnded: a signal that ends the gateway ends the upgrade with it.
func TestUpgradeEnded(t *testing.T) {
	t.Parallel()
	l := startLineage(t, simpleConfig(echoUpstream(t)))
	l.installText(t, []byte("#!/bin/sh\nexec sleep 1000\n"))
	l.signal(t, syscall.SIGUSR2)
	hung := l.adoptStarted(t, 0)
	l.processes = l.processes[:1]
	l.signal(t, syscall.SIGTERM)
	await(t, "the new process is ended", hung.exited)
	await(t, "the gateway ends", l.current().exited)
}

// TestUpgradeReload: a reload that comes within an upgrade reaches both processes,
// and one that comes to the old process afterwards the new one.
func TestUpgradeReload(t *testing.T) {
	t.Parallel()
	upstream := echoUpstream(t)
	l := startLineage(t, simpleConfig(upstream))
	tunnel := openTunnel(t, func() (net.Conn, error) { return net.Dial("tcp", l.address) })
	gate := filepath.Join(filepath.Dir(l.binary), "go")
	l.installText(t, fmt.Appendf(nil, "#!/bin/sh\nwhile [ ! -e %q ]; do sleep 0.01; done\nexec %q \"$@\"\n", gate, gatewayBinary(t)))
	l.signal(t, syscall.SIGUSR2)
	l.awaitMessages(t, "upgrade: a new process starts", 1)
	l.signal(t, syscall.SIGHUP)
	l.awaitMessages(t, "reloaded", 1)
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l.awaitUpgrade(t, 0)
	l.awaitMessages(t, "reloaded", 2)
	l.write(t, strings.ReplaceAll(simpleConfig(upstream), "path_prefix: /", "path_prefix: /new"))
	if err := l.processes[0].Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "the new process has the new configuration", func() bool {
		return dial(t, l.address).exchange(t, "GET /new HTTP/1.1\r\nHost: a\r\n\r\n").status == 200 &&
			dial(t, l.address).exchange(t, "GET /other HTTP/1.1\r\nHost: a\r\n\r\n").status == 404
	})
	if err := tunnel(); err != nil {
		t.Error(err)
	}
}

// TestUpgradeWhileDraining replaces the second process while the first still has a
// tunnel, and the third: each ends when its own tunnel does, and what idles is left
// to its next request. One whose time is over is cut.
func TestUpgradeWhileDraining(t *testing.T) {
	t.Parallel()
	l := startLineage(t, "server:\n  drain_timeout: 100ms\n"+simpleConfig(echoUpstream(t), "admin_base_path: /ops"))
	connect := func() (net.Conn, error) { return net.Dial("tcp", l.address) }
	var idle []*client
	var tunnels []func() error
	for i := range 3 {
		idle = append(idle, dial(t, l.address))
		if ends, err := askOn(idle[i], ""); ends || err != nil {
			t.Fatal(ends, err)
		}
		tunnels = append(tunnels, openTunnel(t, connect))
		l.upgrade(t)
	}
	if err := l.processes[0].Signal(syscall.SIGUSR2); err != nil { // which serves no longer
		t.Fatal(err)
	}
	l.awaitMessages(t, "no upgrade of this process, which has been replaced: send SIGUSR2 to the one that serves", 1)
	for i := range idle {
		if err := tunnels[i](); err != nil {
			t.Errorf("tunnel %d: %v", i, err)
		}
		if ends, err := askOn(idle[i], ""); !ends || err != nil {
			t.Errorf("the idle connection %d: it ends: %t, %v", i, ends, err)
		}
		select {
		case <-l.processes[i].exited:
			t.Errorf("process %d has ended before its tunnel", i)
		default:
		}
	}
	if err := l.processes[1].Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	await(t, "a process that was replaced ends with a signal, within drain_timeout", l.processes[1].exited)
	for i, goesOn := range []bool{true, false, true} {
		if err := tunnels[i](); (err == nil) != goesOn {
			t.Errorf("tunnel %d: %v", i, err)
		}
	}
}

// TestUpgradeDrainTimeout cuts what is left of a process when its time is over.
func TestUpgradeDrainTimeout(t *testing.T) {
	t.Parallel()
	l := startLineage(t, "server:\n  upgrade: {drain_timeout: 300ms}\n"+simpleConfig(echoUpstream(t)))
	tunnel := openTunnel(t, func() (net.Conn, error) { return net.Dial("tcp", l.address) })
	l.upgrade(t)
	await(t, "the old process ends", l.processes[0].exited)
	if tunnel() == nil {
		t.Error("a tunnel of a process that has ended goes on")
	}
}

// TestUpgradeSockets: Unix sockets stay where they are, the admin API is the new
// process's, and health says nothing of the old one's end.
func TestUpgradeSockets(t *testing.T) {
	t.Parallel()
	directory, err := os.MkdirTemp("", "upgrade") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(directory) })
	path := filepath.Join(directory, "s")
	manager := newServiceManager(t)
	l := startLineage(t, "listeners: [{address: \"unix:"+path+"\"}, {name: public, address: PLAIN}]\n"+simpleConfig(echoUpstream(t)), manager.env())
	manager.expect(t, "READY=1\n")
	kept := dial(t, l.address)
	if ends, err := askOn(kept, ""); ends || err != nil {
		t.Fatal(ends, err)
	}
	for range 2 {
		l.upgrade(t)
		manager.expect(t, fmt.Sprintf("MAINPID=%d\n", l.current().Pid))
		manager.expect(t, "READY=1\n")
	}
	for range 20 { // of any process that listens there
		if status, body := adminGet(t, &l.gateway, "/admin/live"); status != 200 {
			t.Fatalf("the admin API: %d %s", status, body)
		}
	}
	if ends, err := askOn(kept, ""); !ends || err != nil {
		t.Errorf("a kept connection: it ends: %t, %v", ends, err)
	}
	await(t, "the first process ends", l.processes[0].exited)
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatalf("the Unix socket: %v", err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := askOn(clientOn(conn), ""); err != nil {
		t.Errorf("on the Unix socket: %v", err)
	}
	l.signal(t, syscall.SIGTERM)
	manager.expect(t, "STOPPING=1\n")
	await(t, "the gateway ends", l.current().exited)
	if _, err := os.Stat(path); err == nil {
		t.Error("the last process leaves the Unix socket's file behind")
	}
}

// TestUpgradeHead lets a client go on whose head the old process has half of, and
// one whose response has begun.
func TestUpgradeHead(t *testing.T) {
	t.Parallel()
	begun, proceed := make(chan struct{}), make(chan struct{})
	upstream := serveFunc(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			_, _ = io.WriteString(w, "half ")
			_ = http.NewResponseController(w).Flush()
			close(begun)
			<-proceed
		}
		_, _ = io.WriteString(w, "hello /x")
	})
	l := startLineage(t, simpleConfig(upstream))
	half, slow := dial(t, l.address), dial(t, l.address)
	_, _ = io.WriteString(half, "GET /x HTTP/1.1\r\nHo")
	_, _ = io.WriteString(slow, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	<-begun
	head, err := readHead(slow.reader)
	if err != nil || !strings.HasSuffix(head.start, "200 OK") {
		t.Fatal(head, err)
	}
	l.upgrade(t)
	close(proceed)
	_, _ = io.WriteString(half, "st: a\r\n\r\n")
	if answer := half.answer(t, "GET"); answer.status != 200 || string(answer.body) != "hello /x" {
		t.Errorf("half a head: %d %q", answer.status, answer.body)
	}
	if rest, err := readUntil(slow, "0\r\n\r\n"); err != nil || !strings.Contains(rest, "hello /x") {
		t.Errorf("a response that had begun: %q, %v", rest, err)
	}
	// Its head promised a kept connection: another request is answered.
	if ends, err := askOn(slow, ""); !ends || err != nil {
		t.Errorf("the request after it: it ends: %t, %v", ends, err)
	}
}

func readUntil(c *client, end string) (text string, err error) {
	_ = c.SetDeadline(time.Now().Add(patience))
	for !strings.HasSuffix(text, end) {
		b, err := c.reader.ReadByte()
		if err != nil {
			return text, err
		}
		text += string(b)
	}
	return text, nil
}

// TestUpgradeSessions: who has a TLS session with the old process resumes it with the
// new one.
func TestUpgradeSessions(t *testing.T) {
	t.Parallel()
	config, lines := certified(t, t.TempDir())
	l := startLineage(t, lines+"listeners: [{address: PLAIN, tls: true}]\n"+simpleConfig(echoUpstream(t)))
	config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	for i := range 3 {
		conn, err := tls.Dial("tcp", l.address, config)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := askOn(clientOn(conn), "Connection: close\r\n"); err != nil { // which reads the ticket too
			t.Fatal(err)
		}
		if resumed := conn.ConnectionState().DidResume; resumed != (i > 0) {
			t.Errorf("connection %d: resumed: %t", i, resumed)
		}
		_ = conn.Close()
		l.upgrade(t)
	}
}

// TestUpgradeChildren: what a new process has started, and which has the sockets, is ended
// with it, also if the process itself has ended before.
func TestUpgradeChildren(t *testing.T) {
	t.Parallel()
	l := startLineage(t, simpleConfig(echoUpstream(t)))
	said := filepath.Join(filepath.Dir(l.binary), "child")
	l.installText(t, fmt.Appendf(nil, "#!/bin/sh\nsleep 1000 >/dev/null 2>&1 &\necho $! > %q.new\nmv %[1]q.new %[1]q\nexit 1\n", said))
	l.refuseUpgrade(t, "has ended before it was ready")
	text, err := os.ReadFile(said) // #nosec G304 -- of this test
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "the child is ended", func() bool { return ended(pid) })
	l.install(t, gatewayBinary(t))
	l.upgrade(t)
	if group, err := syscall.Getpgid(l.current().Pid); err != nil || group != syscall.Getpgrp() {
		t.Errorf("the new process is in the group %d (%v), want that of the first, %d", group, err, syscall.Getpgrp())
	}
}

// ended reports whether a process is gone, or waits for somebody to learn of its end.
func ended(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(after, "Z")
}
