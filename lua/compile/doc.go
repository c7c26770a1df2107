// Package compile makes code for gopher-lua's virtual machine from the syntax
// tree of package syntax. It means what lua5.1 means; gopher-lua's own
// compiler, which it replaces, computes wrong values (its issues 440, 478, 514
// and 540), and takes minutes for some sources.
//
//	result, err := compile.Compile(source, "shop.lua", compile.Options{Operations: operations})
//	main := L.NewFunctionFromProto(result.Proto)
//
// What a script does with memory or time in a single instruction becomes a
// call of an Operation: a Go function that counts it.
//
// # What the machine expects
//
// A function's registers are a window of one stack, whose top the machine
// keeps. A call, "..." and the end of a loop move the top down to just above
// their results, and what is above it is no Lua value any more: not even nil.
// Metamethods are called on top of it. So every register in use is below the
// top at any time, which holds because registers are used as a stack: all that
// an instruction leaves above its results is dead, and nothing reads a
// register that hasn't been written since. An instruction that moves the top
// (CALL, VARARG) must never have a local variable's register, which may be
// below others, as its target.
//
// A variable's register is written by the last instruction of what is assigned
// to it, and only by that one: an expression that names the variable, or that
// fails half-way, sees the old value.
//
// Reading order: compile.go, function.go, emit.go, statements.go, loops.go,
// assign.go, expressions.go, access.go, operators.go, conditions.go, tables.go.
package compile
