package test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// clock is one more tenant, at the end of a configuration, by which the gateway
// tells its own time: see pass.
func clock(t *testing.T, period time.Duration) string {
	t.Helper()
	silent := rawUpstream(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	return fmt.Sprintf("\n  - {name: clock, path_prefix: /clock, timeouts: {total: %v}, services: [{url: \"http://%s\"}]}\n", period, silent)
}

// pass returns when its clock's period has passed for a gateway: what it began
// before with a shorter time-out has had it. A test that slept instead would
// ask the machine how long the gateway was kept from running.
func (g *gateway) pass(t *testing.T) {
	t.Helper()
	got := talk(t, g, "GET /clock HTTP/1.1\r\nHost: clock\r\nConnection: close\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 504 ") {
		t.Fatalf("the gateway's clock says %.200q", got)
	}
}

// await waits for what must happen.
func await[T any](t *testing.T, what string, happens <-chan T) (got T) {
	t.Helper()
	select {
	case got = <-happens:
	case <-time.After(patience):
		t.Fatalf("after %v still not: %s", patience, what)
	}
	return got
}
