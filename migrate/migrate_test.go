package migrate_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/migrate"
)

var update = flag.Bool("update", false, "rewrite the new files in testdata")

// TestFile: each file of testdata has an old configuration with its scripts, what
// becomes of it, parts of what is said of it, and of what is left to do.
func TestFile(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no testdata", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			names, parts := read(t, file)
			dir := t.TempDir()
			for _, name := range names {
				if strings.HasSuffix(name, ".lua") {
					write(t, filepath.Join(dir, name), parts[name])
				}
			}
			result, err := migrate.File(filepath.Join(dir, "old.yaml"), []byte(parts["old"]))
			if err != nil {
				t.Fatal(err)
			}
			if string(result.Text) != parts["new"] {
				if *update {
					rewrite(t, file, parts["new"], string(result.Text))
				}
				t.Errorf("got:\n%s", result.Text)
			}
			said := append(result.Changes, result.Notes...)
			for line := range strings.Lines(parts["said"]) {
				contains(t, "said", said, strings.TrimSpace(line))
			}
			for line := range strings.Lines(parts["left"]) {
				contains(t, "left", result.Left, strings.TrimSpace(line))
			}
			if want := strings.Count(parts["left"], "\n"); len(result.Left) != want {
				t.Errorf("%d things are left, expected %d: %q", len(result.Left), want, result.Left)
			}
		})
	}
}

func contains(t *testing.T, what string, list []string, part string) {
	t.Helper()
	for _, words := range list {
		if strings.Contains(words, part) {
			return
		}
	}
	t.Errorf("%s: nothing has %q in\n%s", what, part, strings.Join(list, "\n"))
}

// read takes a file apart: "-- name --" begins a part.
func read(t *testing.T, file string) (names []string, parts map[string]string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		t.Fatal(err)
	}
	parts = map[string]string{}
	name := ""
	for line := range bytes.Lines(text) {
		if rest, ok := strings.CutPrefix(string(line), "-- "); ok && strings.HasSuffix(rest, " --\n") {
			name = strings.TrimSuffix(rest, " --\n")
			names = append(names, name)
			continue
		}
		parts[name] += string(line)
	}
	return names, parts
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func rewrite(t *testing.T, file, before, after string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, strings.Replace(string(text), before, after, 1))
}

// TestNoFile: what can't be migrated is an error, not a file.
func TestNoFile(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		" \n": "is empty",
		"compatibility: keystone-1\ntenants: []\n": "a file of this version already",
	} {
		if _, err := migrate.File("old.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, expected %s", text, err, want)
		}
	}
}

// FuzzFile: whatever a file holds, something is made of it or said of it, what
// was good stays good, and what is made isn't an earlier file any more.
func FuzzFile(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(filepath.Clean(file))
		if err != nil {
			f.Fatal(err)
		}
		_, old, _ := bytes.Cut(text, []byte("-- old --\n"))
		old, _, _ = bytes.Cut(old, []byte("-- new --\n"))
		f.Add(old)
	}
	f.Add([]byte("\ufeffa: |\n  b\n\n\nc: {d: e}\n"))
	f.Add([]byte("- - a: 1\n  - ? b\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		result, err := migrate.File(filepath.Join(t.TempDir(), "old.yaml"), src)
		if err != nil || len(result.Left) > 0 {
			return
		}
		if _, err := migrate.File("new.yaml", result.Text); err == nil {
			t.Errorf("of\n%s\ncame\n%s", src, result.Text)
		}
	})
}
