// Package lua compiles the scripts of tenants. Running them is still to come:
// see ARCHITECTURE.md.
package lua

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"

	glua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/parse"
)

// Compile reads the script of that name from dir and compiles it. A name
// without an extension gets ".lua". The error says what is wrong, with file
// and line where the script is at fault. The result may be shared by VMs.
func Compile(dir, name string) (*glua.FunctionProto, error) {
	if filepath.Ext(name) == "" {
		name += ".lua"
	}
	if !filepath.IsLocal(name) {
		return nil, fmt.Errorf("script %q is not a path below the scripts directory, expected one like auth.lua", name)
	}
	file, err := os.OpenInRoot(dir, name)
	if err != nil {
		return nil, fmt.Errorf("cannot open script %q: %w", name, err)
	}
	defer func() { _ = file.Close() }()
	chunk, err := parse.Parse(bufio.NewReader(file), name)
	if err != nil {
		return nil, fmt.Errorf("cannot parse script %q: %w", name, err)
	}
	proto, err := glua.Compile(chunk, name)
	if err != nil {
		return nil, fmt.Errorf("cannot compile script %q: %w", name, err)
	}
	return proto, nil
}
