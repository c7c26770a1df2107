package vm

import (
	"bytes"
	"fmt"
	"slices"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/compile"
)

// maxSource bounds a script, in bytes.
const maxSource = 1 << 20

// Program is a compiled script. It is immutable and may be loaded into any
// number of VMs at once.
type Program struct {
	Name string
	// Reads and Writes are the uses of globals, in the order of the source.
	Reads, Writes []Global
	// Tests are the globals that conditions ask for: whether there is one.
	Tests []string
	// Lines are those on which a statement starts; only with Options.Cover.
	Lines []int

	size  int64
	proto *glua.FunctionProto
}

// Global is one use of a global variable.
type Global = compile.Global

// Options change how a script is compiled.
type Options struct {
	// Cover makes the script call Functions.Line before each statement.
	Cover bool
	// CountNames makes the script count assignments to all constant names, which
	// is slower. Otherwise a table can grow uncounted by a few names of each
	// script that runs on a VM.
	CountNames bool
}

// Compile compiles a script; name stands in error messages. What a script does
// with memory in a single instruction (joining strings, making tables,
// assigning to computed keys) becomes a call of a function that counts it.
// Errors are of the form "name:line: …".
func Compile(source []byte, name string, options Options) (*Program, error) {
	if len(source) > maxSource {
		return nil, fmt.Errorf("%s: the script has %d bytes, expected at most %d", name, len(source), maxSource)
	}
	if bytes.HasPrefix(source, []byte("\x1bLua")) {
		return nil, fmt.Errorf("%s: expected Lua source, not bytecode", name)
	}
	r, err := compile.Compile(source, name, compile.Options{Cover: options.Cover, CountNames: options.CountNames, Operations: operations})
	if err != nil {
		return nil, err
	}
	return &Program{
		Name: name, Reads: r.Reads, Writes: r.Writes, Tests: r.Tests, Lines: r.Lines, size: sizeOf(r.Proto),
		proto: r.Proto,
	}, nil
}

// Size is about how many bytes the program takes.
func (p *Program) Size() int64 {
	const use, name = 24, 16 // of a global
	return p.size + use*int64(cap(p.Reads)+cap(p.Writes)) + name*int64(cap(p.Tests)) + 8*int64(cap(p.Lines))
}

// sizeOf counts what a function's code takes, with that of those in it.
func sizeOf(p *glua.FunctionProto) int64 {
	n := ownSize(p)
	for _, inner := range p.FunctionPrototypes {
		n += sizeOf(inner)
	}
	return n
}

// ownSize counts what a function's code takes, without those in it.
func ownSize(p *glua.FunctionProto) int64 {
	const function, name, constant, variable = 400, 24, 48, 64
	n := function + 4*int64(cap(p.Code)) + 8*int64(cap(p.DbgSourcePositions)) +
		name*int64(cap(p.DbgCalls)+cap(p.DbgUpvalues)) + variable*int64(cap(p.DbgLocals)) + constant*int64(cap(p.Constants))
	for _, c := range p.Constants {
		if text, ok := c.(glua.LString); ok {
			n += int64(len(text))
		}
	}
	return n
}

// Instantiate returns the program's main function for one VM, whose lock is
// held. All programs of a VM get the same functions.
func (p *Program) Instantiate(lock *Lock, f *Functions) *glua.LFunction {
	lock.functions = f
	return lock.main.NewFunctionFromProto(p.proto)
}

// Undefined returns the globals that are read and neither written by any of
// the programs nor known.
func Undefined(programs []*Program, known func(name string) bool) map[*Program][]Global {
	written := map[string]bool{}
	for _, p := range programs {
		for _, g := range p.Writes {
			written[g.Name] = true
		}
	}
	undefined := map[*Program][]Global{}
	for _, p := range programs {
		for _, g := range p.Reads {
			if !written[g.Name] && !known(g.Name) {
				undefined[p] = append(undefined[p], g)
			}
		}
		undefined[p] = slices.CompactFunc(undefined[p], func(a, b Global) bool { return a == b })
	}
	return undefined
}

// Mentions reports whether a text is among the program's constant strings.
func (p *Program) Mentions(text string) bool { return mentions(p.proto, text) }

func mentions(p *glua.FunctionProto, text string) bool {
	return slices.Contains(p.Constants, glua.LValue(glua.LString(text))) ||
		slices.ContainsFunc(p.FunctionPrototypes, func(inner *glua.FunctionProto) bool { return mentions(inner, text) })
}
