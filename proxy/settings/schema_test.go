package settings_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(filepath.Join("testdata", name), got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := fs.ReadFile(os.DirFS("testdata"), name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("testdata/%s differs; run the test with -update and look at the change. Got:\n%s", name, got)
	}
}

func TestSchema(t *testing.T) {
	c := defaults()
	c.Token = "hunter2"
	got, err := settings.Schema(&c, settings.Sources{source})
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(got) || bytes.Contains(got, []byte("hunter2")) {
		t.Error("schema is no JSON, or tells a secret")
	}
	golden(t, "schema.json", got)
	for range 5 {
		again, err := settings.Schema(c, settings.Sources{source})
		if err != nil || !bytes.Equal(got, again) {
			t.Fatalf("schema differs from run to run: %v", err)
		}
	}
}

func TestMarkdown(t *testing.T) {
	c := defaults()
	c.Token = "hunter2"
	got, err := settings.Markdown(&c, settings.Sources{source})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "manual.md", []byte(got))
}

type recursive struct {
	// Below is more.
	Below []recursive `yaml:"below"`
}

type odd struct {
	// Any is anything.
	Any any `yaml:"any"`
}

func TestSchemaErrors(t *testing.T) {
	tests := []struct {
		name string
		root any
		src  settings.Sources
		want string
	}{
		{"no comment", defaults(), nil, `no comment for key "address": expected one on field Address of type settings_test.gateway in the given sources`},
		{"type of another package", defaults(), settings.Sources{strings.Replace(source, "package settings_test", "package other", 1)}, `no comment for key "address"`},
		{"bad source", defaults(), settings.Sources{"package"}, "cannot read comments of configuration types"},
		{"recursive", recursive{}, settings.Sources{source, recursiveSource}, "contains itself"},
		{"no struct", 7, nil, "cannot describe int: expected a struct"},
		{"nil", nil, nil, "expected a struct"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := settings.Schema(test.root, test.src); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("schema: got %v, want %s", err, test.want)
			}
			if _, err := settings.Markdown(test.root, test.src); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("manual: got %v, want %s", err, test.want)
			}
		})
	}
	if _, err := settings.Schema(odd{}, settings.Sources{recursiveSource}); err == nil {
		t.Error("an interface has no schema: expected an error")
	}
}

const recursiveSource = `package settings_test

type recursive struct {
	// Below is more.
	Below []recursive
}

type odd struct {
	// Any is anything.
	Any any
}
`
