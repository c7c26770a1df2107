//go:build linux

package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// print writes what a scenario has measured as Markdown.
func (r *scenarioResult) print(w io.Writer, goals []goal) {
	fmt.Fprintf(w, "## %s: %s\n\n", labelOf(r.Name, r.Cores), r.Title)
	names := r.measured()
	rows := [][]string{append([]string{""}, names...)}
	for _, m := range r.Metrics {
		rows = append(rows, r.row(m, names))
		if m.Name == r.Headline && r.has(ours) && len(names) > 1 {
			rows = append(rows, r.ratios(m.Name, names))
		}
	}
	printTable(w, rows)
	r.printNotes(w)
	fmt.Fprintln(w)
	for i := range goals {
		if goals[i].Scenario == r.Name && goals[i].Cores == r.Cores {
			fmt.Fprintf(w, "- %s\n", goals[i].sentence())
		}
	}
	fmt.Fprintln(w)
}

func (r *scenarioResult) printNotes(w io.Writer) {
	for _, failure := range r.Failures {
		fmt.Fprintf(w, "\n**Failed**: %s\n", failure)
	}
	for _, remark := range r.Remarks {
		fmt.Fprintf(w, "\n%s.\n", remark)
	}
	if r.Disturbed > 0 {
		fmt.Fprintf(w, "\n**Disturbed**: %d measurements began while something else kept the machine busy.\n", r.Disturbed)
	}
	if r.Later != nil {
		fmt.Fprintf(w, "\n%s.\n", r.Later)
	}
	if r.Note != "" {
		fmt.Fprintf(w, "\n%s\n", r.Note)
	}
}

// measured lists the subjects of which there are figures.
func (r *scenarioResult) measured() (names []string) {
	for _, s := range r.Subjects {
		if len(s.Rounds) > 0 {
			names = append(names, s.Name)
		}
	}
	return names
}

func (r *scenarioResult) has(subject string) bool {
	return slices.Contains(r.measured(), subject)
}

func (r *scenarioResult) row(m metricName, names []string) []string {
	row := []string{m.Name}
	if m.Unit != "" {
		row[0] += ", " + m.Unit
	}
	for _, name := range names {
		row = append(row, r.cell(name, m))
	}
	return row
}

// cell is the median, with the range if there is one.
func (r *scenarioResult) cell(subject string, m metricName) string {
	s, ok := r.spread(subject, m.Name)
	if !ok {
		return "–"
	}
	text := func(v float64) string { return strconv.FormatFloat(v, 'f', m.Digits, 64) }
	if len(r.values(subject, m.Name)) == 1 {
		return text(s.median)
	}
	return fmt.Sprintf("%s (%s … %s)", text(s.median), text(s.least), text(s.most))
}

// ratios are ours to each of the others'.
func (r *scenarioResult) ratios(metric string, names []string) []string {
	row := []string{"ours ÷ theirs"}
	for _, name := range names {
		cell := ""
		if ratio, ok := r.ratio(metric, name); ok && name != ours {
			cell = fmt.Sprintf("%.2f", ratio)
		}
		row = append(row, cell)
	}
	return row
}

// ratio is the gateway's median to another subject's.
func (r *scenarioResult) ratio(metric, versus string) (float64, bool) {
	return r.figure(&promise{subject: ours, versus: versus, metric: metric})
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
