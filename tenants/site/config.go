package site

import (
	_ "embed" // for Source
	"slices"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
)

//go:embed config.go
var source string

// Source is the text whose comments document the section.
func Source() string { return source }

// Config is the section files of a route.
type Config struct {
	// Directory whose files are served, as they are at the time of the request. It may
	// be a link that leads elsewhere later; links below it may not lead out of it.
	Root string `yaml:"root" required:"true"`

	// Files that stand for the directory in which they are: the first that is there.
	// Default: index.html.
	Index []string `yaml:"index" single:"true"`

	// File below root that is served, with 200, where there is none at a path, such as
	// index.html for an application whose pages are made in the browser. Default: none.
	Fallback string `yaml:"fallback"`

	// Codings of which a variant may lie beside a file, already compressed: app.js.br,
	// app.js.zst, app.js.gz. Of those that the client takes equally the first is served.
	// Default: br, zstd, gzip.
	Precompressed []string `yaml:"precompressed" single:"true"`

	root string // absolute, once loaded
}

// SetDefaults fills a fresh section.
func (c *Config) SetDefaults() {
	c.Index = []string{"index.html"}
	c.Precompressed = []string{"br", "zstd", "gzip"}
}

// suffixes are those of the variants, by coding.
var suffixes = map[string]string{"br": ".br", "zstd": ".zst", "gzip": ".gz"}

const mostIndexes = 8

// Check reports what is wrong with the section.
func (c *Config) Check(r settings.Reporter) {
	if c.Root == "" {
		r.Errorf(&c.Root, "root names no directory, expected one like site")
	}
	if len(c.Index) > mostIndexes {
		r.Errorf(&c.Index, "index has %d names, expected at most %d", len(c.Index), mostIndexes)
	}
	for i, name := range c.Index {
		if strings.Contains(name, "/") || !servable(name) {
			r.Errorf(&c.Index[i], "index %.100q can't be served, expected the name of a file such as index.html", name)
		}
	}
	if c.Fallback != "" && !servable(strings.TrimPrefix(c.Fallback, "/")) {
		r.Errorf(&c.Fallback, "fallback %.100q can't be served, expected a file below root such as index.html", c.Fallback)
	}
	for i, coding := range c.Precompressed {
		if suffixes[coding] == "" || slices.Index(c.Precompressed, coding) != i {
			r.Errorf(&c.Precompressed[i], "precompressed has %.40q, expected br, zstd or gzip, each once", coding)
		}
	}
}

// Load finds the directory. directory returns its absolute path, or why it can't be used.
func (c *Config) Load(directory func(path string) (string, error), r settings.Reporter) {
	if c.Root == "" { // which is reported already
		return
	}
	root, err := directory(c.Root)
	if err != nil {
		r.Errorf(&c.Root, "root %q can't be used: %v", c.Root, err)
	}
	c.root = root
}

// Served says that files are there to be looked at, and not to be changed.
var Served = []string{"GET", "HEAD"}
