package test

import (
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/keystone-gateway/keystone-gateway"

// importRules reads ARCHITECTURE.md's table: which packages of the module each
// package may import, as patterns of path.Match relative to the module. A
// package that isn't listed isn't part of the design.
func importRules(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	rules := map[string][]string{}
	inTable := false
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 5 {
			inTable = false
			continue
		}
		if strings.TrimSpace(cells[3]) == "may import" {
			inTable = true
		}
		if !inTable {
			continue
		}
		for _, name := range quotedWords(cells[1]) {
			if name == "main" {
				name = "."
			}
			rules[name] = quotedWords(cells[3])
		}
	}
	return rules
}

// quotedWords returns what stands between back quotes.
func quotedWords(text string) (words []string) {
	for i, part := range strings.Split(text, "`") {
		if i%2 == 1 {
			words = append(words, part)
		}
	}
	return words
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
	rules, used := importRules(t), map[string]bool{}
	for line := range strings.Lines(string(output)) {
		imports := strings.Fields(line)
		from := relative(imports[0])
		rule, listed := ruleFor(rules, from)
		if !listed {
			t.Errorf("package %s isn't in ARCHITECTURE.md's table of packages: add it there", from)
			continue
		}
		for _, imported := range imports[1:] {
			if (imported == module || strings.HasPrefix(imported, module+"/")) && !mayImport(rules[rule], relative(imported)) {
				t.Errorf("package %s imports %s, want only %q of the module", from, relative(imported), rules[rule])
			}
		}
		used[rule] = true
	}
	for name := range rules {
		if !used[name] {
			t.Errorf("ARCHITECTURE.md's table has the package %s, which doesn't exist", name)
		}
	}
}

// ruleFor returns the row of the table that a package has: its own, or that of a
// pattern.
func ruleFor(rules map[string][]string, name string) (rule string, listed bool) {
	if _, own := rules[name]; own {
		return name, true
	}
	for rule := range rules {
		if mayImport([]string{rule}, name) {
			return rule, true
		}
	}
	return "", false
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
