package proxy_test

import (
	"bytes"
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy"
)

var update = flag.Bool("update", false, "write config.schema.json and docs/configuration.md anew")

const (
	schemaFile    = "../config.schema.json"
	referenceFile = "../docs/configuration.md"
	beginMarker   = "<!-- The reference begins: made from the code by make schema. -->\n"
	endMarker     = "<!-- The reference ends. -->\n"
)

// TestDocuments holds the committed schema and reference to the code, or
// writes them with -update.
func TestDocuments(t *testing.T) {
	t.Parallel()
	schema, err := proxy.Schema()
	if err != nil {
		t.Fatal(err)
	}
	reference, err := proxy.Reference()
	if err != nil {
		t.Fatal(err)
	}
	text := read(t, referenceFile)
	before, rest, hasBegin := strings.Cut(text, beginMarker)
	_, after, hasEnd := strings.Cut(rest, endMarker)
	if !hasBegin || !hasEnd {
		t.Fatalf("%s has lost its markers, expected %q and %q", referenceFile, beginMarker, endMarker)
	}
	current(t, schemaFile, schema)
	current(t, referenceFile, []byte(before+beginMarker+"\n"+reference+"\n"+endMarker+after))
}

// current fails when a file is not what the code says.
func current(t *testing.T, file string, want []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got := read(t, file); !bytes.Equal([]byte(got), want) {
		t.Errorf("%s is not what the code says, run: make schema", file)
	}
}

// row is a line of a reference table: key, type, default, description.
var row = regexp.MustCompile("^\\| `([^`]+)` \\| (.+?) \\| (.+?) \\| (.+) \\|$")

// TestDefaultsVisible demands of each key that a reader sees what holds when
// it is left out: a default in its column or its description.
func TestDefaultsVisible(t *testing.T) {
	t.Parallel()
	reference, err := proxy.Reference()
	if err != nil {
		t.Fatal(err)
	}
	section, keys := "", 0
	for line := range strings.Lines(reference) {
		if title, ok := strings.CutPrefix(line, "## "); ok {
			section = strings.TrimSpace(title)
		}
		cells := row.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if cells == nil {
			continue
		}
		keys++
		isSection := strings.HasPrefix(cells[2], "[")
		if cells[3] == "–" && !isSection && !strings.Contains(cells[4], "Default: ") {
			t.Errorf("key %q of %s has no visible default, expected one in its comment: %s", cells[1], section, cells[4])
		}
	}
	if keys < 50 {
		t.Errorf("found %d keys in the reference, expected more than 50", keys)
	}
}

var (
	requirement = regexp.MustCompile(`(?m)^\s+(\S+\.\S+/\S+) v\S+`)
	heading     = regexp.MustCompile("(?m)^## `([^`]+)`$")
)

// TestDependencies demands a reason for each module of go.mod, and no reason
// for what is gone.
func TestDependencies(t *testing.T) {
	t.Parallel()
	explained := map[string]bool{}
	for _, match := range heading.FindAllStringSubmatch(read(t, "../docs/dependencies.md"), -1) {
		explained[match[1]] = true
	}
	for _, match := range requirement.FindAllStringSubmatch(read(t, "../go.mod"), -1) {
		if !explained[match[1]] {
			t.Errorf("docs/dependencies.md says nothing about %s, expected a section of that name", match[1])
		}
		delete(explained, match[1])
	}
	for module := range explained {
		t.Errorf("docs/dependencies.md explains %s, which go.mod doesn't require", module)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
