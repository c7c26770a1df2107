package port_test

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/test/port"
)

// TestReserve listens, and stops listening, on ports that are reserved, while
// others ask for ports of any number: nobody is given one of them.
func TestReserve(t *testing.T) {
	t.Parallel()
	reserved := map[string]bool{}
	for range 200 {
		reserved[port.Reserve(t)] = true
	}
	if len(reserved) != 200 {
		t.Fatalf("%d ports for 200", len(reserved))
	}
	stop := make(chan struct{})
	var others sync.WaitGroup
	for range 4 {
		others.Go(func() { takePorts(t, reserved, stop) })
	}
	for address := range reserved {
		for range 3 {
			if _, err := net.Dial("tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("connecting to a port where nobody listens: %v, want a refusal", err)
			}
			listener, err := net.Listen("tcp", address)
			if err != nil {
				t.Fatalf("cannot listen on a reserved port: %v", err)
			}
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			accepted, err := listener.Accept()
			if err != nil {
				t.Fatal(err)
			}
			_, _, _ = conn.Close(), accepted.Close(), listener.Close()
		}
	}
	close(stop)
	others.Wait()
}

// takePorts listens and connects without end, on ports that the system chooses.
func takePorts(t *testing.T, reserved map[string]bool, stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Error(err)
			return
		}
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Error(err)
			return
		}
		for _, taken := range []string{listener.Addr().String(), conn.LocalAddr().String()} {
			if reserved[taken] {
				t.Errorf("the system has given away %s, which is reserved", taken)
			}
		}
		_ = conn.(*net.TCPConn).SetLinger(0)
		_, _ = conn.Close(), listener.Close()
	}
}
