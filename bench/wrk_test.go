//go:build linux

package main

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestParseWrk(t *testing.T) {
	t.Parallel()
	const good = "Running 1s test\n\nsummary: requests 1000 elapsed 2000000 p50 150 p99 900 connect 0 read 0 write 0 status 0 timeout 0\n"
	m, err := parseWrk(good)
	if err != nil {
		t.Fatal(err)
	}
	want := measuring{answered: 1000, elapsed: 2 * time.Second, p50: 150 * time.Microsecond, p99: 900 * time.Microsecond}
	if *m != want {
		t.Errorf("got %+v, want %+v", *m, want)
	}
	for _, bad := range []string{
		"", "unable to connect to 127.0.0.1:9 Connection refused\n",
		strings.Replace(good, "connect 0", "connect 1", 1), strings.Replace(good, "read 0", "read 1", 1),
		strings.Replace(good, "write 0", "write 1", 1), strings.Replace(good, "status 0", "status 1", 1),
		strings.Replace(good, "timeout 0", "timeout 1", 1), strings.Replace(good, "requests 1000", "requests 0", 1),
		strings.Replace(good, "requests 1000", "requests 99999999999999999999", 1),
	} {
		if m, err := parseWrk(bad); err == nil {
			t.Errorf("parseWrk(%q) = %+v, want an error", bad, *m)
		}
	}
}

// TestLoaders demands of both load generators that they see what the upstream
// answers, and what doesn't answer.
func TestLoaders(t *testing.T) {
	t.Parallel()
	l := testLab(t)
	u, err := l.startUpstream(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	nobody, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []loader{ownLoader, wrkLoader} {
		if name == wrkLoader {
			if l.wrk, err = exec.LookPath("wrk"); err != nil {
				missing(t, "wrk is not installed")
			}
		}
		l.options.loader = name
		c := &closedLoop{
			address: u.addresses[0], pid: l.running[0].pid(), requests: requestsTo(100, "/"), connections: 4,
			warmup: 100 * time.Millisecond, duration: time.Second, cpus: allowedCPUs(),
		}
		if want := name == wrkLoader; l.usesWrk(c) != want {
			t.Errorf("%s: usesWrk = %t, want %t", name, !want, want)
		}
		s, err := c.run(context.Background(), l)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, m := range closedMetrics {
			if s[m.name] < 0 || s[m.name] == 0 && m.name != metricUser {
				t.Errorf("%s: %s is %v", name, m.name, s[m.name])
			}
		}
		c.address = nobody
		if s, err := c.run(context.Background(), l); err == nil {
			t.Errorf("%s: nobody listens and the figures are %v, want an error", name, s)
		}
	}
}

// patience bounds every wait; nothing that works comes near it.
const patience = time.Minute

// testLab can start processes; they end with the test.
func testLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{options: &options{}, directory: t.TempDir(), files: 1000}
	t.Cleanup(l.stopAll)
	return l
}
