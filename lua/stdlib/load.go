package stdlib

import (
	"strings"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// load is load(text or function [, name [, mode [, environment]]]): Lua 5.1's
// takes functions that return the text in parts, later ones the text itself.
func (l *lib) load(L *glua.LState) int {
	text, name := "", "=(load)"
	switch v := L.Get(1).(type) {
	case *glua.LFunction:
		var failure glua.LValue
		if text, failure = parts(L, v); failure != nil {
			L.Push(glua.LNil)
			L.Push(failure)
			return 2
		}
	case glua.LString, glua.LNumber:
		text = checkString(L, 1)
		name = text
	default:
		typeError(L, 1, "function")
	}
	return loaded(L, text, name)
}

// loadString is loadstring(text [, name]).
func (l *lib) loadString(L *glua.LState) int {
	text := checkString(L, 1)
	return loaded(L, text, text)
}

// loaded returns the function of a text, or nil and a message. name is the one
// that it has unless the second argument says otherwise.
func loaded(L *glua.LState, text, name string) int {
	if L.Get(2) != glua.LNil {
		name = checkString(L, 2)
	}
	name = chunkName(name)
	var wrong string
	switch mode := L.Get(3); {
	case mode != glua.LNil && !strings.Contains(checkString(L, 3), "t"):
		wrong = name + ": attempt to load a text chunk (mode is '" + vm.Clip(checkString(L, 3)) + "')"
	case strings.HasPrefix(text, "\x1b"):
		wrong = name + ": attempt to load a binary chunk: only text is taken"
	default:
		if strings.HasPrefix(text, "#") || strings.HasPrefix(text, "\ufeff") {
			text = " " + text // which only files may begin with
		}
		f, err := vm.Load(L, text, name)
		if err == nil {
			if L.Get(4) != glua.LNil {
				f.Env = environment(L, checkTable(L, 4))
			}
			L.Push(f)
			return 1
		}
		wrong = err.Error()
	}
	vm.RunOf(L).Charge(L, len(wrong))
	L.Push(glua.LNil)
	L.Push(glua.LString(wrong))
	return 2
}

// parts joins what a function returns until it returns nothing. failure is its
// error, or nil.
func parts(L *glua.LState, f *glua.LFunction) (text string, failure glua.LValue) {
	b := newBuilder(L)
	for {
		results, ok := PCall(L, f)
		if !ok {
			return "", results[0]
		}
		if len(results) == 0 || results[0] == glua.LNil {
			return b.text.String(), nil
		}
		if !glua.LVCanConvToString(results[0]) {
			return "", glua.LString("reader function must return a string")
		}
		part := vm.Text(results[0])
		if part == "" {
			return b.text.String(), nil
		}
		b.add(part)
	}
}

// Bounds of the names of chunks in messages, Lua 5.1's.
const (
	maxChunkName = 59
	maxFileName  = 52
	maxFirstLine = 43
)

// chunkName is a chunk's name as it stands in messages: after = as it is, after @
// a file's, or else the first line of the text. It keeps none of name's memory, as
// the code that has it isn't counted with that.
func chunkName(name string) string {
	if rest, ok := strings.CutPrefix(name, "="); ok {
		return strings.Clone(rest[:min(len(rest), maxChunkName)])
	}
	if rest, ok := strings.CutPrefix(name, "@"); ok {
		if len(rest) > maxFileName {
			return "..." + rest[len(rest)-maxFileName:]
		}
		return strings.Clone(rest)
	}
	line := name
	if end := strings.IndexAny(line[:min(len(line), maxFirstLine+1)], "\r\n"); end >= 0 {
		line = line[:end]
	}
	if len(line) > maxFirstLine {
		line = line[:maxFirstLine]
	}
	if len(line) < len(name) {
		line += "..."
	}
	return `[string "` + line + `"]`
}
