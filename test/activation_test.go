package test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// serviceManager is a socket as systemd's, which services tell how they are.
type serviceManager struct{ *net.UnixConn }

func newServiceManager(t *testing.T) serviceManager {
	t.Helper()
	directory, err := os.MkdirTemp("", "notify") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(directory) })
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(directory, "s"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return serviceManager{conn}
}

func (m serviceManager) env() string { return "NOTIFY_SOCKET=" + m.LocalAddr().String() }

// expect returns the next message that isn't the watchdog's, which must begin so.
func (m serviceManager) expect(t *testing.T, begin string) string {
	t.Helper()
	_ = m.SetReadDeadline(time.Now().Add(patience))
	buf := make([]byte, 4096)
	for {
		n, err := m.Read(buf)
		if err != nil {
			t.Fatalf("no message of the gateway, want %q: %v", begin, err)
		}
		if message := string(buf[:n]); message != "WATCHDOG=1" {
			if !strings.HasPrefix(message, begin) {
				t.Errorf("the gateway says %q, want %q", message, begin)
			}
			return message
		}
	}
}

// TestNotify: the service manager is told of each step of the process's life.
func TestNotify(t *testing.T) {
	upstream := serveFunc(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "done") })
	manager := newServiceManager(t)
	g := startGateway(t, simpleConfig(upstream), manager.env(), "WATCHDOG_USEC=30000")
	manager.expect(t, "READY=1\nSTATUS=serving 1 tenant on "+g.address)
	_ = manager.SetReadDeadline(time.Now().Add(patience))
	if n, err := manager.Read(make([]byte, 64)); err != nil || n != len("WATCHDOG=1") {
		t.Errorf("the watchdog gets %d bytes, %v", n, err)
	}
	_ = g.command.Process.Signal(syscall.SIGHUP)
	manager.expect(t, "RELOADING=1\nMONOTONIC_USEC=")
	manager.expect(t, "READY=1\nSTATUS=serving 1 tenant")
	g.write(t, "nonsense: 1")
	_ = g.command.Process.Signal(syscall.SIGHUP)
	manager.expect(t, "RELOADING=1\n")
	if message := manager.expect(t, "READY=1\n"); !strings.Contains(message, "refused") {
		t.Errorf("a reload that was refused: %q", message)
	}
	_ = g.command.Process.Signal(syscall.SIGTERM)
	manager.expect(t, "STOPPING=1\nEXTEND_TIMEOUT_USEC=40000000\n")
	await(t, "the gateway ends", g.exited)
}

// TestActivation has the gateway serve on sockets that were opened for it, by its
// addresses, and close one that is at none.
func TestActivation(t *testing.T) {
	upstream := serveFunc(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "done") })
	var files []*os.File
	var addresses []string
	for range 3 {
		inner, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		file, err := inner.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		addresses, files = append(addresses, inner.Addr().String()), append(files, file)
		_ = inner.Close()
	}
	g := &gateway{address: addresses[1], admin: addresses[0], config: filepath.Join(t.TempDir(), "config.yaml"), output: &tail{}, exited: make(chan struct{})}
	g.write(t, simpleConfig(upstream))
	early := dial(t, g.address) // while nobody accepts, nor is there a process
	_, _ = io.WriteString(early, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	script := fmt.Sprintf("LISTEN_PID=$$ LISTEN_FDS=4 LISTEN_FDNAMES=admin:web:other:file exec %s -config %s", gatewayBinary(t), g.config)
	g.command = exec.Command("sh", "-c", script) // #nosec G204 -- the binary that this test built
	g.command.Stdout, g.command.Stderr = g.output, g.output
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	g.command.ExtraFiles = append(files, null)
	if err := g.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = g.command.Wait()
		close(g.exited)
	}()
	for _, file := range g.command.ExtraFiles {
		_ = file.Close()
	}
	t.Cleanup(func() { g.stop(t) })
	g.awaitReady(t)
	if answer := early.answer(t, "GET"); answer.status != 200 {
		t.Errorf("who was there before the process: %d", answer.status)
	}
	if status, _ := adminGet(t, g, "/admin/live"); status != 200 {
		t.Errorf("the admin API: %d", status)
	}
	if conn, err := net.Dial("tcp", addresses[2]); err == nil {
		_ = conn.Close()
		t.Error("a socket at no address of the configuration is open still")
	}
	for _, want := range []string{addresses[2] + " (other)", "descriptor 6 (file): "} {
		if !strings.Contains(g.output.String(), want) {
			t.Errorf("the log says nothing of %q:\n%s", want, g.output)
		}
	}
}

// TestActivationOfAnother: variables that a parent was meant by say nothing.
func TestActivationOfAnother(t *testing.T) {
	upstream := serveFunc(t, func(http.ResponseWriter, *http.Request) {})
	g := startGateway(t, simpleConfig(upstream), "LISTEN_PID=1", "LISTEN_FDS=1")
	if answer := dial(t, g.address).exchange(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); answer.status != 200 {
		t.Errorf("status %d", answer.status)
	}
}
