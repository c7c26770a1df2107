// Package until has tests wait for what comes by itself, on real time, with the
// patience that slow machines need. It is for tests only.
//
//	until.True(t, "the client is gone", func() bool { return clients() == 0 })
package until

import (
	"testing"
	"time"
)

const (
	patience = time.Minute
	pause    = 2 * time.Millisecond
)

// True looks until the condition is true, and ends the test, naming what was
// awaited, if that takes longer than a minute.
func True(t testing.TB, what string, condition func() bool) {
	t.Helper()
	Within(t, patience, what, condition)
}

// Within is True with another patience.
func Within(t testing.TB, limit time.Duration, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !condition(); time.Sleep(pause) {
		if time.Now().After(end) {
			t.Fatalf("after %v still not true: %s", limit, what)
		}
	}
}
