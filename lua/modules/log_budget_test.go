package modules_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/lua/modules"
)

func TestLogBudget(t *testing.T) {
	t.Parallel()
	clock, out := newHandClock(), &bytes.Buffer{}
	var dropped atomic.Uint64
	b := modules.NewLogBudget("a", out, 100, 1000, clock, &dropped)
	log := zerolog.New(b)
	write := func(n int) int {
		out.Reset()
		log.Info().Msg(strings.Repeat("x", n))
		return out.Len()
	}
	for i, step := range []struct {
		pause   time.Duration
		message int
		written bool
		told    string // of lines
		dropped uint64
	}{
		{message: 400, written: true},
		{message: 400, written: true},
		{message: 5000, written: true}, // a line may be longer than what is left
		{message: 1, dropped: 1},
		{message: 1, dropped: 2},
		{pause: 10 * time.Second, message: 1, dropped: 3}, // not yet made good
		{pause: 50 * time.Second, message: 100, written: true, told: `"tenant":"a","lines":3,`, dropped: 3},
		{pause: time.Hour, message: 900, written: true, dropped: 3}, // no more than the burst
		{message: 900, written: true, dropped: 3},
		{message: 1, dropped: 4},
		{pause: -time.Hour, message: 1, dropped: 5}, // a clock that is put back gives nothing
	} {
		clock.advance(step.pause)
		n := write(step.message)
		if (n > 0) != step.written || dropped.Load() != step.dropped || step.told != "" && !strings.Contains(out.String(), step.told) {
			t.Errorf("step %d: %d bytes, %d dropped: %.200s", i, n, dropped.Load(), out)
		}
		for line := range strings.Lines(out.String()) {
			if !json.Valid([]byte(line)) {
				t.Errorf("no line of JSON: %q", line)
			}
		}
	}
	if !b.Refuses() || dropped.Load() != 6 {
		t.Errorf("a used-up budget refuses nothing beforehand, or doesn't count it: %d", dropped.Load())
	}
	if free := modules.NewLogBudget("a", out, 0, 0, clock, &dropped); free.Refuses() {
		t.Error("a budget without a rate refuses")
	}
}
