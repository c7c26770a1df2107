//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// someResults are of a run that has taken place nowhere.
func someResults() *results {
	s := closedComparisons()[1].scenario
	s.cores = 1
	s.subjects = []subject{{name: ours}, {name: peerNginx}, {name: peerForwarder}}
	s.promises = closedComparisons()[1].goals
	r := newScenarioResult(&s)
	for name, cpu := range map[string]float64{ours: 30, peerNginx: 20, peerForwarder: 10} {
		for round := range 2 {
			one := sample{}
			for _, m := range s.metrics {
				one[m.name] = cpu + float64(round)
			}
			r.add(name, one)
		}
	}
	return &results{
		Machine: "a machine", At: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), Options: resultOptions{Rounds: 2, Seconds: 5, Loader: "own"},
		Peers:     []peerVersion{{ours, "1"}, {peerNginx, "2"}, {peerForwarder, "3"}},
		Scenarios: []*scenarioResult{r}, Goals: judge(&s, r),
	}
}

// TestMerge demands that a later run replaces its own scenarios only, with
// their goals, and says so.
func TestMerge(t *testing.T) {
	t.Parallel()
	old, directory := someResults(), t.TempDir()
	other := *old.Scenarios[0]
	other.Cores = 2
	old.Scenarios = append(old.Scenarios, &other)
	if err := old.keep(directory); err != nil {
		t.Fatal(err)
	}
	fresh := someResults()
	fresh.At, fresh.Peers[0].Version = fresh.At.AddDate(0, 1, 0), "1.1"
	for i := range fresh.Goals {
		fresh.Goals[i].Verdict = notJudged
	}
	all, err := fresh.mergeInto(directory)
	if err != nil {
		t.Fatal(err)
	}
	if len(all.Scenarios) != 2 || all.Scenarios[0].Later == nil || all.Scenarios[1].Later != nil || !all.At.Equal(old.At) {
		t.Errorf("got %d scenarios, from %v", len(all.Scenarios), all.At)
	}
	if len(all.Goals) != len(old.Goals) || all.Goals[0].Verdict != notJudged {
		t.Errorf("got goals %+v, want those of the later run", all.Goals)
	}
	if text := all.markdown(); !strings.Contains(text, "Measured after the others, on 2 February 2026, 00:00, with 1.1, 2 rounds of 5 s.") {
		t.Errorf("results.md doesn't say what was measured later:\n%s", text)
	}
	fresh.Machine = "another"
	if _, err := fresh.mergeInto(directory); err == nil {
		t.Error("results of another machine were merged, want an error")
	}
	fresh = someResults()
	fresh.Scenarios[0].Name = "unknown"
	if _, err := fresh.mergeInto(directory); err == nil {
		t.Error("a scenario that isn't there was merged, want an error")
	}
}

// TestKeep demands that what is rendered from the file is what was rendered
// from the run.
func TestKeep(t *testing.T) {
	t.Parallel()
	r, directory := someResults(), t.TempDir()
	if err := r.keep(directory); err != nil {
		t.Fatal(err)
	}
	read, err := readResults(filepath.Join(directory, resultsFile))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := read.markdown(), r.markdown(); got != want {
		t.Errorf("results.md from the file:\n%s\nwant\n%s", got, want)
	}
	if got, want := read.block("x"), r.block("x"); got != want {
		t.Errorf("the block from the file:\n%s\nwant\n%s", got, want)
	}
	for name := range r.plots() {
		if text, err := os.ReadFile(filepath.Join(directory, name)); err != nil || !strings.HasPrefix(string(text), "<svg") {
			t.Errorf("%s is %.20q, %v, want a plot", name, text, err)
		}
	}
	if len(r.plots()) != 2 {
		t.Errorf("there are %d plots, want CPU time and p99", len(r.plots()))
	}
}

// TestBlock demands that the short form says where we lose, but not to those
// who do less.
func TestBlock(t *testing.T) {
	t.Parallel()
	got := someResults().block("to")
	for _, want := range []string{
		"| plain-64 | 30.5    | 20.5 (1.49) | 10.5 (2.90) |", "- plain-64, 1 core: CPU per request is 1.49 × that of nginx\n",
		"- goal of plain-64, 1 core missed: CPU per request ÷ nginx is 1.488, must be ≤ 1\n", "(to/cpu-1.svg)", "(to/results.md)",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the block lacks %q:\n%s", want, got)
		}
	}
	if strings.Contains(got, "that of forwarder") {
		t.Errorf("the block counts a forwarder that parses nothing as a loss:\n%s", got)
	}
}

func TestComplete(t *testing.T) {
	t.Parallel()
	if err := someResults().complete(); err != nil {
		t.Errorf("complete results: %v", err)
	}
	for name, spoil := range map[string]func(*results){
		"a failure":         func(r *results) { r.Scenarios[0].Failures = []string{"nginx, round 1: no"} },
		"no subjects":       func(r *results) { r.Scenarios[0].Subjects = nil },
		"a missing metric":  func(r *results) { delete(r.Scenarios[0].Subjects[1].Rounds[0], metricP99) },
		"a missing round":   func(r *results) { r.Scenarios[0].Subjects[2].Rounds = r.Scenarios[0].Subjects[2].Rounds[:1] },
		"a missing subject": func(r *results) { r.Scenarios[0].Subjects[0].Rounds = nil },
	} {
		r := someResults()
		spoil(r)
		if r.complete() == nil {
			t.Errorf("results with %s are complete, want an error", name)
		}
	}
}

// TestReadmes holds both READMEs to the results that are kept.
func TestReadmes(t *testing.T) {
	t.Parallel()
	for file, to := range map[string]string{"../README.md": "bench/results", "README.md": "results"} {
		text, err := os.ReadFile(filepath.FromSlash(file))
		if err != nil {
			t.Fatal(err)
		}
		block, err := blockOf("results", to)
		if err != nil {
			t.Fatal(err)
		}
		want, err := replaceBlock(string(text), block)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if string(text) != want {
			t.Errorf("%s is not what bench/results/%s renders: run go run ./bench report", file, resultsFile)
		}
	}
}

func TestReplaceBlock(t *testing.T) {
	t.Parallel()
	got, err := replaceBlock("a\n"+blockBegin+"\nold\n"+blockEnd+"\nb\n", "new\n")
	if want := "a\n" + blockBegin + "\nnew\n" + blockEnd + "\nb\n"; err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	for _, text := range []string{"", blockBegin, blockEnd + blockBegin} {
		if _, err := replaceBlock(text, "new"); err == nil {
			t.Errorf("replaceBlock(%q): no error", text)
		}
	}
}
