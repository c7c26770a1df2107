package vm

import (
	"fmt"

	glua "github.com/yuin/gopher-lua"
)

// What compiling a text that a script has made is counted as, for each of its
// bytes: 130 bytes are allocated and 200 ns go by at most, and what the text
// assigns to global names is in it. A text has so few bytes that compiling it,
// which can't be interrupted, takes some 10 ms.
const (
	loadedBytes = 200
	loadedWork  = 10
	maxLoaded   = 64 << 10
)

// Load compiles a text while a run goes on and returns its main function. name
// stands in messages. An error says what is wrong with the text.
func Load(L *glua.LState, text, name string) (*glua.LFunction, error) {
	if len(text) > maxLoaded {
		return nil, fmt.Errorf("%s: the text has %d bytes, expected at most %d", name, len(text), maxLoaded)
	}
	run := RunOf(L)
	run.ChargeItems(L, len(text)+20, loadedBytes)
	run.Spend(L, loadedWork*(len(text)+20))
	p, err := Compile([]byte(text), name, Options{CountNames: true})
	if err != nil {
		return nil, err
	}
	measureCode(p.proto)
	functions := run.lock.functions
	if functions.Loading != nil {
		functions.Loading(p)
	}
	return p.Instantiate(run.lock, functions), nil
}

// code is the last constant of functions that were compiled in a run, which no
// instruction uses: how many bytes the function's code takes. Scripts that are
// files are shared by VMs, and aren't counted in each.
type code int

// measureCode marks a function and those within it.
func measureCode(p *glua.FunctionProto) {
	bytes := ownSize(p)
	p.Constants = append(p.Constants, &glua.LUserData{Value: code(bytes), Metatable: glua.LNil})
	for _, inner := range p.FunctionPrototypes {
		measureCode(inner)
	}
}

// codeBytes is the size of a function's code, if it was compiled in a run.
func codeBytes(p *glua.FunctionProto) (bytes int64, ok bool) {
	if len(p.Constants) == 0 {
		return 0, false
	}
	holder, ok := p.Constants[len(p.Constants)-1].(*glua.LUserData)
	if !ok {
		return 0, false
	}
	size, ok := holder.Value.(code)
	return int64(size), ok
}
