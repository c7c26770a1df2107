package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// What was decided about a mutant.
const (
	killed   = "killed"
	hung     = "hung"
	survived = "survived"
)

// record keeps what was decided, by keys that don't change when lines move: a
// file to which each decision is appended, the last one of a key counts.
type record struct {
	dir      string
	file     *os.File
	verdicts map[string]string
}

func openRecord(dir, name string) (*record, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil { // #nosec G703 -- where the user wants it
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(dir, "results.txt"), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600) // #nosec G304 G703 -- where the user wants it
	if err != nil {
		return nil, fmt.Errorf("cannot keep the results of %s: %w", name, err)
	}
	r := &record{dir, file, map[string]string{}}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if fields := strings.SplitN(lines.Text(), "\t", 3); len(fields) == 3 {
			r.verdicts[fields[1]] = fields[0]
		}
	}
	return r, nil
}

func (r *record) verdict(key string) string { return r.verdicts[key] }

// decide keeps a verdict, and by what it was reached.
func (r *record) decide(key, verdict, by string) {
	r.verdicts[key] = verdict
	_, _ = fmt.Fprintf(r.file, "%s\t%s\t%s\n", verdict, key, by)
}

// readEquivalents reads test/mutate/equivalent.txt: the key of a mutant that
// nobody can notice on a line, and why on the indented lines below. A reason
// may stand below several keys.
func readEquivalents(root string) (map[string]string, error) {
	text, err := readOurs(root, "equivalent.txt")
	if err != nil {
		return nil, err
	}
	return parseEquivalents(text)
}

// readOurs reads a file of this folder; one that isn't there is empty.
func readOurs(root, name string) (string, error) {
	text, err := os.ReadFile(filepath.Join(root, "test", "mutate", name)) // #nosec G304 -- in the module
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return string(text), err
}

// readJudges reads test/mutate/judges.txt: a package on a line, and the patterns
// of those whose tests judge what its own haven't noticed. After a colon stands
// an expression that the names of the tests must match.
func readJudges(root string) (map[string][]string, error) {
	text, err := readOurs(root, "judges.txt")
	if err != nil {
		return nil, err
	}
	judges := map[string][]string{}
	for line := range strings.Lines(text) {
		if words := strings.Fields(line); len(words) > 0 && words[0] != "#" {
			judges[words[0]] = words[1:]
		}
	}
	return judges, nil
}

func parseEquivalents(text string) (map[string]string, error) {
	reasons := map[string]string{}
	var keys []string
	explained := false // whether the keys have a reason, so that the next key begins anew
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		reason, indented := strings.CutPrefix(line, "\t")
		switch {
		case strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#"):
		case indented && len(keys) == 0:
			return nil, fmt.Errorf("equivalent.txt: the reason %q belongs to no mutant", reason)
		case indented:
			explained = true
			for _, key := range keys {
				reasons[key] = strings.TrimSpace(reasons[key] + " " + reason)
			}
		default:
			if explained {
				keys, explained = nil, false
			}
			keys = append(keys, line)
		}
	}
	if !explained && len(keys) > 0 {
		return nil, fmt.Errorf("equivalent.txt: %q has no reason", keys[0])
	}
	return reasons, nil
}
