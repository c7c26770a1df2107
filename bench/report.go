//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// spread is what several rounds say of one figure.
type spread struct{ median, least, most float64 }

func spreadOf(values []float64) (s spread, ok bool) {
	if len(values) == 0 {
		return spread{}, false
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	s = spread{median: sorted[n/2], least: sorted[0], most: sorted[n-1]}
	if n%2 == 0 {
		s.median = (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return s, true
}

// print writes the outcome as Markdown. It reports whether all promises that
// could be judged were kept.
func (o *outcome) print(w io.Writer) bool {
	s := o.scenario
	fmt.Fprintf(w, "## %s: %s\n\n", s.name, s.title)
	var names []string
	for i := range s.subjects {
		if len(o.samples[s.subjects[i].name]) > 0 {
			names = append(names, s.subjects[i].name)
		}
	}
	rows := [][]string{append([]string{""}, names...)}
	for _, m := range s.metrics {
		row := []string{m.name + ", " + m.unit}
		if m.unit == "" {
			row[0] = m.name
		}
		for _, name := range names {
			row = append(row, o.cell(name, m))
		}
		rows = append(rows, row)
	}
	printTable(w, rows)
	if len(o.skipped) > 0 {
		fmt.Fprintf(w, "\nLeft out: %s.\n", strings.Join(o.skipped, ", "))
	}
	if s.note != "" {
		fmt.Fprintf(w, "\n%s\n", s.note)
	}
	fmt.Fprintln(w)
	kept := true
	for i := range s.promises {
		kept = o.judge(w, &s.promises[i]) && kept
	}
	fmt.Fprintln(w)
	return kept
}

// cell is the median, with the range if there is one.
func (o *outcome) cell(subject string, m metric) string {
	s, ok := spreadOf(o.values(subject, m.name))
	if !ok {
		return "–"
	}
	text := func(v float64) string { return strconv.FormatFloat(v, 'f', m.digits, 64) }
	if len(o.samples[subject]) == 1 {
		return text(s.median)
	}
	return fmt.Sprintf("%s (%s … %s)", text(s.median), text(s.least), text(s.most))
}

// figure finds what a promise bounds: a median, or the ratio of two.
func (o *outcome) figure(p *promise) (value float64, ok bool) {
	ours, ok := spreadOf(o.values(p.subject, p.metric))
	if !ok || p.versus == "" {
		return ours.median, ok
	}
	theirs, ok := spreadOf(o.values(p.versus, p.metric))
	return ours.median / theirs.median, ok && theirs.median > 0
}

func (o *outcome) judge(w io.Writer, p *promise) (kept bool) {
	value, ok := o.figure(p)
	if !ok {
		fmt.Fprintf(w, "- not judged: %s\n", p.text)
		return true
	}
	kept = value <= p.limit
	sign := "≤"
	if p.atLeast {
		kept, sign = value >= p.limit, "≥"
	}
	word := "**missed**"
	if kept {
		word = "kept"
	}
	fmt.Fprintf(w, "- %s: %s: %.4g, promised %s %.4g\n", word, p.text, value, sign, p.limit)
	return kept
}

// printTable writes a Markdown table whose columns are aligned in plain text
// too.
func printTable(w io.Writer, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	for n, row := range rows {
		for i, cell := range row {
			fmt.Fprintf(w, "| %s%s ", cell, strings.Repeat(" ", widths[i]-len([]rune(cell))))
		}
		fmt.Fprintln(w, "|")
		if n == 0 {
			for _, width := range widths {
				fmt.Fprintf(w, "| %s ", strings.Repeat("-", max(width, 3)))
			}
			fmt.Fprintln(w, "|")
		}
	}
}

// writeJSON keeps everything that was measured.
func writeJSON(file string, l *lab, outcomes []*outcome) error {
	type judged struct {
		Promise string  `json:"promise"`
		Value   float64 `json:"value"`
		Limit   float64 `json:"limit"`
		AtLeast bool    `json:"at_least"`
	}
	type one struct {
		Name     string                          `json:"name"`
		Title    string                          `json:"title"`
		Units    map[string]string               `json:"units"`
		Values   map[string]map[string][]float64 `json:"values"` // by subject, by metric, a round each
		Promises []judged                        `json:"promises"`
	}
	all := struct {
		Machine   string    `json:"machine"`
		At        time.Time `json:"at"`
		Rounds    int       `json:"rounds"`
		Seconds   float64   `json:"seconds"`
		Scenarios []one     `json:"scenarios"`
	}{Machine: l.machine, At: time.Now().UTC(), Rounds: l.options.rounds, Seconds: l.options.duration.Seconds()}
	for _, o := range outcomes {
		s := one{Name: o.scenario.name, Title: o.scenario.title, Units: map[string]string{}, Values: map[string]map[string][]float64{}, Promises: []judged{}}
		for _, m := range o.scenario.metrics {
			s.Units[m.name] = m.unit
			for subject := range o.samples {
				if s.Values[subject] == nil {
					s.Values[subject] = map[string][]float64{}
				}
				s.Values[subject][m.name] = o.values(subject, m.name)
			}
		}
		for i := range o.scenario.promises {
			p := &o.scenario.promises[i]
			if value, ok := o.figure(p); ok {
				s.Promises = append(s.Promises, judged{p.text, value, p.limit, p.atLeast})
			}
		}
		all.Scenarios = append(all.Scenarios, s)
	}
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o600)
}
