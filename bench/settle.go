//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Whoever is measured next must not pay for what the one before has left:
// connections that are being closed, memory that is being given back.
const (
	settleWindow   = 100 * time.Millisecond
	settlePatience = 3 * time.Second
	settledShare   = 0.1 // of the processors' time that may be in use
)

// settle waits until the machine is quiet. It returns false if it was not for
// settlePatience; a smoke run doesn't wait.
func (l *lab) settle(ctx context.Context) bool {
	if l.options.smoke {
		return true
	}
	for began := time.Now(); time.Since(began) < settlePatience && ctx.Err() == nil; {
		busy, all := processorTime()
		pause(ctx, settleWindow)
		busyNow, allNow := processorTime()
		if allNow == all || float64(busyNow-busy) <= settledShare*float64(allNow-all) {
			return true
		}
	}
	return false
}

// processorTime is the time of all processors since the machine's start, in
// ticks: in use, and altogether.
func processorTime() (busy, all uint64) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0
	}
	line, _, _ := strings.Cut(string(text), "\n")
	for i, field := range strings.Fields(line) {
		n, err := strconv.ParseUint(field, 10, 64)
		if err != nil || i > 8 { // the name; guests are in user time already
			continue
		}
		all += n
		if i != 4 && i != 5 { // idle, waiting for a disk
			busy += n
		}
	}
	return busy, all
}

// steps says how far a run has come.
type steps struct {
	done, all int
	began     time.Time
}

func newSteps(scenarios []*scenario, rounds int) *steps {
	s := &steps{began: time.Now()}
	for _, one := range scenarios {
		s.all += rounds * len(one.subjects)
	}
	return s
}

// left is the time that the rest will take, if it goes on like this.
func (s *steps) left() string {
	if s == nil || s.done == 0 {
		return ""
	}
	rest := time.Since(s.began) / time.Duration(s.done) * time.Duration(s.all-s.done)
	return fmt.Sprintf(" (%d of %d, about %v left)", s.done+1, s.all, rest.Round(time.Second))
}
