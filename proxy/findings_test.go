package proxy

import (
	"errors"
	"slices"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants"
)

// TestFindings: what is the same in the scripts of many tenants is said once, with
// whose it is.
func TestFindings(t *testing.T) {
	t.Parallel()
	var f findings
	for _, tenant := range []string{"a", "a", "b", "c", "d"} {
		f.add(place{1, 2}, tenant, "all")
		if tenant <= "b" {
			f.add(place{1, 2}, tenant, "two")
		}
		if tenant == "a" {
			f.add(place{1, 2}, tenant, "one")
			f.add(place{2, 2}, tenant, "one")
		}
	}
	want := []string{`all (tenants "a", "b" and 2 more)`, `two (tenants "a" and "b")`, `one (tenant "a")`, `one (tenant "a")`}
	if got := f.lines(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, c := range []struct {
		x, y settings.Error
		want int
	}{
		{settings.Error{Line: 1, Column: 9}, settings.Error{Line: 2, Column: 1}, -1}, {settings.Error{Line: 2, Column: 1}, settings.Error{Line: 2, Column: 3}, -1},
		{settings.Error{Line: 2, Column: 3}, settings.Error{Line: 2, Column: 3}, 0}, {settings.Error{Line: 2, Column: 3}, settings.Error{Line: 2, Column: 1}, 1},
	} {
		if got := compareErrors(c.x, c.y); got != c.want {
			t.Errorf("%v and %v: %d, want %d", c.x, c.y, got, c.want)
		}
	}
}

// TestPlacesOfScripts: where the configuration names the script that an error is of.
func TestPlacesOfScripts(t *testing.T) {
	t.Parallel()
	c := &Config{LuaRouting: LuaRoutingConfig{GlobalScripts: []string{"all", "common.lua"}}, places: map[*string]place{}}
	c.Tenants = []tenants.Config{{Name: "a", Domains: []string{"a.example", "b.example"}, PathPrefix: "/x", LuaRoutes: []string{"own.lua", "deep", "lib/auth.lua", "../bad"}}}
	own := &c.Tenants[0]
	line := 0
	for _, list := range [][]string{c.LuaRouting.GlobalScripts, own.LuaRoutes, own.Domains} {
		for i := range list {
			line++
			c.places[&list[i]] = place{line, 1}
		}
	}
	c.places[&own.PathPrefix] = place{20, 1}
	for script, want := range map[string]int{
		"all.lua": 1, "all": 1, "common.lua": 2, "own.lua": 3, "deep.lua": 4, "below/deep.lua": 4, "lib/auth.lua": 5, "../bad": 6, "other.lua": 0, "x/all.lua": 1, "": 0,
	} {
		if got := c.placeOf(own, script); got.line != want {
			t.Errorf("%q is named in line %d, want %d", script, got.line, want)
		}
	}
	for domain, want := range map[int]int{-1: 20, 0: 7, 1: 8, 2: 20} {
		if got := c.placeOfMatch(own, domain); got.line != want {
			t.Errorf("the domain %d is in line %d, want %d", domain, got.line, want)
		}
	}
	c.file = "c.yaml"
	b := brokenScripts{config: c}
	b.add(own, lua.BrokenScripts{{Script: "own.lua", Err: errors.New("first")}, {Err: errors.New("second")}})
	b.add(own, errors.New("third"))
	var got []string
	for _, e := range b.errors() {
		got = append(got, e.Error())
	}
	if want := []string{`c.yaml:3:1: first (tenant "a")`, `c.yaml: second (tenant "a")`, `c.yaml: third (tenant "a")`}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
