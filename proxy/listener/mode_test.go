//go:build unix

package listener_test

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

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
