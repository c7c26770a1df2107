package vm

import glua "github.com/yuin/gopher-lua"

// CalledAs says by what name the function that runs was called, and what that is in
// Lua's words: "global", "local", "upvalue", "field" or "method"; "" is that nobody
// knows. of is whose field or method it is; nil isn't known.
func CalledAs(L *glua.LState) (kind, name string, of glua.LValue) {
	f := frameOf(L)
	if f == nil {
		return "", "", nil
	}
	f.spendOnName(L)
	as := f.calledAs()
	if as.kind == "field" {
		of = f.Parent.origin(L, as.pc, as.register, 0)
	}
	return as.kind, Clip(as.name), of
}

// FunctionAt returns the function at a level of the calls of a thread: 0 is the
// one that runs, 1 the one that has called it; nil is none.
func FunctionAt(L *glua.LState, level int) *glua.LFunction {
	f := frameOf(L)
	for ; f != nil && level > 0; level-- {
		f = f.Parent
	}
	if f == nil {
		return nil
	}
	return f.Fn
}
