package proxy

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// writesOld writes files below a directory, which look as if they had been written long ago.
func writesOld(t *testing.T, dir string) func(name, text string) {
	return func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, time.Unix(1000, 0)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLooks: a look notices files that come, go and change, even by their time or identity
// alone, and nothing that no configuration reads.
func TestLooks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := writesOld(t, dir)
	write("c.yaml", "x")
	write("scripts/a.lua", "x")
	write("scripts/below/b.lua", "x")
	write("secret", "x")
	c := DefaultConfig()
	c.LuaRouting.Enabled, c.LuaRouting.ScriptsDir = true, "scripts"
	c.inputs = newInputs(dir)
	_, _ = c.inputs.read("secret", 10)
	s := &Server{file: filepath.Join(dir, "c.yaml"), dir: dir}
	refused := newInputs(dir)
	_, _ = refused.read("missing", 10)
	s.refused.Store(refused)
	last := s.lookAround(&c)
	if last.newest.Unix() != 1000 || last.dir != filepath.Join(dir, "scripts") {
		t.Errorf("got %+v", last)
	}
	touch := func(name string, at int64) func() {
		return func() { _ = os.Chtimes(filepath.Join(dir, name), time.Time{}, time.Unix(at, 0)) }
	}
	for _, step := range []struct {
		name    string
		do      func()
		changes bool
	}{
		{"nothing", func() {}, false}, {"the configuration", func() { write("c.yaml", "xy") }, true}, {"a script", func() { write("scripts/a.lua", "xyz") }, true}, {"a module", func() { write("scripts/below/b.lua", "xyz") }, true},
		{"a time", touch("scripts/a.lua", 500), true}, {"the same time", touch("scripts/a.lua", 500), false}, {"a secret", func() { write("secret", "xy") }, true}, {"what was missing", func() { write("missing", "x") }, true},
		{"a new script", func() { write("scripts/c.lua", "x") }, true}, {"it goes", func() { _ = os.Remove(filepath.Join(dir, "scripts/c.lua")) }, true},
		{"another file of the same look", func() {
			write("new", "xyz")
			_ = os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "scripts/below/b.lua"))
		}, true},
		{"another name", func() {
			_ = os.Rename(filepath.Join(dir, "scripts/below/b.lua"), filepath.Join(dir, "scripts/below/bb.lua"))
		}, true},
		{"no script", func() { write("scripts/c.txt", "x") }, false}, {"a hidden one", func() { write("scripts/.c.lua", "x") }, false}, {"one in a hidden directory", func() { write("scripts/.git/c.lua", "x") }, false},
		{"what nobody reads", func() { write("other", "x") }, false}, {"a newer time", touch("scripts/a.lua", 2000), true},
	} {
		step.do()
		now := s.lookAround(&c)
		if changed := now.sum != last.sum; changed != step.changes {
			t.Errorf("%s: noticed: %v", step.name, changed)
		}
		last = now
	}
	if last.newest.Unix() != 2000 {
		t.Errorf("the newest file is of %v", last.newest)
	}
	if c.LuaRouting.Enabled = false; s.lookAround(&c).newest.Unix() != 1000 {
		t.Error("scripts are looked at that don't run")
	}
}

// TestScriptsOfADirectory are those that aren't hidden, at any depth.
func TestScriptsOfADirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := writesOld(t, dir)
	for _, name := range []string{"scripts/a.lua", "scripts/below/b.lua", "scripts/c.txt", "scripts/.c.lua", "scripts/.git/c.lua"} {
		write(name, "x")
	}
	var found []string
	eachScript(filepath.Join(dir, "scripts")+"/", func(path string) { found = append(found, strings.TrimPrefix(path, dir)) })
	if !slices.Equal(found, []string{"/scripts/a.lua", "/scripts/below/b.lua"}) {
		t.Errorf("the scripts are %q", found)
	}
	write(".hidden/d.lua", "x")
	found = nil
	eachScript(filepath.Join(dir, ".hidden"), func(path string) { found = append(found, path) })
	if len(found) != 1 {
		t.Errorf("below a hidden directory that is named itself there are %q", found)
	}
	eachScript(filepath.Join(dir, "nowhere"), func(path string) { t.Errorf("there is %q", path) })
}

// TestInputs: each file is read once for its limit, and known to be what it was.
func TestInputs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	if err := os.WriteFile(path, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	in := newInputs(dir)
	if _, err := in.read("a", 4); err == nil || err.Error() != "it is too large, expected at most 4 bytes" {
		t.Errorf("a file that is too large: %v", err)
	}
	if text, err := in.read("a", 5); err != nil || string(text) != "hello" {
		t.Errorf("got %q, %v", text, err)
	}
	if err := os.WriteFile(path, []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := in.read(path, 5); err != nil || string(text) != "hello" {
		t.Errorf("what was read before is %q, %v", text, err)
	}
	if _, err := in.read("./a", 4); err == nil {
		t.Error("a file that was read is too large for another limit, and is given")
	}
	if in.unchanged() {
		t.Error("a file that has changed is taken for what it was")
	}
	if err := os.WriteFile(path, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	if !in.unchanged() {
		t.Error("a file with the same content is taken for another one")
	}
	if _, err := in.read("b", 5); err == nil || err.Error() != "there is no such file" {
		t.Errorf("a file that isn't there: %v", err)
	}
	if _, err := in.read(".", 5); err == nil || strings.Contains(err.Error(), dir) {
		t.Errorf("a directory: %v", err)
	}
	if !in.unchanged() {
		t.Error("a file that is still missing has changed")
	}
	if err := os.WriteFile(filepath.Join(dir, "b"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if in.unchanged() {
		t.Error("a file that has come hasn't changed")
	}
	var all []string
	in.each(func(path string) { all = append(all, filepath.Base(path)) })
	if slices.Sort(all); len(all) != 3 || all[0] != filepath.Base(dir) && all[0] != "a" {
		t.Errorf("the files are %q", all)
	}
	if in.forget(); in.known[path].content != nil {
		t.Error("what was read is kept")
	}
	if (*inputs)(nil).unchanged() != true {
		t.Error("no files have changed")
	}
	(*inputs)(nil).each(func(string) { t.Error("there are files of nobody") })
}
