//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/bench/plot"
)

// runFlame draws a profile of Go's as a flame graph, in a file for README and
// reports: bench flame profile.pprof out.svg. The profile is read by go tool
// pprof, which comes with Go, rather than by a module that does it.
func runFlame(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("flame", flag.ContinueOnError)
	title := flags.String("title", "", "title of the graph; default: the kind of profile and the program")
	sample := flags.String("sample", "", "what to draw of a profile with several values, as alloc_space; default: as go tool pprof")
	focus := flags.String("focus", "", "draw only the stacks with a function that matches this regular `expression`")
	full := flags.Bool("full", false, "leave Go's runtime as it is")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 2 {
		return fmt.Errorf("expected a profile and a file to write, have %d arguments: bench flame [flags] profile.pprof out.svg", flags.NArg())
	}
	input, output := flags.Arg(0), flags.Arg(1)
	traces, err := readTraces(ctx, input, *sample, *focus)
	if err != nil {
		return fmt.Errorf("cannot read profile %q: %w", input, err)
	}
	if !*full {
		for i := range traces.stacks {
			traces.stacks[i].Frames = collapse(traces.stacks[i].Frames)
		}
	}
	if *title == "" {
		*title = strings.TrimSuffix(traces.kind+" of "+traces.program, " of ")
	}
	return writeFlame(output, *title, traces)
}

func writeFlame(output, title string, traces *traces) error {
	if err := os.WriteFile(output, []byte(plot.Flame(title, traces.unit, traces.stacks)), 0o644); err != nil { //nolint:gosec // G306: made to be shown
		return fmt.Errorf("cannot write flame graph: %w", err)
	}
	return nil
}

// traces is what go tool pprof -traces prints.
type traces struct {
	kind    string // as cpu
	program string
	unit    string // of the weights
	stacks  []plot.Stack
}

func readTraces(ctx context.Context, profile, sample, focus string) (*traces, error) {
	path, err := filepath.Abs(profile)
	if err != nil {
		return nil, err
	}
	// pprof would take what isn't a file for an address to fetch.
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, errors.New("expected a regular file"))
	}
	args := []string{"tool", "pprof", "-traces", "-unit=ns", "-symbolize=none", "-sample_index=" + sample, "-focus=" + focus}
	var output, complaints bytes.Buffer
	pprof := exec.CommandContext(ctx, "go", append(args, path)...) //nolint:gosec // G204: flags and file are those of whoever runs bench
	pprof.Stdout, pprof.Stderr = &output, &complaints
	if err := pprof.Run(); err != nil {
		return nil, fmt.Errorf("go tool pprof: %w: %s", err, bytes.TrimSpace(complaints.Bytes()))
	}
	return parseTraces(&output)
}

var (
	// traceWeight is the first line of a stack: weight, unit, innermost function.
	traceWeight = regexp.MustCompile(`^ *(-?[0-9][0-9.]*(?:e[+-]?[0-9]+)?)([A-Za-z]*)   (\S.*)$`)
	// traceFrame is one of the others.
	traceFrame = regexp.MustCompile(`^ {13}(\S.*)$`)
)

// longestTraceLine bounds a line: names of generic functions can be long.
const longestTraceLine = 1 << 20

// parseTraces reads a head of fields, then stacks from the innermost function
// on, with lines of dashes between them and labels before some.
func parseTraces(r io.Reader) (*traces, error) {
	t := &traces{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, longestTraceLine)
	t.parse(lines)
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("cannot read what go tool pprof prints: %w", err)
	}
	if t.kind == "" {
		return nil, errors.New("go tool pprof printed no type, expected a profile with one")
	}
	for i := range t.stacks {
		slices.Reverse(t.stacks[i].Frames)
	}
	return t, nil
}

func (t *traces) parse(lines *bufio.Scanner) {
	head := true
	var stack *plot.Stack
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "-----------+"):
			head, stack = false, nil
		case head:
			t.describe(line)
		case stack == nil:
			stack = t.begin(line)
		default:
			if frame := traceFrame.FindStringSubmatch(line); frame != nil {
				stack.Frames = append(stack.Frames, functionName(frame[1]))
			}
		}
	}
}

func (t *traces) describe(line string) {
	name, value, _ := strings.Cut(line, ": ")
	switch name {
	case "File":
		t.program = filepath.Base(value)
	case "Type":
		t.kind = value
		t.unit, _ = unitOf(value)
	}
}

// begin starts a stack, or returns nil for a label.
func (t *traces) begin(line string) *plot.Stack {
	found := traceWeight.FindStringSubmatch(line)
	if found == nil {
		return nil
	}
	weight, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		return nil
	}
	_, divisor := unitOf(t.kind)
	t.stacks = append(t.stacks, plot.Stack{Frames: []string{functionName(found[3])}, Weight: weight / divisor})
	return &t.stacks[len(t.stacks)-1]
}

// unitOf is the unit to show for a kind of profile, and how many of pprof's are
// one of it: asked for ns, pprof prints ns, bytes, or counts as if they were ns.
func unitOf(kind string) (unit string, divisor float64) {
	switch {
	case kind == "cpu" || kind == "delay":
		return "ms", 1e6
	case strings.HasSuffix(kind, "_space"):
		return "MiB", 1 << 20
	}
	return "", 1
}

func functionName(s string) string { return strings.TrimSuffix(s, " (inline)") }
