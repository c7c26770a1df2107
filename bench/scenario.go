//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"
)

// options are the flags.
type options struct {
	rounds                          int
	duration                        time.Duration
	binary, nginx, output, profiles string
	strict                          bool
}

// scenario is one piece of work, done by each of its subjects.
type scenario struct {
	name, title string
	metrics     []metric
	subjects    []subject
	promises    []promise
	note        string // what a reader of the figures must know
}

// subject is what is measured. Its run starts whatever it needs, measures
// once, and stops it.
type subject struct {
	name       string
	needsNginx bool
	run        func(ctx context.Context, l *lab) (sample, error)
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
	limit           float64
	atLeast         bool
}

// outcome is all samples of a scenario, by subject, round by round.
type outcome struct {
	scenario *scenario
	samples  map[string][]sample
	skipped  []string // subjects that could not be measured
}

// measure runs scenarios and prints what comes of them.
func measure(ctx context.Context, o *options, scenarios []*scenario) error {
	l, err := openLab(ctx, o)
	if err != nil {
		return err
	}
	defer l.close()
	fmt.Printf("%s\n\n", l.machine)
	if l.nginx == nil {
		fmt.Printf("nginx with lua-nginx-module is not there (%v): its side is left out, and nothing can be said about the promises that refer to it.\n\n", l.nginxMissing)
	}
	var outcomes []*outcome
	kept := true
	var failed error
	for _, s := range scenarios {
		result, err := l.runScenario(ctx, s)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil { // the others are worth measuring still
			failed = errors.Join(failed, fmt.Errorf("scenario %s: %w", s.name, err))
			continue
		}
		outcomes = append(outcomes, result)
		kept = result.print(os.Stdout) && kept
	}
	if o.output != "" {
		failed = errors.Join(failed, writeJSON(o.output, l, outcomes))
	}
	if failed != nil {
		return failed
	}
	if o.strict && !kept {
		return errMissed
	}
	return nil
}

// runScenario measures each subject once a round, in a random order.
func (l *lab) runScenario(ctx context.Context, s *scenario) (*outcome, error) {
	result := &outcome{scenario: s, samples: map[string][]sample{}}
	var present []*subject
	for i := range s.subjects {
		if s.subjects[i].needsNginx && l.nginx == nil {
			result.skipped = append(result.skipped, s.subjects[i].name)
			continue
		}
		present = append(present, &s.subjects[i])
	}
	for round := range l.options.rounds {
		rand.Shuffle(len(present), func(i, j int) { present[i], present[j] = present[j], present[i] }) //nolint:gosec // G404: an order is no secret
		for _, subject := range present {
			l.progress(fmt.Sprintf("%s, round %d of %d: %s", s.name, round+1, l.options.rounds, subject.name))
			measured, err := subject.run(ctx, l)
			l.stopAll()
			if err != nil {
				l.progress("")
				return nil, fmt.Errorf("%s: %w", subject.name, err)
			}
			result.samples[subject.name] = append(result.samples[subject.name], measured)
		}
	}
	l.progress("")
	return result, nil
}

// values returns the figures of one metric of one subject, a round each.
func (o *outcome) values(subject, metric string) (values []float64) {
	for _, s := range o.samples[subject] {
		if v, ok := s[metric]; ok {
			values = append(values, v)
		}
	}
	return values
}
