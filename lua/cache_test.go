package lua

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/test/until"
)

// scriptsOf writes files, "name=text", and returns options to load the first of them.
func scriptsOf(t *testing.T, files ...string) *Options {
	t.Helper()
	dir := t.TempDir()
	o := &Options{Tenant: "shop", Dir: dir, Config: DefaultConfig(), Log: zerolog.Nop(), Cache: NewCache(), Clock: fixedClock{}, Shards: 1}
	o.Config.Timeout, o.Config.LoadTimeout = 60e9, 60e9
	for i, file := range files {
		name, text, _ := strings.Cut(file, "=")
		writeScript(t, dir, name, text)
		if i == 0 {
			o.Scripts = []string{name}
		}
	}
	return o
}

func writeScript(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// loadedOf loads scripts that are closed at the end.
func loadedOf(t *testing.T, o *Options) *Scripts {
	t.Helper()
	scripts, err := Load(*o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(scripts.Close)
	return scripts
}

// TestGenerationsOfFiles: within one a file is looked at once; the next one knows what has
// not changed, and reads what has; what nobody has asked for goes.
func TestGenerationsOfFiles(t *testing.T) {
	t.Parallel()
	o := scriptsOf(t, "a.lua=local a = 1", "b.lua=local b = 1")
	c, ctx := o.Cache, t.Context()
	key := func(name string) cacheKey { return cacheKey{dir: o.Dir, name: name} }
	must := func(name string) *file {
		t.Helper()
		f, err := c.load(ctx, key(name))
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	a, b := must("a.lua"), must("b.lua")
	if a.name != "a.lua" || c.entries[key("a.lua")].waiters != 0 {
		t.Errorf("a file is called %q, for which %d wait", a.name, c.entries[key("a.lua")].waiters)
	}
	until.True(t, "no look goes on", func() bool { // a look ends after who waits for it has the file
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.running) == 0
	})
	writeScript(t, o.Dir, "a.lua", "local a = 2")
	if must("a.lua") != a || must("b.lua") != b {
		t.Error("a file is read twice in a generation")
	}
	if !c.unchanged(key("a.lua"), a) || c.unchanged(key("a.lua"), b) || c.unchanged(key("c.lua"), a) {
		t.Error("what is known isn't, or what isn't is")
	}
	c.Begin(nil)
	if c.unchanged(key("a.lua"), a) {
		t.Error("a file that has changed is known to be what it was")
	}
	if second := must("a.lua"); second == a || second.sum == a.sum {
		t.Error("a file that has changed isn't read")
	}
	writeScript(t, o.Dir, "b.lua", "local b = 1") // touched, and the same
	if c.Begin(nil); must("b.lua") != b {
		t.Error("a file that is the same is compiled again")
	}
	if c.Sweep(); c.entries[key("a.lua")] != nil || c.entries[key("b.lua")] == nil {
		t.Error("what nobody has asked for stays, or what somebody has goes")
	}
	if err := os.Remove(filepath.Join(o.Dir, "b.lua")); err != nil {
		t.Fatal(err)
	}
	if c.Begin(nil); c.unchanged(key("b.lua"), b) {
		t.Error("a file that is gone is what it was")
	}
	if _, err := c.load(ctx, key("b.lua")); err == nil || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is gone: %v", err)
	}
	if c.Sweep(); c.entries[key("b.lua")] == nil {
		t.Error("that it is gone is forgotten")
	}
	writeScript(t, o.Dir, "b.lua", "x =")
	c.Begin(nil)
	for range 2 {
		if f, err := c.load(ctx, key("b.lua")); f != nil || err == nil || !strings.HasPrefix(err.Error(), "b.lua:1:4: ") {
			t.Errorf("what can't be compiled: %v", err)
		}
	}
	c.Begin(nil)
	if c.Sweep(); len(c.entries) != 0 {
		t.Errorf("%d are kept that nobody has asked for", len(c.entries))
	}
}

// TestOldFilesAreKnown without being looked at: those that have not changed for a while.
func TestOldFilesAreKnown(t *testing.T) {
	t.Parallel()
	c, key := NewCache(), cacheKey{dir: "testdata", name: "keeper.lua"}
	f, err := c.load(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	c.Begin(nil)
	if e := c.entries[key]; e.generation != c.generation || e.asked || e.file != f {
		t.Errorf("it is known as %+v", e)
	}
	if !c.unchanged(key, f) || !c.entries[key].asked {
		t.Error("it isn't known, or isn't asked for")
	}
	if c.Sweep(); c.entries[key] == nil {
		t.Error("what was asked for is forgotten")
	}
	c.Begin(nil)
	if again, err := c.load(t.Context(), key); err != nil || again != f || !c.entries[key].asked {
		t.Errorf("it is read again: %v", err)
	}
	c.Begin(nil)
	if c.Sweep(); c.entries[key] != nil {
		t.Error("what nobody has asked for stays")
	}
}

// TestLooksWithoutEnd: of a file whose looks don't end, as of a tenant's loads, so many
// are begun, and none is waited for longer than anybody wants.
func TestLooksWithoutEnd(t *testing.T) {
	t.Parallel()
	o := scriptsOf(t, "a.lua=", "lib/b.lua=")
	c := o.Cache
	key, below := cacheKey{dir: o.Dir, name: "a.lua"}, indexKey{dir: o.Dir}
	for _, what := range []any{key, below, "shop"} {
		for range maxRunning - 1 {
			if !c.begin(what) {
				t.Fatal("it isn't begun")
			}
		}
	}
	if _, err := c.load(t.Context(), key); err != nil {
		t.Errorf("the last that may be: %v", err)
	}
	for _, what := range []any{key, below, "shop"} {
		if !c.begin(what) || c.begin(what) || c.running[what] != maxRunning {
			t.Errorf("of %v, %d are begun", what, c.running[what])
		}
	}
	c.Begin(nil)
	c.entries[key] = &entry{done: make(chan struct{})} // which doesn't end
	if _, err := c.load(t.Context(), key); err == nil || err.Error() != `script "a.lua": it has been read and compiled 8 times without an end` {
		t.Errorf("got %v", err)
	}
	if err := c.Check(t.Context(), o.Dir, "", "b.lua"); err == nil || !strings.Contains(err.Error(), "it has been looked through 8 times without an end") {
		t.Errorf("got %v", err)
	}
	if _, err := Load(*o); err == nil || err.Error() != "8 loads of the tenant's scripts have been given up and have not ended: no other is begun" {
		t.Errorf("got %v", err)
	}
	for _, what := range []any{key, below, "shop"} {
		for n := maxRunning; n > 0; n-- {
			if c.running[what] != n {
				t.Errorf("%d run, want %d", c.running[what], n)
			}
			c.end(what)
		}
		if _, there := c.running[what]; there {
			t.Errorf("what has ended is remembered: %v", what)
		}
	}
	hangs := &entry{generation: c.generation, done: make(chan struct{})}
	c.entries[key] = hangs
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	if _, err := c.load(ctx, key); err == nil || err.Error() != `script "a.lua": reading and compiling it took too long: enough` || hangs.waiters != 0 || !hangs.asked {
		t.Errorf("got %v, and %d wait", err, hangs.waiters)
	}
	if c.Sweep(); c.entries[key] != nil {
		t.Error("a look that has not ended is kept")
	}
	c.indexes[below] = &index{done: make(chan struct{})}
	if _, err := c.locate(ctx, o.Dir, "", "b.lua", os.ErrNotExist); err == nil || err.Error() != `script "b.lua": looking for it below the scripts directory took too long: enough` {
		t.Errorf("got %v", err)
	}
}

// TestFilesNobodyWaitsFor: what is large, and what all have given up, is not kept.
func TestFilesNobodyWaitsFor(t *testing.T) {
	t.Parallel()
	o := scriptsOf(t, "small.lua=local a = 1", "large.lua=if NEVER then "+strings.Repeat("f()\n", 40_000)+"end")
	small, large := cacheKey{dir: o.Dir, name: "small.lua"}, cacheKey{dir: o.Dir, name: "large.lua"}
	for key, want := range map[cacheKey]bool{small: true, large: false} {
		for waiters := range 2 {
			c := NewCache()
			f, err := c.load(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			e := &entry{waiters: waiters, done: make(chan struct{}), file: f}
			c.entries[key] = e
			if c.looked(key, e); (c.entries[key] == e) != (want || waiters > 0) || !e.ended() {
				t.Errorf("%s with %d who wait is kept: %v", key.name, waiters, c.entries[key] == e)
			}
			other := &entry{done: make(chan struct{})}
			c.entries[key] = other
			if c.looked(key, &entry{done: make(chan struct{})}); c.entries[key] != other {
				t.Errorf("%s: another look's entry goes", key.name)
			}
			if c.looked(key, other); c.entries[key] != nil {
				t.Errorf("%s: a look that has found nothing is kept", key.name)
			}
			c.entries[key] = e
			for _, wrong := range []*file{{}, nil} {
				if c.forget(key, wrong); c.entries[key] != e {
					t.Errorf("%s: it is forgotten for another's", key.name)
				}
			}
			if c.forget(key, f); c.entries[key] != nil {
				t.Errorf("%s isn't forgotten", key.name)
			}
			c.forget(key, f)
		}
	}
	c := NewCache()
	source := []byte("local a = 1" + strings.Repeat(" ", largeSource))
	for waiters, want := range map[int]string{0: "nobody waits for it any more", 1: "", 2: ""} {
		for size, want := range map[int]string{largeSource: "", largeSource + 1: want} {
			got := ""
			if _, err := c.compile(source[:size], small, &entry{waiters: waiters}); err != nil {
				got = err.Error()
			}
			if got != want {
				t.Errorf("for %d who wait, %d bytes: %q, want %q", waiters, size, got, want)
			}
		}
	}
}

// TestNamesOfScripts are those of files below the directory.
func TestNamesOfScripts(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"auth": "auth.lua", "auth.lua": "auth.lua", "a/b": "a/b.lua", "./a/../b": "b.lua", "a.v2": "a.v2.lua", "a//b.lua": "a/b.lua",
		"../a": "", "/etc/a": "", "a\x00": "", "a/../../b": "",
	} {
		got, err := ScriptName(name)
		if got != want || (err != nil) != (want == "") || err != nil && !strings.Contains(err.Error(), " is not a path below the scripts directory, expected one like auth.lua") {
			t.Errorf("%q: %q, %v", name, got, err)
		}
	}
}

// TestMentions: which of the tenant's files its scripts name as modules.
func TestMentions(t *testing.T) {
	t.Parallel()
	o := scriptsOf(t, "a.lua=local lib = require 'lib' if NEVER then require('deep.down') end", "shop/lib.lua=return function() return require 'other' end")
	scripts := loadedOf(t, o)
	for path, want := range map[string]bool{
		"shop/deep/down.lua": true, "shop/other.lua": true, "shop/nobody.lua": false, "shop/deep/down.txt": false, "deep/down.lua": false, "other/deep/down.lua": false, "shop/deep.down.lua": true,
	} {
		if got := scripts.Mentions(filepath.Join(o.Dir, path)); got != want {
			t.Errorf("%s is named: %v", path, got)
		}
	}
	if scripts.Mentions("relative.lua") {
		t.Error("a path that isn't below any directory is named")
	}
}

// TestCandidatesAreShortened: of many files of a name some are said.
func TestCandidatesAreShortened(t *testing.T) {
	t.Parallel()
	list := []string{"1", "2", "3", "4", "5", "6", "7"}
	for n, want := range map[int]string{1: "1", 5: "1 2 3 4 5", 6: "1 2 3 4 5 one of 1 more", 7: "1 2 3 4 5 one of 2 more"} {
		if got := strings.Join(shortened(list[:n]), " "); got != want {
			t.Errorf("of %d: %q", n, got)
		}
	}
	if list[5] != "6" {
		t.Error("the list has changed")
	}
}

// TestClosedScriptsMakeNoVMs, and others none before it is time to try again.
func TestClosedScriptsMakeNoVMs(t *testing.T) {
	t.Parallel()
	o := scriptsOf(t, "a.lua=chi.get('/', print)")
	o.Shards = 2
	scripts := loadedOf(t, o)
	scripts.Close()
	scripts.grow()
	if scripts.maker.current != nil {
		t.Error("closed scripts make another VM")
	}
	open := loadedOf(t, o)
	open.maker.failures, open.maker.after = 1, open.now()+int64(time.Second)
	if open.grow(); open.maker.current != nil {
		t.Error("it is tried again too early")
	}
	open.maker.failures = 0
	open.grow()
	open.maker.mu.Lock()
	m := open.maker.current
	open.maker.mu.Unlock()
	if m != nil {
		<-m.done
	}
	if open.VMs() != 2 {
		t.Errorf("there are %d VMs", open.VMs())
	}
}
