//go:build linux

package main

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"
)

// TestPrint demands that a table shows medians with their range, and that a
// promise is judged by them.
func TestPrint(t *testing.T) {
	t.Parallel()
	s := &scenario{
		name: "work", title: "some work", metrics: []metric{{"CPU", "µs", 1}, {"rate", "", 0}},
		subjects: []subject{{name: "ours"}, {name: "theirs"}, {name: "absent"}},
		promises: []promise{
			{text: "ratio", subject: "ours", versus: "theirs", metric: "CPU", must: 0.5},
			{text: "bound", subject: "ours", metric: "CPU", must: 2.9},
			{text: "rate", subject: "ours", metric: "rate", must: 7, atLeast: true},
			{text: "nobody's", subject: "ours", versus: "absent", metric: "CPU", must: 0},
		},
	}
	r := newScenarioResult(s)
	for name, rounds := range map[string][]sample{
		"ours":   {{"CPU": 9, "rate": 7}, {"CPU": 3, "rate": 7}, {"CPU": 1, "rate": 7}},
		"theirs": {{"CPU": 6}, {"CPU": 8}},
	} {
		for _, one := range rounds {
			r.add(name, one)
		}
	}
	var text strings.Builder
	goals := judge(s, r)
	r.print(&text, goals)
	if all := (&results{Goals: goals}); !all.missed() {
		t.Error("all promises were kept, want one missed")
	}
	for _, want := range []string{
		"| CPU, µs | 3.0 (1.0 … 9.0) | 7.0 (6.0 … 8.0) |", "| rate    | 7 (7 … 7) ",
		"- kept: ratio: 0.4286, promised ≤ 0.5", "- **missed**: bound: 3, promised ≤ 2.9", "- kept: rate: 7, promised ≥ 7", "- not judged: nobody's",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, text.String())
		}
	}
}

// TestProcesses demands that time and memory are counted for what a process
// has started too, and that all of it is stopped.
func TestProcesses(t *testing.T) {
	t.Parallel()
	l := &lab{directory: t.TempDir()}
	p, err := l.start("a shell", nil, "/bin/sh", "-c", "sh -c 'while :; do :; done' & wait")
	if err != nil {
		t.Fatal(err)
	}
	defer l.stopAll()
	var pids []int
	for began := time.Now(); len(pids) < 2 || cpuOf(pids).total() < 2*tick; pids = tree(p.pid()) {
		if time.Since(began) > patience {
			t.Fatalf("processes %v have used %v", pids, cpuOf(pids))
		}
	}
	if own := cpuOf(pids[:1]).total(); own >= cpuOf(pids).total() {
		t.Errorf("the shell itself has used %v, all of it", own)
	}
	if now, peak := memoryOf(pids); now < 1e5 || peak < now {
		t.Errorf("memory is %.0f bytes, at most %.0f", now, peak)
	}
	l.stopAll()
	for _, pid := range pids {
		if s, err := readStat(pid); err == nil && s.parent == os.Getpid() {
			t.Errorf("process %d is still there", pid)
		}
	}
}

// TestScenarios demands of every scenario what printing relies on.
func TestScenarios(t *testing.T) {
	t.Parallel()
	var all []*scenario
	for _, smoke := range []bool{false, true} {
		all = append(all, comparisons(&options{cores: []int{1, 2}, hosts: 20, smoke: smoke}, peers())...)
	}
	for _, s := range all {
		subjects, metrics := map[string]bool{}, map[string]bool{}
		for i := range s.subjects {
			subjects[s.subjects[i].name] = true
		}
		for _, m := range s.metrics {
			metrics[m.name] = true
		}
		for _, p := range s.promises {
			if !subjects[p.subject] || p.versus != "" && !subjects[p.versus] || !metrics[p.metric] {
				t.Errorf("scenario %s: the promise %q is about nothing that is measured", s.name, p.text)
			}
		}
	}
}

func TestArguments(t *testing.T) {
	t.Parallel()
	for _, args := range []string{
		"", "compar", "compare -rounds 0", "compare -seconds 0", "compare -cores 3", "compare -cores 1,1",
		"compare -peers nobody", "compare -only nothing", "compare -loader ab", "compare -loader wrk -seconds 0.5", "compare more",
		"report more", "report -out does-not-exist", "upstream", "grpc-upstream", "grpc-upstream 0 127.0.0.1:0", "upstream localhost:1",
	} {
		if err := dispatch(context.Background(), strings.Fields(args)); err == nil {
			t.Errorf("bench %s: no error", args)
		}
	}
}
