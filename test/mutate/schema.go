package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// schema is a package with all of its mutants in it: the text of each file in
// which functions of helperText ask which mutant they are.
type schema struct {
	sites []*site
	texts map[string]string // by the path of the file that it stands for
}

// newSchema finds the mutants of a package. Those with which it wouldn't
// compile are left out.
func newSchema(s *source) (*schema, error) {
	schema := &schema{}
	edits := map[*file][]edit{}
	seen := map[string]int{}
	for _, file := range s.files {
		f := &finder{source: s, file: file, sites: &schema.sites, seen: seen}
		for _, declared := range file.syntax.Decls {
			f.walk(declared)
		}
		edits[file] = f.edits
	}
	for {
		schema.texts = map[string]string{filepath.Join(s.Dir, "zz_mutants.go"): fmt.Sprintf(helperText, s.Name, schema.size())}
		for _, file := range s.files {
			schema.texts[file.path] = apply(file.text, edits[file])
		}
		bad, err := s.badLines(schema.texts)
		if err != nil || len(bad) == 0 {
			return schema, err
		}
		if schema.leaveOut(edits, bad) == 0 {
			return nil, fmt.Errorf("BUG: the schema doesn't compile: %v", bad)
		}
	}
}

// size is one more than the largest number of a mutant.
func (s *schema) size() int {
	if len(s.sites) == 0 {
		return 1
	}
	return s.sites[len(s.sites)-1].id + 1
}

// leaveOut drops the mutants that touch a line that doesn't compile, and
// returns how many those are. Edits never add lines, so that a line is where
// it was.
func (s *schema) leaveOut(edits map[*file][]edit, bad map[string]bool) int {
	out := map[*site]bool{}
	for file, list := range edits {
		line := func(offset int) string {
			return fmt.Sprintf("%s:%d", file.path, 1+strings.Count(string(file.text[:offset]), "\n"))
		}
		for _, e := range list {
			if bad[line(e.start)] || bad[line(e.end)] {
				out[e.site] = true
			}
		}
	}
	for file, list := range edits {
		edits[file] = slices.DeleteFunc(list, func(e edit) bool { return out[e.site] })
	}
	s.sites = slices.DeleteFunc(s.sites, func(site *site) bool { return out[site] })
	return len(out)
}

// apply puts edits into a text. What was found later lies within what was
// found earlier where both begin, or end, at the same place.
func apply(text []byte, edits []edit) string {
	before, after := map[int][]edit{}, map[int][]edit{}
	instead := map[int]edit{}
	for _, e := range edits {
		if e.instead != "" {
			instead[e.start] = e
			continue
		}
		before[e.start] = append(before[e.start], e)
		after[e.end] = append(after[e.end], e)
	}
	var b strings.Builder
	for i := 0; i <= len(text); i++ {
		// Inner parts end first; of two with the same extent, the later one.
		slices.Reverse(after[i])
		slices.SortStableFunc(after[i], func(a, b edit) int { return b.start - a.start })
		for _, e := range after[i] {
			b.WriteString(e.suffix)
		}
		slices.SortStableFunc(before[i], func(a, b edit) int { return b.end - a.end })
		for _, e := range before[i] {
			b.WriteString(e.prefix)
		}
		if e, is := instead[i]; is {
			b.WriteString(e.instead)
			i = e.end - 1
		} else if i < len(text) {
			b.WriteByte(text[i])
		}
	}
	return b.String()
}

// write puts the schema into a directory, and returns the file that tells
// `go -overlay` where it is.
func (s *schema) write(dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	replace := map[string]string{}
	for path, text := range s.texts {
		replace[path] = filepath.Join(dir, filepath.Base(path)+".mutants") // no .go: formatters would find it
		if err := os.WriteFile(replace[path], []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, overlay, 0o600)
}

// helperText is a file of the changed package. Hits are written to a file that
// is mapped, so that they are kept however the process ends, and those of
// processes that a test starts are too.
const helperText = `package %s

import (
	"os"
	"strconv"
	"syscall"
)

var mutActive, _ = strconv.Atoi(os.Getenv("KEYSTONE_MUTANT"))

var mutHits = func() []byte {
	path := os.Getenv("KEYSTONE_MUTANT_HITS")
	if path == "" {
		return nil
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		panic(err)
	}
	defer file.Close()
	hits, err := syscall.Mmap(int(file.Fd()), 0, %d, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		panic(err)
	}
	return hits
}()

func mutIs(id int) bool {
	if mutHits != nil {
		mutHits[id] = 1
	}
	return mutActive == id
}

type mutNumber interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uintptr | ~float32 | ~float64
}

type mutOrdered interface{ mutNumber | ~string }

func mutLess[T mutOrdered](id int, x, y T) bool {
	if mutIs(id) {
		return x <= y
	}
	return x < y
}

func mutLessEqual[T mutOrdered](id int, x, y T) bool {
	if mutIs(id) {
		return x < y
	}
	return x <= y
}

func mutGreater[T mutOrdered](id int, x, y T) bool {
	if mutIs(id) {
		return x >= y
	}
	return x > y
}

func mutGreaterEqual[T mutOrdered](id int, x, y T) bool {
	if mutIs(id) {
		return x > y
	}
	return x >= y
}

func mutNeg[T mutNumber](id int, v T) T {
	if mutIs(id) {
		return -v
	}
	return v
}

func mutPlus[T mutNumber](id int, v T) T {
	if mutIs(id) {
		return v + 1
	}
	return v
}

func mutZero[T any](id int, v T) T {
	if mutIs(id) {
		var zero T
		return zero
	}
	return v
}
`
