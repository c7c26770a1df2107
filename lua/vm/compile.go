package vm

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	glua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"
	"github.com/yuin/gopher-lua/parse"
)

// maxSource bounds a script, in bytes.
const maxSource = 1 << 20

// Program is a compiled script. It is immutable and may be loaded into any
// number of VMs at once.
type Program struct {
	Name string
	// Reads and Writes are the uses of globals, in the order of the source.
	Reads, Writes []Global
	// Lines are those on which a statement starts; only with Options.Cover.
	Lines []int

	proto          *glua.FunctionProto
	calls, indexed names
}

// Global is one use of a global variable.
type Global struct {
	Name string
	Line int
}

// Options change how a script is compiled.
type Options struct {
	// Cover makes the script call Functions.Line before each statement.
	Cover bool
}

// Compile compiles a script; name stands in error messages. What a script does
// with memory in a single instruction (joining strings, making tables,
// assigning to computed keys) becomes a call of a function that counts it.
// Errors are of the form "name:line: …".
func Compile(source []byte, name string, options Options) (program *Program, err error) {
	if len(source) > maxSource {
		return nil, fmt.Errorf("%s: the script has %d bytes, expected at most %d", name, len(source), maxSource)
	}
	if bytes.HasPrefix(source, []byte("\x1bLua")) {
		return nil, fmt.Errorf("%s: expected Lua source, not bytecode", name)
	}
	defer func() {
		if cause := recover(); cause != nil { // gopher-lua's compiler panics at some of its limits
			program, err = nil, fmt.Errorf("%s: cannot compile: %v", name, cause)
		}
	}()
	chunk, err := parse.Parse(bytes.NewReader(source), name)
	if err != nil {
		return nil, errors.New(tidy(name, source, err))
	}
	r := rewriter{program: &Program{Name: name, calls: names{}, indexed: names{}}, cover: options.Cover}
	if err := r.chunk(chunk); err != nil {
		return nil, fmt.Errorf("%s:%w", name, err)
	}
	main := &ast.FunctionExpr{ParList: &ast.ParList{HasVargs: true}, Stmts: r.body}
	last := 1
	if n := len(r.body); n > 0 {
		last = max(r.body[n-1].LastLine(), r.body[n-1].Line(), 1)
	}
	main.SetLine(1)
	main.SetLastLine(last)
	hidden := &ast.LocalAssignStmt{Names: hiddenNames[:], Exprs: []ast.Expr{&ast.Comma3Expr{}}}
	hidden.SetLine(1)
	hidden.Exprs[0].SetLine(1)
	result := &ast.ReturnStmt{Exprs: []ast.Expr{main}}
	result.SetLine(last)
	r.program.proto, err = glua.Compile([]ast.Stmt{hidden, result}, name)
	if err != nil {
		return nil, errors.New(tidy(name, source, err))
	}
	compact(r.program.proto)
	return r.program, nil
}

// exact copies a list without room to grow; slices.Clone keeps the memory
// behind an empty one.
func exact[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return append(make([]T, 0, len(list)), list...)
}

// compact drops what gopher-lua's compiler has allocated ahead: 14 KiB for
// each function of a script.
func compact(p *glua.FunctionProto) {
	p.Code, p.Constants, p.FunctionPrototypes = exact(p.Code), exact(p.Constants), exact(p.FunctionPrototypes)
	p.DbgSourcePositions, p.DbgLocals = exact(p.DbgSourcePositions), exact(p.DbgLocals)
	p.DbgCalls, p.DbgUpvalues = exact(p.DbgCalls), exact(p.DbgUpvalues)
	for _, inner := range p.FunctionPrototypes {
		compact(inner)
	}
}

// tidy words a parser's or compiler's error as "name:line: …".
func tidy(name string, source []byte, err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if strings.HasPrefix(text, name+" at EOF:") {
		last := 1 + bytes.Count(bytes.TrimRight(source, "\n"), []byte("\n"))
		return fmt.Sprintf("%s:%d: unexpected end of the script: something is not closed with \"end\", a bracket or a quote", name, last)
	}
	rest, ok := strings.CutPrefix(text, name+" line:")
	if !ok {
		if strings.HasPrefix(text, name+":") {
			return text
		}
		return name + ": " + text
	}
	line, rest, _ := strings.Cut(rest, "(")
	column, rest, found := strings.Cut(rest, ")")
	column = strings.TrimPrefix(column, "column:")
	if !found {
		return name + ": " + text
	}
	return name + ":" + line + ":" + column + ": " + strings.TrimSpace(rest)
}

// The functions that the rewritten script calls, as locals around the whole
// script: no script can name, see or replace them.
var hiddenNames = [...]string{"\x00concat", "\x00set", "\x00assign", "\x00table", "\x00function", "\x00line"}

const (
	hiddenConcat = iota
	hiddenSet
	hiddenAssign
	hiddenTable
	hiddenFunction
	hiddenLine
)

// Functions is what a VM gives to the programs that are loaded into it.
type Functions struct {
	// SetIndex is t[k] = v, with metamethods, counted.
	SetIndex func(L *glua.LState, t, k, v glua.LValue)
	// Line is called before each statement of a program compiled with Cover.
	Line func(name string, line int)
}

// Instantiate returns the program's main function for one VM. L is the main
// thread, without a run.
func (p *Program) Instantiate(L *glua.LState, f *Functions) (*glua.LFunction, error) {
	top := L.GetTop()
	defer L.SetTop(top)
	L.Push(L.NewFunctionFromProto(p.proto))
	for _, hidden := range p.hidden(f) {
		L.Push(L.NewFunction(hidden))
	}
	if err := L.PCall(len(hiddenNames), 1, nil); err != nil {
		return nil, fmt.Errorf("cannot load %s: %w", p.Name, err)
	}
	main, ok := L.Get(-1).(*glua.LFunction)
	if !ok {
		return nil, fmt.Errorf("BUG: %s did not compile to a function", p.Name)
	}
	return main, nil
}

func (p *Program) hidden(f *Functions) [len(hiddenNames)]glua.LGFunction {
	return [...]glua.LGFunction{
		hiddenConcat: concat,
		hiddenSet: func(L *glua.LState) int {
			f.SetIndex(L, L.Get(1), L.Get(2), L.Get(3))
			return 0
		},
		hiddenAssign:   func(L *glua.LState) int { return assign(L, f) },
		hiddenTable:    func(L *glua.LState) int { return countTable(L, f) },
		hiddenFunction: countFunction,
		hiddenLine: func(L *glua.LState) int {
			if f.Line != nil {
				f.Line(p.Name, L.CheckInt(1))
			}
			return 0
		},
	}
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
