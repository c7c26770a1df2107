// Package raw is for tests of all packages: it serves connections as they are.
//
//	address := raw.Serve(t, func(conn net.Conn) { _, _ = io.Copy(conn, conn) })
package raw

import (
	"net"
	"testing"
	"time"
)

// patience bounds what a connection is waited for.
const patience = time.Minute

// Serve calls serve for each connection to an address of this machine until the test
// has ended, on a goroutine each, and closes it then. Nothing on it waits for longer
// than a minute.
func Serve(t testing.TB, serve func(conn net.Conn)) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				_ = conn.SetDeadline(time.Now().Add(patience))
				serve(conn)
			}()
		}
	}()
	return listener.Addr().String()
}
