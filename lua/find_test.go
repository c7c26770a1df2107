package lua_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/lua"
)

// TestScriptsBelow: a name without a directory stands for the one file of that
// name below the scripts directory, and for none that somebody else has.
func TestScriptsBelow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		files  string // "-> x" after a name makes it a link
		script string
		global bool
		want   string // the file, or a part of the error
	}{
		{"in a directory", "lib/auth.lua", "auth", false, "lib/auth.lua"},
		{"with its extension", "a/b/c/auth.lua", "auth.lua", false, "a/b/c/auth.lua"},
		{"with a dot in its name", "lib/auth.v2.lua", "auth.v2", false, "lib/auth.v2.lua"},
		{"the nearer one", "auth.lua lib/auth.lua", "auth", false, "auth.lua"},
		{"in the tenant's own directory", "shop/auth.lua", "auth", false, "shop/auth.lua"},
		{"another tenant's isn't seen", "evil/auth.lua shop/x/auth.lua", "auth", false, "shop/x/auth.lua"},
		{"only another tenant has it", "evil/auth.lua", "auth", false, `cannot open script "auth.lua"`},
		{"one of many", "lib/auth.lua old/auth.lua", "auth", false, `script "auth.lua" could be lib/auth.lua or old/auth.lua, expected its name with the directory`},
		{"its own or a common one", "lib/auth.lua shop/auth.lua", "auth", false, `could be lib/auth.lua or shop/auth.lua`},
		{"of all tenants", "lib/auth.lua shop/auth.lua evil/auth.lua", "auth", true, "lib/auth.lua"},
		{"of all tenants, in a tenant's directory", "shop/auth.lua", "auth", true, `cannot open script "auth.lua"`},
		{"with a directory", "x/lib/auth.lua", "lib/auth", false, `cannot open script "lib/auth.lua"`},
		{"misspelt", "auth.lua lib/users.lua", "uzers", false, `there is no such file below lua_routing.scripts_dir; did you mean "users.lua"?`},
		{"misspelt among too many", "auth.lua lib/users.lua" + many(500), "uzers", false, `cannot open script "uzers.lua": there is no such file below lua_routing.scripts_dir`},
		{"another tenant's isn't guessed at", "evil/users.lua", "uzers", false, `there is no such file below lua_routing.scripts_dir`},
		{"with a directory that isn't there", "auth.lua", "scripts/auth", false, `cannot open script "scripts/auth.lua": there is no such file below lua_routing.scripts_dir`},
		{"hidden", ".git/auth.lua lib/.auth.lua", "auth", false, `cannot open script "auth.lua"`},
		{"a link to a file", "evil/auth.lua lib/auth.lua->../evil/auth.lua", "auth", false, `cannot open script "auth.lua"`},
		{"a link to a directory", "evil/auth.lua lib->evil", "auth", false, `cannot open script "auth.lua"`},
		{"a link that leads nowhere", "auth.lua->gone.lua lib/auth.lua", "auth", false, `cannot open script "auth.lua"`},
		{"another tenant's is too deep", "lib/auth.lua evil/" + strings.Repeat("d/", 40) + "x.lua", "auth", false, "lib/auth.lua"},
		{"its own is too deep", "lib/auth.lua shop/" + strings.Repeat("d/", 40) + "x.lua", "auth", false, "can't be looked for below"},
		{"another tenant's directory in its own", "shop->evil evil/auth.lua", "auth", false, `cannot open script "auth.lua"`},
		{"too deep", strings.Repeat("d/", 40) + "auth.lua", "auth", false, "can't be looked for below the scripts directory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			fill(t, dir, c.files)
			o := options(dir, c.script)
			if c.global {
				o.Global = 1
			}
			o.Cache.Begin([]string{"shop", "evil"})
			checked := o.Cache.Check(t.Context(), dir, map[bool]string{false: o.Tenant}[c.global], c.script)
			scripts, err := lua.Load(o)
			if (checked == nil) != (err == nil) {
				t.Errorf("Check says %v, Load %v", checked, err)
			}
			if err != nil {
				if !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, expected %s", err, c.want)
				}
				if strings.Contains(err.Error(), "did you mean") != strings.Contains(c.want, "did you mean") {
					t.Errorf("got %v, which guesses or doesn't", err)
				}
				return
			}
			t.Cleanup(scripts.Close)
			if got := scripts.Files(); !slices.Equal(got, []string{filepath.Join(dir, c.want)}) {
				t.Errorf("got %q, expected %s", got, c.want)
			}
		})
	}
}

// TestScriptsBelowChange: what a name stands for is found out anew in each
// generation.
func TestScriptsBelowChange(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fill(t, dir, "lib/auth.lua")
	o := options(dir, "auth")
	scripts, err := lua.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(scripts.Close)
	current := func() bool {
		o.Cache.Begin([]string{"shop"})
		return scripts.Unchanged(&o) || scripts.Current(&o)
	}
	if !current() {
		t.Error("nothing has changed")
	}
	fill(t, dir, "other/auth.lua")
	if current() {
		t.Error("there are two of the name")
	}
	if err := os.RemoveAll(filepath.Join(dir, "other")); err != nil {
		t.Fatal(err)
	}
	if !current() {
		t.Error("it is as it was")
	}
	fill(t, dir, "auth.lua")
	if current() {
		t.Error("there is a nearer one")
	}
}

// fill makes files, in words: "a/b.lua", or "a/b.lua->x" for a link.
func fill(t *testing.T, dir, words string) {
	t.Helper()
	for _, word := range strings.Fields(words) {
		name, target, isLink := strings.Cut(word, "->")
		if !isLink {
			put(t, dir, name, typical)
			continue
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
	}
}

// many is the names of n more files.
func many(n int) string {
	var names strings.Builder
	for i := range n {
		fmt.Fprintf(&names, " more/%d.lua", i)
	}
	return names.String()
}
