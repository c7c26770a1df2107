package notify_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/notify"
)

const patience = time.Minute

// manager is a service manager's socket.
type manager struct {
	*net.UnixConn
	environment map[string]string
}

func listen(t *testing.T, name string) *manager {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &manager{conn, map[string]string{"NOTIFY_SOCKET": name}}
}

func (m *manager) getenv(name string) string { return m.environment[name] }

func (m *manager) next(t *testing.T) string {
	t.Helper()
	_ = m.SetReadDeadline(time.Now().Add(patience))
	buf := make([]byte, 4096)
	n, err := m.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

func TestMessages(t *testing.T) {
	t.Parallel()
	m := listen(t, filepath.Join(t.TempDir(), "notify"))
	s, err := notify.Manager(m.getenv)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		send func() error
		want string
	}{
		{func() error { return s.Ready("serving 2 tenants") }, "READY=1\nSTATUS=serving 2 tenants"},
		{func() error { return s.Ready("") }, "READY=1"},
		{func() error { return s.Ready("two\nlines\nMAINPID=1") }, "READY=1\nSTATUS=two lines MAINPID=1"},
		{s.Reloading, `RELOADING=1\nMONOTONIC_USEC=[0-9]+\nSTATUS=reloading`},
		{func() error { return s.Stopping(1500*time.Millisecond, "draining") }, "STOPPING=1\nEXTEND_TIMEOUT_USEC=1500000\nSTATUS=draining"},
		{func() error { return s.Replaced(4711) }, "MAINPID=4711\nSTATUS=process 4711 takes over"},
	} {
		if err := test.send(); err != nil {
			t.Error(err)
		}
		if got := m.next(t); !regexp.MustCompile("^" + test.want + "$").MatchString(got) {
			t.Errorf("sent %q, want %q", got, test.want)
		}
	}
}

// TestAbstract: a name behind an @ is one of Linux's that has no file.
func TestAbstract(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("only Linux has such names")
	}
	m := listen(t, "@keystone-notify-"+strconv.Itoa(os.Getpid()))
	s, err := notify.Manager(m.getenv)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Ready(""); err != nil {
		t.Fatal(err)
	}
	if got := m.next(t); got != "READY=1" {
		t.Errorf("sent %q", got)
	}
}

func TestNobodyAsks(t *testing.T) {
	t.Parallel()
	s, err := notify.Manager(func(string) string { return "" })
	if s != nil || err != nil {
		t.Fatalf("%v, %v, want nothing", s, err)
	}
	if err := s.Ready("x"); err != nil {
		t.Error(err)
	}
	s.KeepCalm(t.Context(), nil)
}

func TestUnusable(t *testing.T) {
	t.Parallel()
	for name, environment := range map[string]map[string]string{
		"a relative path":  {"NOTIFY_SOCKET": "notify"},
		"no number":        {"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "soon"},
		"a negative one":   {"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "-1"},
		"one that is huge": {"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "9223372036854775807"},
	} {
		if _, err := notify.Manager(func(n string) string { return environment[n] }); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	s, err := notify.Manager(func(n string) string {
		return map[string]string{"NOTIFY_SOCKET": filepath.Join(t.TempDir(), "nobody")}[n]
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Ready(""); err == nil {
		t.Error("a message to nobody was sent")
	}
}

// TestWatchdog keeps it calm while the process is well, and not any longer.
func TestWatchdog(t *testing.T) {
	t.Parallel()
	m := listen(t, filepath.Join(t.TempDir(), "notify"))
	m.environment["WATCHDOG_USEC"] = "3000"
	m.environment["WATCHDOG_PID"] = strconv.Itoa(os.Getpid())
	s, err := notify.Manager(m.getenv)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var asked, ill atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.KeepCalm(ctx, func() bool { return asked.Add(1) <= 3 || ill.Add(1) < 0 })
	}()
	for range 3 {
		if got := m.next(t); got != "WATCHDOG=1" {
			t.Errorf("sent %q", got)
		}
	}
	for deadline := time.Now().Add(patience); ill.Load() < 3; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nobody asks any more whether the process is well")
		}
	}
	stop()
	<-done
	_ = m.SetReadDeadline(time.Now())
	if n, err := m.Read(make([]byte, 64)); err == nil {
		t.Errorf("%d bytes were sent although the process isn't well", n)
	}
	m.environment["WATCHDOG_PID"] = "1"
	if s, err = notify.Manager(m.getenv); err != nil {
		t.Fatal(err)
	}
	s.KeepCalm(t.Context(), nil) // another process is watched
}
