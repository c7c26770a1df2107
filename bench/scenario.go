//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"
)

// options are the flags.
type options struct {
	rounds           int
	duration         time.Duration
	binary, nginx    string
	output, profiles string
	merge            bool // into what output has
	strict           bool

	// Of compare.
	cores      []int    // runs of each scenario: 1, 2 or both
	peers      []string // only these; none is all that are installed
	loader     loader
	attacks    []string // of isolation, only these; none is all
	hosts      int      // that are served
	smoke      bool
	buildPeers bool // peers that are Go modules may be built
}

// scenario is one piece of work, done by each of its subjects.
type scenario struct {
	name, title string
	cores       int // that the subjects may use; 0 is all
	metrics     []metric
	subjects    []subject
	promises    []promise
	note        string // what a reader of the figures must know
	headline    string // the metric that short tables show; empty is none
	long        bool   // not in a smoke run: it waits for more than a second
}

// subject is what is measured. Its run starts whatever it needs, measures
// once, and stops it.
type subject struct {
	name string
	run  func(ctx context.Context, l *lab) (sample, error)
}

// metric is one figure.
type metric struct {
	name, unit string
	digits     int // after the point
}

// sample is what one round of a subject has measured, by metric.
type sample map[string]float64

// promise is a bound of a metric, absolute or as a multiple of another
// subject's.
type promise struct {
	text            string
	subject, metric string
	versus          string // the other subject; empty is absolute
	must            float64
	aim             float64 // what is better still; 0 is nothing
	atLeast         bool
}

// measure runs scenarios and prints what comes of them. What fails is left
// out, since the rest is worth measuring still, and joined in the error.
func (l *lab) measure(ctx context.Context, scenarios []*scenario) (*results, error) {
	r := l.newResults()
	l.steps = newSteps(scenarios, l.options.rounds)
	var failed error
	for _, s := range scenarios {
		outcome := l.runScenario(ctx, s)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		goals := judge(s, outcome)
		outcome.print(os.Stdout, goals)
		for _, failure := range outcome.Failures {
			failed = errors.Join(failed, fmt.Errorf("scenario %s: %s", s.name, failure))
		}
		r.Scenarios = append(r.Scenarios, outcome)
		r.Goals = append(r.Goals, goals...)
	}
	return r, failed
}

// runScenario measures each subject once a round, in a random order.
func (l *lab) runScenario(ctx context.Context, s *scenario) *scenarioResult {
	outcome := newScenarioResult(s)
	order := slices.Clone(s.subjects)
	for round := range l.options.rounds {
		rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] }) //nolint:gosec // G404: an order is no secret
		for _, subject := range order {
			if ctx.Err() != nil {
				return outcome
			}
			l.progress(fmt.Sprintf("%s, round %d of %d: %s%s", s.label(), round+1, l.options.rounds, subject.name, l.steps.left()))
			if !l.settle(ctx) {
				outcome.Disturbed++
			}
			if err := l.runSubject(ctx, &subject, outcome); err != nil {
				outcome.Failures = append(outcome.Failures, fmt.Sprintf("%s, round %d: %s", subject.name, round+1, l.oneLine(err.Error())))
			}
		}
	}
	l.progress("")
	return outcome
}

func (l *lab) runSubject(ctx context.Context, s *subject, outcome *scenarioResult) error {
	measured, err := s.run(ctx, l)
	l.stopAll()
	l.steps.done++
	outcome.Remarks = append(outcome.Remarks, l.remarks...)
	l.remarks = nil
	if err == nil {
		err = measured.check()
	}
	if err == nil {
		outcome.add(s.name, measured)
	}
	return err
}

// remark keeps what a reader of a scenario's figures must know of one round.
func (l *lab) remark(format string, args ...any) {
	if text := l.oneLine(fmt.Sprintf(format, args...)); !slices.Contains(l.remarks, text) {
		l.remarks = append(l.remarks, text)
	}
}

// oneLine bounds a text that may have what a process has printed in it. Where
// the lab's files were is nobody's business.
func (l *lab) oneLine(text string) string {
	const most = 600
	text = strings.ReplaceAll(text, l.directory, "DIRECTORY")
	text = strings.ToValidUTF8(strings.Join(strings.Fields(text), " "), "?")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + " …"
	}
	return text
}

// label names a scenario with its cores.
func (s *scenario) label() string { return labelOf(s.name, s.cores) }

func labelOf(name string, cores int) string {
	switch cores {
	case 0:
		return name
	case 1:
		return name + ", 1 core"
	}
	return fmt.Sprintf("%s, %d cores", name, cores)
}

// check refuses what JSON can't hold: the quotient of a measurement in which
// nothing happened.
func (s sample) check() error {
	for name, value := range s {
		if math.IsNaN(value) || math.IsInf(value, 0) {
			return fmt.Errorf("cannot use %q: it is %v, expected a number", name, value)
		}
	}
	return nil
}
