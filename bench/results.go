//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// results are everything that a run has measured, as results.json holds it.
// All that is shown of a run is rendered from them.
type results struct {
	Machine   string            `json:"machine"`
	At        time.Time         `json:"at"`
	Options   resultOptions     `json:"options"`
	Peers     []peerVersion     `json:"peers"`
	Missing   []missingPeer     `json:"missing"`
	Scenarios []*scenarioResult `json:"scenarios"`
	Goals     []goal            `json:"goals"`
}

// resultOptions are the flags that figures depend on.
type resultOptions struct {
	Rounds  int     `json:"rounds"`
	Seconds float64 `json:"seconds"` // of each measurement
	Hosts   int     `json:"hosts,omitempty"`
	Loader  string  `json:"loader"`
	Smoke   bool    `json:"smoke,omitempty"`
}

// peerVersion is a peer that took part.
type peerVersion struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// missingPeer is one that could not, and why.
type missingPeer struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// scenarioResult is what one scenario has measured.
type scenarioResult struct {
	Name      string          `json:"name"`
	Title     string          `json:"title"`
	Cores     int             `json:"cores,omitempty"`
	Headline  string          `json:"headline,omitempty"`
	Metrics   []metricName    `json:"metrics"`
	Subjects  []subjectResult `json:"subjects"`
	Failures  []string        `json:"failures,omitempty"`
	Remarks   []string        `json:"remarks,omitempty"`
	Disturbed int             `json:"disturbed,omitempty"` // measurements that began while the machine was busy
	Note      string          `json:"note,omitempty"`
	Later     *laterRun       `json:"later,omitempty"`
}

type metricName struct {
	Name   string `json:"name"`
	Unit   string `json:"unit,omitempty"`
	Digits int    `json:"digits"` // after the point
}

// subjectResult are one subject's figures, a round each.
type subjectResult struct {
	Name   string   `json:"name"`
	Rounds []sample `json:"rounds"`
}

func newScenarioResult(s *scenario) *scenarioResult {
	r := &scenarioResult{Name: s.name, Title: s.title, Cores: s.cores, Headline: s.headline, Note: s.note}
	for _, m := range s.metrics {
		r.Metrics = append(r.Metrics, metricName{m.name, m.unit, m.digits})
	}
	for i := range s.subjects { // in their order, which is not that of measuring
		r.Subjects = append(r.Subjects, subjectResult{Name: s.subjects[i].name, Rounds: []sample{}})
	}
	return r
}

func (r *scenarioResult) add(subject string, measured sample) {
	if s := r.subject(subject); s != nil {
		s.Rounds = append(s.Rounds, measured)
	}
}

// subject returns nil if there is none of that name.
func (r *scenarioResult) subject(name string) *subjectResult {
	i := slices.IndexFunc(r.Subjects, func(s subjectResult) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return &r.Subjects[i]
}

// values returns the figures of one metric of one subject, a round each.
func (r *scenarioResult) values(subject, metric string) (values []float64) {
	s := r.subject(subject)
	if s == nil {
		return nil
	}
	for _, round := range s.Rounds {
		if v, ok := round[metric]; ok {
			values = append(values, v)
		}
	}
	return values
}

// spread is what several rounds say of one figure.
type spread struct{ median, least, most float64 }

// spread of a metric over the rounds; ok is false if nothing was measured.
func (r *scenarioResult) spread(subject, metric string) (s spread, ok bool) {
	sorted := slices.Sorted(slices.Values(r.values(subject, metric)))
	n := len(sorted)
	if n == 0 {
		return spread{}, false
	}
	s = spread{median: sorted[n/2], least: sorted[0], most: sorted[n-1]}
	if n%2 == 0 {
		s.median = (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return s, true
}

// complete demands of a run that each subject of each scenario has every
// metric, and that nothing failed.
func (r *results) complete() error {
	for _, s := range r.Scenarios {
		for _, failure := range s.Failures {
			return fmt.Errorf("%s: %s", labelOf(s.Name, s.Cores), failure)
		}
		if len(s.Subjects) == 0 {
			return fmt.Errorf("%s: nobody took part", labelOf(s.Name, s.Cores))
		}
		for _, subject := range s.Subjects {
			for _, m := range s.Metrics {
				if got := len(s.values(subject.Name, m.Name)); got != r.Options.Rounds {
					return fmt.Errorf("%s: %s has %d figures of %q, expected %d", labelOf(s.Name, s.Cores), subject.Name, got, m.Name, r.Options.Rounds)
				}
			}
		}
	}
	return nil
}

// readResults reads what a run has kept.
func readResults(file string) (*results, error) {
	text, err := os.ReadFile(file) //nolint:gosec // G304: named by whoever runs bench
	if err != nil {
		return nil, err
	}
	r := &results{}
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("cannot read results %s: %w", file, err)
	}
	return r, nil
}

// write keeps results in a directory.
func (r *results) write(directory string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(directory, 0o755); err != nil { //nolint:gosec // G301: results are for everyone
		return err
	}
	return os.WriteFile(filepath.Join(directory, resultsFile), append(text, '\n'), 0o644) //nolint:gosec // G306: results are for everyone
}

const resultsFile = "results.json"
