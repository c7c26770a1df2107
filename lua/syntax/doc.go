// Package syntax reads Lua 5.1: source text to a syntax tree in which every
// name is resolved to its local variable or to a global.
//
//	main, err := syntax.Parse([]byte("local a = 1 return a"))
//
// It is made for sources that nobody trusts: one pass, time and memory in
// proportion to the source, and explicit limits, each with an error that says
// so. Long chains (a.b.c…, a + b + …, a and b and …, elseif) are lists in the
// tree, so that its depth, by which everything that walks it recurses, is
// never more than what Parse allows.
//
// Reading order: ast.go, parser.go, statements.go, expressions.go, scope.go,
// labels.go, lexer.go.
package syntax
