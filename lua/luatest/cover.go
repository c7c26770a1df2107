package luatest

import (
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// ScriptCoverage says which lines of a script have run.
type ScriptCoverage struct {
	Name  string      // below the directory, with slashes
	Lines []int       // on which statements start, in order
	Hits  map[int]int // how often each has run; absent is never
}

// Percent is the share of the lines that have run; 100 without lines.
func (c *ScriptCoverage) Percent() float64 {
	if len(c.Lines) == 0 {
		return 100
	}
	return 100 * float64(c.covered()) / float64(len(c.Lines))
}

func (c *ScriptCoverage) covered() (n int) {
	for _, line := range c.Lines {
		if c.Hits[line] > 0 {
			n++
		}
	}
	return n
}

// Missed words the lines that have not run, as "3-5, 9": neighbours are those
// between which no line with a statement has run.
func (c *ScriptCoverage) Missed() string {
	var ranges []string
	for i := 0; i < len(c.Lines); i++ {
		if c.Hits[c.Lines[i]] > 0 {
			continue
		}
		first := c.Lines[i]
		for i+1 < len(c.Lines) && c.Hits[c.Lines[i+1]] == 0 {
			i++
		}
		if last := c.Lines[i]; last > first {
			ranges = append(ranges, fmt.Sprintf("%d-%d", first, last))
		} else {
			ranges = append(ranges, fmt.Sprint(first))
		}
	}
	return strings.Join(ranges, ", ")
}

// coverage counts lines over all files of a run.
type coverage struct {
	dir string

	mu   sync.Mutex
	hits map[string]map[int]int
}

func newCoverage(dir string) *coverage {
	return &coverage{dir: dir, hits: map[string]map[int]int{}}
}

// add notes scripts that are loaded, by their names in the configuration.
func (c *coverage) add(names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range names {
		if filepath.Ext(name) == "" {
			name += ".lua"
		}
		c.of(filepath.ToSlash(filepath.Clean(name)))
	}
}

// of returns the lines of a script; mu is held.
func (c *coverage) of(name string) map[int]int {
	lines := c.hits[name]
	if lines == nil {
		lines = map[int]int{}
		c.hits[name] = lines
	}
	return lines
}

// hit counts a line. Many goroutines call it.
func (c *coverage) hit(name string, line int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of(name)[line]++
}

// report lays the hits over the lines that the scripts have. Scripts that can't
// be compiled any more are left out.
func (c *coverage) report() []ScriptCoverage {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []ScriptCoverage
	for _, name := range slices.Sorted(maps.Keys(c.hits)) {
		source, err := readSource(c.dir, name)
		if err != nil {
			continue
		}
		program, err := vm.Compile(source, name, vm.Options{Cover: true})
		if err != nil {
			continue
		}
		lines := slices.Clone(program.Lines)
		slices.Sort(lines)
		list = append(list, ScriptCoverage{Name: name, Lines: slices.Compact(lines), Hits: maps.Clone(c.hits[name])})
	}
	return list
}

// WriteLCOV writes coverage in the format of lcov, which editors and CI
// services read. Paths begin with dir.
func WriteLCOV(w io.Writer, dir string, list []ScriptCoverage) error {
	var b strings.Builder
	for i := range list {
		c := &list[i]
		fmt.Fprintf(&b, "TN:\nSF:%s\n", filepath.ToSlash(filepath.Join(dir, filepath.FromSlash(c.Name))))
		for _, line := range c.Lines {
			fmt.Fprintf(&b, "DA:%d,%d\n", line, c.Hits[line])
		}
		fmt.Fprintf(&b, "LF:%d\nLH:%d\nend_of_record\n", len(c.Lines), c.covered())
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteCoverage writes a table for people.
func WriteCoverage(w io.Writer, list []ScriptCoverage) error {
	width, lines, covered := len("total"), 0, 0
	for i := range list {
		width = max(width, len(list[i].Name))
		lines += len(list[i].Lines)
		covered += list[i].covered()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-*s  %6s  %s\n", width, "script", "lines", "not run")
	for i := range list {
		fmt.Fprintf(&b, "%s\n", strings.TrimRight(fmt.Sprintf("%-*s  %5.1f%%  %s", width, list[i].Name, list[i].Percent(), list[i].Missed()), " "))
	}
	if lines > 0 {
		fmt.Fprintf(&b, "%-*s  %5.1f%%\n", width, "total", 100*float64(covered)/float64(lines))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
