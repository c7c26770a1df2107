package main

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"strings"
)

// boundaries are the functions of the schema that compare, and the comparison
// that they make instead.
var boundaries = map[token.Token][2]string{
	token.LSS: {"mutLess", "<="}, token.LEQ: {"mutLessEqual", "<"},
	token.GTR: {"mutGreater", ">="}, token.GEQ: {"mutGreaterEqual", ">"},
}

func (f *finder) binary(n *ast.BinaryExpr) bool {
	switch n.Op {
	case token.LAND, token.LOR:
		prefix := "(mutIs(%d) || ("
		if n.Op == token.LOR {
			prefix = "(!mutIs(%d) && ("
		}
		f.wrap(f.add("without left", n), n.X, prefix, "))")
		f.wrap(f.add("without right", n), n.Y, prefix, "))")
	case token.EQL, token.NEQ:
		f.wrap(f.add("negate", n), n, "(mutIs(%d) != (", "))")
	case token.LSS, token.LEQ, token.GTR, token.GEQ:
		f.wrap(f.add("negate", n), n, "(mutIs(%d) != (", "))")
		s := f.add("boundary", n)
		f.wrap(s, n, boundaries[n.Op][0]+"(%d, ", ")")
		at := f.offset(n.OpPos)
		f.edits = append(f.edits, edit{s, at, at + len(n.Op.String()), "", "", ","})
		// x < 5 and x <= 5 are x < 6 and x < 5 already.
		f.operand(n.X, n.Op == token.LSS || n.Op == token.GEQ)
		f.operand(n.Y, n.Op == token.GTR || n.Op == token.LEQ)
		return false
	case token.ADD, token.SUB:
		if f.numeric(n.Y) {
			f.walk(n.X)
			f.negative(n.Y, n)
			f.walk(n.Y)
			return false
		}
	}
	return true
}

// operand walks through what is compared; the other boundary of a constant is
// a mutant of its own only where that isn't the comparison's.
func (f *finder) operand(n ast.Expr, other bool) {
	if is := f.source.info.Types[n]; is.Value == nil {
		f.walk(n)
	} else if other || is.Value.Kind() != constant.Int {
		f.constant(n, is, true)
	}
}

func (f *finder) numeric(n ast.Expr) bool {
	basic, is := f.source.info.Types[n].Type.Underlying().(*types.Basic)
	return is && basic.Info()&(types.IsInteger|types.IsFloat) != 0
}

// negative makes a sum a difference, and the other way round.
func (f *finder) negative(operand ast.Expr, whole ast.Node) {
	s := f.add("minus", whole)
	if f.source.info.Types[operand].Value == nil {
		f.wrap(s, operand, "mutNeg(%d, ", ")")
	} else if name, can := f.typeName(f.source.info.Types[operand].Type); can {
		f.wrap(s, operand, "mutNeg(%d, "+name+"(", "))")
	}
}

// constant changes a constant in which a literal is: a number by one, a time
// to nothing, true to false.
func (f *finder) constant(n ast.Expr, is types.TypeAndValue, compared bool) {
	literal := false
	ast.Inspect(n, func(inner ast.Node) bool {
		name, isName := inner.(*ast.Ident)
		_, isLiteral := inner.(*ast.BasicLit)
		literal = literal || isLiteral || isName && (name.Name == "true" || name.Name == "false")
		return true
	})
	name, can := f.typeName(is.Type)
	switch {
	case !literal || !can:
	case is.Value.Kind() == constant.Bool:
		f.wrap(f.add("flip", n), n, "(mutIs(%d) != (", "))")
	case name == "time.Duration":
		if constant.Sign(is.Value) != 0 {
			f.wrap(f.add("zero", n), n, "mutZero[time.Duration](%d, ", ")")
		}
	case is.Value.Kind() == constant.Int:
		size, exact := constant.Int64Val(is.Value)
		if compared || exact && size < sized {
			f.wrap(f.add("plus one", n), n, "mutPlus(%d, "+name+"(", "))")
		}
	}
}

// typeName says a type in words of the file, if it can.
func (f *finder) typeName(t types.Type) (name string, can bool) {
	can = true
	name = types.TypeString(types.Default(t), func(p *types.Package) string {
		if p.Path() == f.source.ImportPath {
			return ""
		}
		for _, imported := range f.file.syntax.Imports {
			if strings.Trim(imported.Path.Value, `"`) == p.Path() {
				if imported.Name != nil {
					return imported.Name.Name
				}
				return p.Name()
			}
		}
		can = false
		return ""
	})
	return strings.ReplaceAll(name, "%", "%%"), can
}
