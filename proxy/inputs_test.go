package proxy

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestNamedFiles: what a configuration names is read once, and within bounds; whether it has
// changed is found out by its content, and by whether it is there.
func TestNamedFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := writesOld(t, dir)
	write("a", "12345")
	write("below/x", "")
	in := newInputs(dir)
	for _, c := range []struct {
		path  string
		limit int64
		text  string
		err   string
	}{
		{"a", 5, "12345", ""}, {"./a", 5, "12345", ""}, {filepath.Join(dir, "a"), 6, "12345", ""}, {"a", 4, "", "it is too large, expected at most 4 bytes"}, {"missing", 5, "", "there is no such file"}, {"below", 5, "", "is a directory"},
	} {
		content, err := in.read(c.path, c.limit)
		if string(content) != c.text || (err == nil) != (c.err == "") || err != nil && (!strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), dir)) {
			t.Errorf("%s of at most %d bytes: %q, %v", c.path, c.limit, content, err)
		}
	}
	small := newInputs(dir)
	if _, err := small.read("a", 4); err == nil || err.Error() != "it is too large, expected at most 4 bytes" {
		t.Errorf("got %v", err)
	}
	if content, err := small.read("a", 5); string(content) != "12345" || err != nil {
		t.Errorf("with a larger bound: %q, %v", content, err)
	}
	write("a", "changed")
	if content, _ := in.read("a", 6); string(content) != "12345" {
		t.Errorf("it is read twice: %q", content)
	}
	var paths []string
	in.each(func(path string) { paths = append(paths, path) })
	if want := []string{filepath.Join(dir, "a"), filepath.Join(dir, "below"), filepath.Join(dir, "missing")}; !slices.Equal(paths, want) {
		t.Errorf("the files are %q, want %q", paths, want)
	}
	if in.unchanged() {
		t.Error("another content isn't noticed")
	}
	write("a", "12345")
	if in.forget(); !in.unchanged() {
		t.Error("the same content is taken for another one")
	}
	write("missing", "")
	if in.unchanged() {
		t.Error("a file that has come isn't noticed")
	}
	for _, name := range []string{"missing", "a"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if in.unchanged() != (name == "missing") {
			t.Errorf("that %s is gone is noticed: %v", name, name == "missing")
		}
	}
	var none *inputs
	none.each(func(string) { t.Error("there is a file") })
	if !none.unchanged() {
		t.Error("nothing has changed")
	}
}

// TestFaultsOfTenants: what is wrong with a tenant is said beside what is wrong with its
// scripts; one whose hosts can't be read has none.
func TestFaultsOfTenants(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writesOld(t, dir)("scripts/bad.lua", "x =")
	const rest = "- {name: good, domains: [good.example.com], services: [{url: 'http://127.0.0.1:1'}], lua_routes: bad}\n"
	for tenant, c := range map[string]struct {
		want      []string
		unmatched bool
	}{
		"{name: a, domains: [a.example.com], lua_routes: bad, services: [{url: 'ftp://x'}]}": {[]string{`scheme "ftp"`, "bad.lua:1:4: "}, false},
		"{name: a, domains: {a: b}, services: [{url: 'http://127.0.0.1:1'}]}":                {[]string{"domains"}, true},
		"{name: a, path_prefix: /a, services: [{url: 'ftp://x'}]}":                           {[]string{`scheme "ftp"`}, false},
		"{name: a, path_prefix: /a, services: [{url: 'http://127.0.0.1:1'}]}":                {nil, false},
	} {
		config, err := Parse(filepath.Join(dir, "c.yaml"), []byte("lua_routing: {enabled: true}\ntenants:\n- "+tenant+"\n"+rest))
		if err != nil {
			t.Fatalf("%s: %v", tenant, err)
		}
		got := ""
		if err := config.Err(); err != nil {
			got = err.Error()
		}
		for _, part := range c.want {
			if !strings.Contains(got, part) {
				t.Errorf("%s: %q lacks %q", tenant, got, part)
			}
		}
		if (got == "") != (c.want == nil) || config.unmatched[0] != c.unmatched || config.unmatched[1] || len(config.faults[1]) > 0 {
			t.Errorf("%s: %q, without hosts %v", tenant, got, config.unmatched)
		}
	}
}

// TestFaultsOfAll: where nothing will be built, what is wrong with any script is said too.
func TestFaultsOfAll(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := writesOld(t, dir)
	write("scripts/bad.lua", "x =")
	write("scripts/own.lua", "y =")
	_, err := Parse(filepath.Join(dir, "c.yaml"), []byte("nonsense: 1\nlua_routing: {enabled: true, global_scripts: [bad]}\ntenants: [{name: a, path_prefix: /, lua_routes: own}]\n"))
	if err == nil || !strings.Contains(err.Error(), "nonsense") || !strings.Contains(err.Error(), "bad.lua:1:4: ") || !strings.Contains(err.Error(), "own.lua:1:4: ") {
		t.Errorf("got %v", err)
	}
	for file, want := range map[string]string{"": "", "scripts/bad.lua": "scripts/bad.lua", "none": "none"} {
		if got := besideOrBelow(dir, file); got != want {
			t.Errorf("%q is %q", file, got)
		}
	}
}
