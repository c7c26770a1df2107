package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// licences are those that a module may have, by what only their text says. None
// of them asks for more than to be passed on.
var licences = []struct{ name, text string }{
	{"MIT", "Permission is hereby granted, free of charge, to any person obtaining a copy"},
	{"BSD", "Redistribution and use in source and binary forms, with or without modification, are permitted"},
	{"Apache-2.0", "Apache License Version 2.0, January 2004"},
}

// forbidden stands in licences that ask for more, also beside another one.
var forbidden = []string{"GNU", "General Public License", "Mozilla Public License", "Server Side Public License", "Business Source License", "Commons Clause", "non-commercial"}

// TestLicences demands that each module of which something is built in, on any
// system, has a licence that is allowed, and no other one.
func TestLicences(t *testing.T) {
	t.Parallel()
	modules := 0
	for _, system := range []string{"linux", "darwin"} {
		list := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}\t{{.Dir}}{{end}}{{end}}", "..")
		list.Env = append(os.Environ(), "GOOS="+system, "CGO_ENABLED=0")
		output, err := list.Output()
		if err != nil {
			t.Fatalf("cannot list the modules: %v", err)
		}
		lines := slices.Compact(slices.Sorted(strings.Lines(string(output))))
		modules += len(lines)
		for _, line := range lines {
			module, dir, _ := strings.Cut(strings.TrimSpace(line), "\t")
			if module == "" {
				continue
			}
			if names := licencesIn(t, module, dir); len(names) == 0 {
				t.Errorf("%s has no licence that is allowed in %s", module, dir)
			}
		}
	}
	if modules < 20 {
		t.Errorf("%d modules on two systems, want at least 20", modules)
	}
}

// licencesIn names the allowed licences in a module's directory.
func licencesIn(t *testing.T, module, dir string) (names []string) {
	t.Helper()
	for _, pattern := range []string{"LICEN[CS]E*", "COPYING*", "Licen[cs]e*", "licen[cs]e*"} {
		files, _ := filepath.Glob(filepath.Join(dir, pattern))
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			words := strings.Join(strings.Fields(string(text)), " ")
			for _, bad := range forbidden {
				if strings.Contains(words, bad) {
					t.Errorf("%s: %s speaks of %q", module, file, bad)
				}
			}
			for _, allowed := range licences {
				if strings.Contains(words, allowed.text) {
					names = append(names, allowed.name)
				}
			}
		}
	}
	return names
}
