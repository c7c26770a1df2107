package vmtest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Kept are the results of lua5.1 for programs, kept in a file for where there is
// no lua5.1: a line for each batch, with a digest of its source and one of each
// program's result. KEYSTONE_KEEP=1 writes the file.
type Kept struct {
	file  string
	lines []string // as they are in the file
	fresh []string // as lua5.1 gives them now
	write bool
}

// digestBytes is how much of a result's digest is kept: it needs to tell two
// results from each other, not to withstand anybody.
const digestBytes = 4

// Keep uses a file of kept results; "" is none, for programs that aren't always
// the same. The test skips if there is neither lua5.1 nor a file.
func Keep(tb testing.TB, file string) *Kept {
	tb.Helper()
	k := &Kept{file: file, write: os.Getenv("KEYSTONE_KEEP") != "" && file != ""}
	if file != "" && !k.write {
		text, err := os.ReadFile(file) //nolint:gosec // G304: a test's own
		if err != nil {
			tb.Fatal(err)
		}
		k.lines = strings.Split(strings.TrimSpace(string(text)), "\n")
	}
	if _, err := exec.LookPath("lua5.1"); err != nil {
		switch {
		case os.Getenv("KEYSTONE_CI") != "" || k.write:
			tb.Fatalf("lua5.1 is missing: %v", err)
		case file == "":
			tb.Skip("lua5.1 is missing")
		}
		tb.Log("lua5.1 is missing: kept results are compared with")
	} else if k.write {
		tb.Cleanup(func() {
			if err := os.WriteFile(file, []byte(strings.Join(k.fresh, "\n")+"\n"), 0o600); err != nil {
				tb.Error(err)
			}
		})
	}
	return k
}

// Compare demands that the lines of got, one a program, are what lua5.1 gives
// for the source, whose n-th batch it is. clean makes lines comparable.
func (k *Kept) Compare(tb testing.TB, batch int, source string, programs, got []string, clean func(string) string) {
	tb.Helper()
	if len(got) < len(programs) {
		tb.Fatalf("%d of %d programs have run", len(got), len(programs))
	}
	for i := range got {
		got[i] = clean(got[i])
	}
	d := difference{tb: tb, programs: programs, got: got}
	if _, err := exec.LookPath("lua5.1"); err != nil {
		sum, digests, _ := strings.Cut(k.line(batch), " ")
		kept, err := base64.RawStdEncoding.DecodeString(digests)
		if err != nil || sum != digest(source, 8) || len(kept) != digestBytes*len(programs) {
			tb.Fatalf("%s has no results of this batch's programs: KEYSTONE_KEEP=1 writes them, where there is lua5.1", k.file)
		}
		d.report(func(i int) (string, bool) {
			of := base64.RawStdEncoding.EncodeToString(kept[digestBytes*i:][:digestBytes])
			return "something else, which isn't kept: " + of, of == digest(got[i], digestBytes)
		})
		return
	}
	want := strings.Split(stock(tb, source), "\n")
	if len(want) < len(programs) {
		tb.Fatalf("lua5.1 has run %d of %d programs", len(want), len(programs))
	}
	var digests []byte
	for i := range programs {
		want[i] = clean(want[i])
		sum := sha256.Sum256([]byte(want[i]))
		digests = append(digests, sum[:digestBytes]...)
	}
	line := digest(source, 8) + " " + base64.RawStdEncoding.EncodeToString(digests)
	k.fresh = append(k.fresh, line)
	d.report(func(i int) (string, bool) { return want[i], got[i] == want[i] })
	if k.file != "" && !k.write && k.line(batch) != line {
		tb.Errorf("%s is not what lua5.1 gives for batch %d: KEYSTONE_KEEP=1 writes it anew", k.file, batch)
	}
}

func (k *Kept) line(batch int) string {
	if batch < len(k.lines) {
		return k.lines[batch]
	}
	return ""
}

func digest(text string, size int) string {
	sum := sha256.Sum256([]byte(text))
	return base64.RawStdEncoding.EncodeToString(sum[:size])
}

// difference reports the first programs that differ.
type difference struct {
	tb            testing.TB
	programs, got []string
}

// maxReported is how many are reported of one batch.
const maxReported = 3

func (d *difference) report(wanted func(i int) (want string, same bool)) {
	d.tb.Helper()
	reported := 0
	for i, program := range d.programs {
		want, same := wanted(i)
		if same {
			continue
		}
		if reported++; reported > maxReported {
			d.tb.Error("and more")
			return
		}
		d.tb.Errorf("this program:\n%s\ngives  %s\nlua5.1 %s", program, d.got[i], want)
	}
}

// stock runs a source on lua5.1 and returns what it prints.
func stock(tb testing.TB, source string) string {
	tb.Helper()
	dir := tb.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "in"), []byte(source), 0o600); err != nil {
		tb.Fatal(err)
	}
	var out, wrong bytes.Buffer
	command := exec.Command("lua5.1", "in") // whose name stands in messages
	command.Dir = dir
	command.Stdout, command.Stderr = &out, &wrong
	command.Env = append(os.Environ(), "TZ=UTC", "LC_ALL=C")
	if err := command.Run(); err != nil {
		tb.Fatalf("lua5.1: %v: %s\nafter %s", err, &wrong, fmt.Sprintf("%.200s", out.String()[max(0, out.Len()-200):]))
	}
	return out.String()
}
