//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// runReport renders results.md, the plots and the blocks of the READMEs anew.
func runReport(args []string) error {
	flags := newReportFlags()
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q, expected none", flags.Arg(0))
	}
	r, err := readResults(filepath.Join(*flags.directory, resultsFile))
	if err != nil {
		return err
	}
	if err := r.render(*flags.directory); err != nil {
		return err
	}
	if *flags.readme {
		return r.updateReadmes(*flags.directory, ".")
	}
	return nil
}

// render writes all that is made from results into a directory.
func (r *results) render(directory string) error {
	files := r.plots()
	files["results.md"] = r.markdown()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(directory, name), []byte(text), 0o644); err != nil { //nolint:gosec // G306: results are for everyone
			return err
		}
	}
	return nil
}

// markdown is results.md: everything, in tables.
func (r *results) markdown() string {
	text := &bytes.Buffer{}
	fmt.Fprintf(text, "# Results\n\nWritten by `bench report` from %s. [README.md](../README.md) says how to read it.\n\n", resultsFile)
	fmt.Fprintf(text, "%s. %s, %d rounds of %g s, closed loops by %s", r.Machine, r.At.Format("2 January 2006"), r.Options.Rounds, r.Options.Seconds, r.Options.Loader)
	if r.Options.Hosts > 0 {
		fmt.Fprintf(text, ", %d hosts", r.Options.Hosts)
	}
	fmt.Fprint(text, ".\n\n")
	for _, p := range r.Peers {
		fmt.Fprintf(text, "- %s: %s\n", p.Name, p.Version)
	}
	for _, p := range r.Missing {
		fmt.Fprintf(text, "- %s was left out: %s\n", p.Name, p.Reason)
	}
	fmt.Fprint(text, "\n")
	if len(r.Goals) > 0 {
		fmt.Fprint(text, "## Goals\n\n")
		printTable(text, r.goalRows())
		fmt.Fprint(text, "\n")
	}
	for _, s := range r.Scenarios {
		s.print(text, nil)
	}
	return strings.TrimRight(text.String(), "\n") + "\n"
}

// goalRows are the goals as a table.
func (r *results) goalRows() [][]string {
	rows := [][]string{{"scenario", "goal", "must", "aim", "measured", ""}}
	number := func(v float64) string { return fmt.Sprintf("%.4g", v) }
	for i := range r.Goals {
		g := &r.Goals[i]
		row := []string{labelOf(g.Scenario, g.Cores), g.Text, g.sign() + " " + number(g.Must), "", "–", string(g.Verdict)}
		if g.Aim > 0 {
			row[3] = number(g.Aim)
		}
		if g.Verdict != notJudged {
			row[4] = number(g.Value)
		}
		if g.Verdict == missed {
			row[5] = "**missed**"
		}
		rows = append(rows, row)
	}
	return rows
}

// Marks between which a README has what is made from results.
const (
	blockBegin = "<!-- bench -->"
	blockEnd   = "<!-- /bench -->"
)

// updateReadmes puts the block into both READMEs of the checkout at root.
func (r *results) updateReadmes(directory, root string) error {
	for _, readme := range []string{"README.md", "bench/README.md"} {
		file := filepath.Join(root, filepath.FromSlash(readme))
		text, err := os.ReadFile(file) //nolint:gosec // G304: the checkout's own
		if err != nil {
			return err
		}
		to, err := filepath.Rel(filepath.Dir(file), directory)
		if err != nil {
			return err
		}
		changed, err := replaceBlock(string(text), r.block(filepath.ToSlash(to)))
		if err != nil {
			return fmt.Errorf("cannot update %s: %w", readme, err)
		}
		if err := os.WriteFile(file, []byte(changed), 0o644); err != nil { //nolint:gosec // G306, G703: the checkout's own
			return err
		}
	}
	return nil
}

// replaceBlock changes what stands between the marks.
func replaceBlock(text, block string) (string, error) {
	before, rest, begun := strings.Cut(text, blockBegin)
	_, after, ended := strings.Cut(rest, blockEnd)
	if !begun || !ended {
		return "", fmt.Errorf("expected the marks %s and %s", blockBegin, blockEnd)
	}
	return before + blockBegin + "\n" + block + blockEnd + after, nil
}

// blockOf is the block for a README from which directory can be reached as to,
// with results or where there are none yet.
func blockOf(directory, to string) (string, error) {
	r, err := readResults(filepath.Join(directory, resultsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "No results are kept yet: `make bench` makes them.\n", nil
	}
	if err != nil {
		return "", err
	}
	return r.block(to), nil
}
