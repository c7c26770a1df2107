package loads

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestAwait: all loads are waited for, but those that are slow where there is
// somebody to serve.
func TestAwait(t *testing.T) {
	t.Parallel()
	const patience = time.Second
	broken := errors.New("broken")
	for _, c := range []struct {
		name     string
		begun    time.Duration   // when all have been begun
		ends     []time.Duration // of each load; 0 is never
		fails    []bool
		patience time.Duration
		others   bool
		want     time.Duration
	}{
		{"none", 0, nil, nil, patience, false, 0},
		{"all are quick", 0, []time.Duration{1, 2}, []bool{false, false}, patience, false, 2},
		{"without patience, all are waited for", 0, []time.Duration{time.Hour, time.Minute}, []bool{false, false}, 0, true, time.Hour},
		{"a slow one, and another has loaded", 0, []time.Duration{1, time.Hour}, []bool{false, false}, patience, false, patience},
		{"a slow one, and another has failed", 0, []time.Duration{1, time.Hour}, []bool{true, false}, patience, false, time.Hour},
		{"a slow one, beside others without scripts", 0, []time.Duration{time.Hour}, []bool{false}, patience, true, patience},
		{"only slow ones", 0, []time.Duration{time.Minute, time.Hour}, []bool{false, false}, patience, false, time.Minute},
		{"patience begins when all have begun", time.Minute, []time.Duration{1, time.Hour}, []bool{false, false}, patience, false, time.Minute + patience},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := &Round{len(c.ends), make(chan struct{}), make(chan *Load, len(c.ends))}
			start := time.Now()
			time.AfterFunc(c.begun, func() { close(r.begun) })
			for i, end := range c.ends {
				l := &Load{}
				if c.fails[i] {
					l.Err = broken
				}
				time.AfterFunc(end, func() { r.ended <- l })
			}
			r.Await(c.patience, c.others)
			if took := time.Since(start); took != c.want {
				t.Errorf("%s: it took %v, want %v", c.name, took, c.want)
			}
			time.Sleep(2 * time.Hour)
		})
	}
}
