package test

import (
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/keystone-gateway/keystone-gateway"

// importRules says which packages of the module each package may import, as
// patterns of path.Match relative to the module; ARCHITECTURE.md holds the same
// table for readers. A package that isn't listed isn't part of the design.
var importRules = map[string][]string{
	".":               {"*", "*/*"},
	"admin":           {"proxy", "proxy/*", "lua", "upstream", "tenants"},
	"proxy":           {"proxy/*", "tenants", "tenants/*", "lua", "lua/modules", "upstream"},
	"proxy/cause":     {},
	"proxy/files":     {},
	"proxy/listener":  {"proxy/cause", "proxy/socket"},
	"proxy/http1":     {},
	"proxy/socket":    {},
	"proxy/settings":  {"proxy/cause", "proxy/spelling"},
	"proxy/spelling":  {},
	"proxy/memory":    {},
	"tenants":         {"tenants/*", "lua", "upstream", "proxy/settings"},
	"tenants/policy":  {},
	"tenants/store":   {},
	"lua":             {"lua/*", "proxy/cause", "proxy/files", "proxy/http1", "proxy/settings", "proxy/spelling"},
	"lua/luatest":     {"proxy", "proxy/cause", "proxy/files", "proxy/settings", "proxy/spelling", "lua", "lua/*"},
	"lua/modules":     {"lua/vm", "proxy/cause", "proxy/spelling"},
	"lua/pattern":     {"proxy/cause"},
	"lua/stdlib":      {"lua/vm"},
	"lua/syntax":      {},
	"lua/compile":     {"lua/syntax"},
	"lua/vm":          {"lua/compile", "proxy/spelling"},
	"lua/vm/vmtest":   {"lua/vm"},
	"migrate":         {"proxy", "proxy/files", "proxy/settings", "tenants"},
	"upstream":        {"proxy/cause", "proxy/http1", "proxy/socket", "proxy/settings"},
	"bench":           {"bench/*"},
	"bench/load":      {},
	"bench/plot":      {},
	"bench/generator": {"bench/load", "bench/plot", "proxy/cause"},
	"test":            {"*", "*/*"},
	"test/port":       {},
}

// TestImports keeps the package graph of ARCHITECTURE.md true. That it has no
// cycle, the compiler checks.
func TestImports(t *testing.T) {
	t.Parallel()
	list := exec.Command("go", "list", "-e", "-f", `{{.ImportPath}}{{range .Imports}} {{.}}{{end}}`, "./...")
	list.Dir = ".."
	output, err := list.Output()
	if err != nil {
		t.Fatalf("cannot list the module's packages: %v", err)
	}
	for line := range strings.Lines(string(output)) {
		imports := strings.Fields(line)
		from := relative(imports[0])
		allowed, listed := importRules[from]
		if !listed {
			t.Errorf("package %s isn't in the table of the design: add it there, in ARCHITECTURE.md and here", from)
			continue
		}
		for _, imported := range imports[1:] {
			if (imported == module || strings.HasPrefix(imported, module+"/")) && !mayImport(allowed, relative(imported)) {
				t.Errorf("package %s imports %s, want only %q of the module", from, relative(imported), allowed)
			}
		}
	}
}

func mayImport(allowed []string, imported string) bool {
	return slices.ContainsFunc(allowed, func(pattern string) bool {
		matched, err := path.Match(pattern, imported)
		return err == nil && matched
	})
}

// relative is an import path without the module's; "." is the root.
func relative(imported string) string {
	if imported == module {
		return "."
	}
	return strings.TrimPrefix(imported, module+"/")
}
