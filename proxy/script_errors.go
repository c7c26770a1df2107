package proxy

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/files"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants"
)

// place is where the configuration file names a script or a part of a match.
type place struct{ line, column int }

// notePlaces remembers where the scripts are named: what is wrong with them is
// found when they are loaded, and the document is gone by then. Likewise, what
// matches are taken is found when a table is made.
func (c *Config) notePlaces(file string, document *settings.Document) {
	c.file, c.places, c.unasked, c.redactor = file, map[*string]place{}, map[string][]string{}, document.Redactor()
	noteOne := func(field *string) {
		line, column := document.Position(field)
		c.places[field] = place{line, column}
	}
	note := func(names []string) {
		for i := range names {
			noteOne(&names[i])
		}
	}
	note(c.LuaRouting.GlobalScripts)
	for i := range c.Tenants {
		t := &c.Tenants[i]
		note(t.LuaRoutes)
		note(t.Domains)
		noteOne(&t.Name)
		noteOne(&t.PathPrefix)
		for j := range t.Routes {
			note(t.Routes[j].Path)
		}
	}
}

// placeOfMatch finds a domain of a tenant in the file, or its prefix.
func (c *Config) placeOfMatch(t *tenants.Config, domain int) place {
	if domain >= 0 && domain < len(t.Domains) {
		return c.places[&t.Domains[domain]]
	}
	return c.places[&t.PathPrefix]
}

// placeOf finds where a tenant's script is named first; the zero place is
// unknown.
func (c *Config) placeOf(t *tenants.Config, script string) place {
	var below place // of one that may have been found in a directory below
	for _, names := range [][]string{c.LuaRouting.GlobalScripts, t.LuaRoutes} {
		for i := range names {
			name, err := lua.ScriptName(names[i])
			if script == names[i] || err == nil && script == name {
				return c.places[&names[i]]
			}
			if below == (place{}) && path.Base(script) == name {
				below = c.places[&names[i]]
			}
		}
	}
	return below
}

// brokenScripts collects why scripts can't be loaded.
type brokenScripts struct {
	config *Config
	found  findings
}

func (b *brokenScripts) add(t *tenants.Config, err error) {
	list, ok := errors.AsType[lua.BrokenScripts](err)
	if !ok {
		list = lua.BrokenScripts{{Err: err}}
	}
	for _, broken := range list {
		b.found.add(b.config.placeOf(t, broken.Script), t.Name, broken.Error())
	}
}

// errors returns them in the order in which they were found.
func (b *brokenScripts) errors() settings.Errors {
	list := make(settings.Errors, 0, len(b.found.list))
	for _, f := range b.found.list {
		list = append(list, settings.Error{File: b.config.file, Line: f.at.line, Column: f.at.column, Message: b.config.redactor.Redact(f.String())})
	}
	return list
}

// compareErrors orders errors as the file does.
func compareErrors(x, y settings.Error) int {
	return cmp.Or(cmp.Compare(x.Line, y.Line), cmp.Compare(x.Column, y.Column))
}

// findings are what was found in the scripts of tenants. What is the same in
// many of them, since they share a script, is one finding.
type findings struct {
	list  []*finding
	index map[findingKey]*finding
}

type findingKey struct {
	at   place
	text string
}

type finding struct {
	findingKey
	tenants []string
}

func (f *findings) add(at place, tenant, text string) {
	key := findingKey{at, text}
	have := f.index[key]
	if have == nil {
		if f.index == nil {
			f.index = map[findingKey]*finding{}
		}
		have = &finding{findingKey: key}
		f.index[key] = have
		f.list = append(f.list, have)
	}
	if n := len(have.tenants); n == 0 || have.tenants[n-1] != tenant {
		have.tenants = append(have.tenants, tenant)
	}
}

func (f *findings) lines() []string {
	lines := make([]string, len(f.list))
	for i := range f.list {
		lines[i] = f.list[i].String()
	}
	return lines
}

// String words a finding: the script's file and line come first where there
// are any.
func (f *finding) String() string {
	switch n := len(f.tenants); n {
	case 1:
		return fmt.Sprintf("%s (tenant %q)", f.text, f.tenants[0])
	case 2:
		return fmt.Sprintf("%s (tenants %q and %q)", f.text, f.tenants[0], f.tenants[1])
	default:
		return fmt.Sprintf("%s (tenants %q, %q and %d more)", f.text, f.tenants[0], f.tenants[1], n-2)
	}
}

// unusedFiles lists the scripts in a directory that no tenant has loaded.
// Tests and definitions for editors ("---@meta") aren't meant to be.
func unusedFiles(dir string, all map[string]*lua.Scripts) []string {
	if len(all) == 0 {
		return nil
	}
	used := map[string]bool{}
	for _, scripts := range all {
		for _, file := range scripts.Files() {
			used[file] = true
		}
	}
	var list []string
	eachScript(dir, func(path string) {
		if !used[path] && !strings.HasSuffix(path, "_test.lua") && !isMeta(path) {
			words := "no tenant uses this script"
			for _, scripts := range all {
				if scripts.Mentions(path) {
					words = "the module is required only while requests run, when it can't be loaded: require it outside of functions too"
				}
			}
			list = append(list, path+": "+words)
		}
	})
	return list
}

// isMeta reports whether a file only describes things to editors.
func isMeta(path string) bool { return files.Begins(filepath.Clean(path), metaMark) }

const metaMark = "---@meta"
