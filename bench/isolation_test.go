//go:build linux

package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/keystone-gateway/keystone-gateway/bench/load"
)

// TestClientsApart demands that who measures runs before all others, with all of
// its threads, or that a remark says that it doesn't, and that no request of it
// is lost.
func TestClientsApart(t *testing.T) {
	t.Parallel()
	l := testLab(t)
	before := policyOf(t, os.Getpid())
	u, err := l.startUpstreamFirst(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if first, remarked := policyOf(t, l.running[0].pid()) == unix.SCHED_RR, len(l.remarks) > 0; first == remarked {
		t.Errorf("runs first: %t, remarks: %q", first, l.remarks)
	}
	s, err := l.asClients(t.Context(), load.Options{
		Address: u.addresses[0], Requests: [][]byte{request("x", "/")}, Connections: 4, Rate: 200, Duration: 200 * time.Millisecond, Timeout: patience,
	})
	if err != nil || s.Bad+s.Unsent != 0 || s.P99 <= 0 || s.Max < s.P99 {
		t.Errorf("the clients saw %v, %v", s, err)
	}
	if after := policyOf(t, os.Getpid()); after != before {
		t.Errorf("threads of this process had policy %d, now %d", before, after)
	}
}

// TestAttackersApart demands that an attack that isn't one fails, and that slow
// clients end when they are told to.
func TestAttackersApart(t *testing.T) {
	t.Parallel()
	l := testLab(t)
	u, err := l.startUpstream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.attackFor(t, "dead keys", u.addresses[0], func() {}); err != nil {
		t.Error(err)
	}
	if err := l.attackFor(t, "errors", u.addresses[0], func() {}); err == nil {
		t.Error("an attack that is answered with 200 has passed for one")
	}
	silent, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	err = l.attackFor(t, "slow readers", netip.MustParseAddrPort(silent.Addr().String()), func() {
		conn, err := silent.Accept()
		if err != nil {
			t.Error(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
	})
	if err != nil || len(l.remarks) != 1 || !strings.Contains(l.remarks[0], "of 3000") {
		t.Errorf("got %v, and remarks %q", err, l.remarks)
	}
}

// attackFor runs an attack while f does.
func (l *lab) attackFor(t *testing.T, name string, address netip.AddrPort, f func()) error {
	t.Helper()
	end, err := l.startAttack(t.Context(), chosenAttacks(&options{attacks: []string{name}})[0], address, 100*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	f()
	return end()
}

// policyOf is the policy that all threads of a process have, -1 if they differ.
func policyOf(t *testing.T, pid int) (policy int) {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range entries {
		id, err := strconv.Atoi(e.Name())
		if err != nil {
			t.Fatal(err)
		}
		attributes, err := unix.SchedGetAttr(id, 0)
		if err != nil {
			continue // it has ended
		}
		if i > 0 && int(attributes.Policy) != policy {
			return -1
		}
		policy = int(attributes.Policy)
	}
	return policy
}

// TestAttackNames demands that a name that is none is told of with those that are.
func TestAttackNames(t *testing.T) {
	t.Parallel()
	if names, err := attackNames("recursion, slow readers"); err != nil || strings.Join(names, "|") != "recursion|slow readers" {
		t.Errorf("got %q, %v", names, err)
	}
	if _, err := attackNames("recursion,slow"); err == nil || !strings.Contains(err.Error(), `"slow"`) || !strings.Contains(err.Error(), "sparse json") {
		t.Errorf("got %v", err)
	}
}
