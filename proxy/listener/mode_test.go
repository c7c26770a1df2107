//go:build unix

package listener_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// TestModeBesideUmask: the umask takes nothing from a mode that was asked for. It is
// the process's: this test runs alone.
func TestModeBesideUmask(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	for _, mode := range []os.FileMode{0o600, 0o660, 0o666} {
		path := filepath.Join(t.TempDir(), "a.sock")
		l, err := listener.Listen(listener.Options{Address: "unix:" + path, Mode: mode, Sweeper: socket.NewSweeper()})
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("the mode is %v (%v), want %v", info.Mode(), err, mode)
		}
		_ = l.Close()
	}
}

// TestFileOfAnother: what has taken the place of a socket's file is neither given its
// mode, by way of a link say, nor removed at the end.
func TestFileOfAnother(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, victim := filepath.Join(dir, "a.sock"), filepath.Join(dir, "victim")
	l, err := listener.Listen(listener.Options{Address: "unix:" + path, Mode: 0o600, Sweeper: socket.NewSweeper(), Sockets: &listener.Sockets{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Guard(0o660, nil); err != nil {
		t.Error(err)
	}
	if err := os.Rename(path, path+".gone"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(victim, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	other, err := listener.Listen(listener.Options{Address: "unix:" + path, Mode: 0o600, Sweeper: socket.NewSweeper()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	if err := l.Guard(0o666, nil); err == nil {
		t.Error("another's socket has been given a mode")
	}
	if err := os.Rename(path, path+".other"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, path); err != nil {
		t.Fatal(err)
	}
	if err := l.Guard(0o666, nil); err == nil {
		t.Error("a link's file has been given a mode")
	}
	for file, want := range map[string]os.FileMode{victim: 0o600, path + ".other": 0o600} {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", file, info, err)
		}
	}
	_ = l.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("what stood in the place of the socket was removed: %v", err)
	}
}

// TestListenOnFile: a file that is no socket is neither removed nor taken for
// somebody who listens.
func TestListenOnFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.txt")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := listener.Listen(listener.Options{Address: "unix:" + path, Sweeper: socket.NewSweeper()})
	if err == nil || !strings.Contains(err.Error(), "a file that is no socket") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

// A Unix socket has its mode from the moment at which it is there, whatever the
// umask is. The umask is the process's: this test runs alone.
func TestMode(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	path := filepath.Join(t.TempDir(), "a.sock")
	var stop atomic.Bool
	seen := make(chan os.FileMode, 1)
	looked := make(chan int)
	go func() {
		n := 0
		for !stop.Load() {
			if info, err := os.Stat(path); err == nil {
				if n++; info.Mode().Perm()&0o077 != 0 {
					select {
					case seen <- info.Mode():
					default:
					}
				}
			}
		}
		looked <- n
	}()
	sweeper := socket.NewSweeper()
	for n := 0; n < 300; n++ {
		l, err := listener.Listen(listener.Options{Address: "unix:" + path, Mode: 0o600, Sweeper: sweeper})
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("the mode is %v (%v), want 0600", info.Mode(), err)
		}
		_ = l.Close()
	}
	stop.Store(true)
	if n := <-looked; n == 0 {
		t.Log("the socket was never seen while it was made")
	}
	select {
	case mode := <-seen:
		t.Errorf("the mode was %v for a moment", mode)
	default:
	}
}
