package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// source is a package as it stands: syntax, types and text.
type source struct {
	ImportPath string
	Dir        string
	Name       string
	GoFiles    []string
	Export     string // compiled, as the type checker imports it
	DepOnly    bool
	Module     *module

	root    string // of the module
	files   []*file
	set     *token.FileSet
	info    *types.Info
	imports types.Importer
}

// module is what go list says of the package's.
type module struct{ Path, Dir string }

// file is one file of the package.
type file struct {
	path   string
	text   []byte
	syntax *ast.File
}

// relative is the package's path within the module.
func (s *source) relative() string {
	return strings.TrimPrefix(strings.TrimPrefix(s.ImportPath, s.Module.Path), "/")
}

// loadPackage reads one package and checks its types. What it imports is
// compiled for that, or comes from Go's cache.
func loadPackage(ctx context.Context, pattern string) (*source, error) {
	list := exec.CommandContext(ctx, "go", "list", "-export", "-deps", "-json=ImportPath,Dir,Name,GoFiles,Export,DepOnly,Module", pattern, "os", "strconv", "syscall") // #nosec G204 -- a developer's tool runs what its user names
	list.Stderr = os.Stderr
	output, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("cannot list the package: %w", err)
	}
	exports := map[string]string{}
	var found *source
	for decoder := json.NewDecoder(bytes.NewReader(output)); ; {
		s := &source{}
		if err := decoder.Decode(s); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("cannot read what go list says: %w", err)
		}
		exports[s.ImportPath] = s.Export
		if !s.DepOnly && s.Module != nil { // not those that the schema needs
			if found != nil {
				return nil, fmt.Errorf("%s and %s match: name one package at a time", found.ImportPath, s.ImportPath)
			}
			found = s
		}
	}
	if found == nil {
		return nil, errors.New("no package of a module matches")
	}
	found.root, found.set = found.Module.Dir, token.NewFileSet()
	found.imports = importer.ForCompiler(found.set, "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(exports[path])
	})
	return found, found.parse()
}

// parse fills files and info.
func (s *source) parse() error {
	var syntax []*ast.File
	for _, name := range s.GoFiles {
		path := filepath.Join(s.Dir, name)
		text, err := os.ReadFile(path) // #nosec G304 -- a file of the package
		if err != nil {
			return err
		}
		tree, err := parser.ParseFile(s.set, path, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		s.files = append(s.files, &file{path, text, tree})
		syntax = append(syntax, tree)
	}
	s.info = &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Defs: map[*ast.Ident]types.Object{}}
	if _, err := (&types.Config{Importer: s.imports}).Check(s.ImportPath, s.set, syntax, s.info); err != nil {
		return fmt.Errorf("cannot check the types: %w", err)
	}
	return nil
}

// badLines returns the lines, as "path:line", on which the package would have
// errors if the given texts stood in place of its files.
func (s *source) badLines(texts map[string]string) (map[string]bool, error) {
	set := token.NewFileSet()
	var syntax []*ast.File
	for path, text := range texts {
		tree, err := parser.ParseFile(set, path, text, parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("BUG: the schema's syntax: %w", err)
		}
		syntax = append(syntax, tree)
	}
	bad := map[string]bool{}
	config := types.Config{Importer: s.imports, Error: func(err error) {
		var mistake types.Error
		if errors.As(err, &mistake) {
			at := set.Position(mistake.Pos)
			bad[fmt.Sprintf("%s:%d", at.Filename, at.Line)] = true
		}
	}}
	_, _ = config.Check(s.ImportPath, set, syntax, nil)
	return bad, nil
}
