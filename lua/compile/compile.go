package compile

import (
	"errors"
	"fmt"
	"strings"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/syntax"
)

// Operation is a Go function that compiled code calls where the language has
// no call. No script can name, see or replace them: they are constants of the
// code.
type Operation int

// The operations.
const (
	Concat     Operation = iota // (a, b, …): a .. b .. …
	SetIndex                    // (t, k, v): t[k] = v, where k may be anything
	NewTable                    // ([positions, names]): a table with room for so many
	Filled                      // (t): t has got positions of a number that wasn't known
	NewClosure                  // (n): a function with n variables of others is about to be made
	LengthOf                    // (v): #v
	Remainder                   // (a, b): a % b
	ForBounds                   // (start, limit, step): the three as numbers
	Extra                       // (...): the table "arg" of a vararg function
	CoverLine                   // (n): a statement on line n is about to run

	Operations // how many there are
)

// Options change how a source is compiled.
type Options struct {
	// Cover makes the code call CoverLine before each statement.
	Cover bool
	// CountNames makes the code count assignments to all constant names. Otherwise
	// the first few names of a source aren't counted.
	CountNames bool
	// Operations are the functions for them. They become part of the code and
	// so are shared by all that run it.
	Operations *[Operations]*glua.LFunction
}

// Result is a compiled source.
type Result struct {
	Proto *glua.FunctionProto
	// Reads and Writes are the uses of globals, in the order of the source.
	Reads, Writes []Global
	// Tests are the globals that conditions ask for: whether there is one.
	Tests []string
	// Lines are those on which a statement starts; only with Options.Cover.
	Lines []int
}

// Global is one use of a global variable.
type Global struct {
	Name string
	Line int
}

// Compile compiles a source; name stands in error messages. Errors are of the
// form "name:line:column: …".
func Compile(source []byte, name string, options Options) (result *Result, err error) {
	main, err := syntax.Parse(source)
	if err == nil {
		result, err = generate(main, name, options)
	}
	if wrong, ok := errors.AsType[*syntax.Error](err); ok {
		return nil, fmt.Errorf("%s:%w", name, wrong)
	}
	return result, err
}

// compiler is what all functions of a source share.
type compiler struct {
	options Options
	name    string
	result  *Result
	strings map[string]string // without the source behind them
	names   map[string]bool   // that are assigned without a call
}

func generate(main *syntax.Function, name string, options Options) (result *Result, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			wrong, ok := cause.(*syntax.Error)
			if !ok {
				panic(cause)
			}
			result, err = nil, wrong
		}
	}()
	c := &compiler{
		options: options, name: name, strings: map[string]string{}, names: map[string]bool{},
		result: &Result{},
	}
	c.result.Proto, _ = c.function(nil, main)
	return c.result, nil
}

// own returns a string that doesn't keep the source alive; equal ones share
// their memory.
func (c *compiler) own(s string) string {
	if own, ok := c.strings[s]; ok {
		return own
	}
	own := strings.Clone(s)
	c.strings[own] = own
	return own
}
