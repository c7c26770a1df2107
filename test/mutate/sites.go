package main

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"strings"
)

// site is one mutant: a place in the code and what it would do instead.
type site struct {
	id       int // its number in this schema; 0 is the code as it stands
	key      string
	function string
	position token.Position
}

// edit puts text around a part of a file.
type edit struct {
	site           *site
	start, end     int // offsets
	prefix, suffix string
	instead        string // of the part itself; empty keeps it
}

// finder walks through one file and collects what can be changed.
type finder struct {
	source   *source
	file     *file
	function string           // in which it is
	results  []*ast.FieldList // of the functions and literals around
	sites    *[]*site
	edits    []edit
	seen     map[string]int // how often a key without its number came
}

// sized is from where on an integer counts as a size, which is off by one
// unnoticed unless something is compared with it.
const sized = 1024

// maxText bounds the text of a mutation in its key.
const maxText = 100

// text is the source of a node, on one line.
func (f *finder) text(n ast.Node) string {
	text := strings.Join(strings.Fields(string(f.file.text[f.offset(n.Pos()):f.offset(n.End())])), " ")
	if runes := []rune(text); len(runes) > maxText {
		text = string(runes[:maxText]) + "…"
	}
	return text
}

func (f *finder) offset(p token.Pos) int { return f.source.set.Position(p).Offset }

// add makes a mutant that is described by its kind and the text of a node.
func (f *finder) add(kind string, described ast.Node) *site {
	key := fmt.Sprintf("%s %s: %s: %s", f.source.relative(), f.function, kind, f.text(described))
	f.seen[key]++
	if n := f.seen[key]; n > 1 {
		key = fmt.Sprintf("%s #%d", key, n)
	}
	s := &site{len(*f.sites) + 1, key, f.function, f.source.set.Position(described.Pos())}
	*f.sites = append(*f.sites, s)
	return s
}

// wrap puts text around a node; %d in the prefix is the mutant's number.
func (f *finder) wrap(s *site, n ast.Node, prefix, suffix string) {
	f.edits = append(f.edits, edit{s, f.offset(n.Pos()), f.offset(n.End()), fmt.Sprintf(prefix, s.id), suffix, ""})
}

func (f *finder) walk(nodes ...ast.Node) {
	for _, n := range nodes {
		ast.Inspect(n, f.visit)
	}
}

// visit is called for each node, outer ones first; false leaves out what is
// within, or what was walked through here.
func (f *finder) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.GenDecl:
		return n.Tok == token.VAR
	case *ast.ValueSpec:
		return f.variables(n)
	case *ast.FuncDecl:
		f.declaration(n)
		return false
	case *ast.FuncLit:
		f.body(n.Type, n.Body)
		return false
	case ast.Expr:
		return f.expression(n)
	case ast.Stmt:
		return f.statement(n)
	}
	return true
}

// variables walks through the values of a declaration.
func (f *finder) variables(n *ast.ValueSpec) bool {
	if len(f.results) == 0 {
		f.function = "var " + n.Names[0].Name
	}
	for _, value := range n.Values {
		f.walk(value)
	}
	return false
}

// declaration walks through a function, unless the compiler has orders for it.
func (f *finder) declaration(n *ast.FuncDecl) {
	if n.Doc != nil {
		for _, comment := range n.Doc.List {
			if strings.HasPrefix(comment.Text, "//go:") {
				return
			}
		}
	}
	f.function = n.Name.Name
	if n.Recv != nil && len(n.Recv.List) == 1 {
		f.function = "(" + f.text(n.Recv.List[0].Type) + ")." + f.function
	}
	if n.Body != nil {
		f.body(n.Type, n.Body)
	}
}

func (f *finder) body(signature *ast.FuncType, body *ast.BlockStmt) {
	f.results = append(f.results, signature.Results)
	f.walk(body)
	f.results = f.results[:len(f.results)-1]
}

// statement handles what has its own rules; all else is walked through.
func (f *finder) statement(n ast.Stmt) bool {
	switch n := n.(type) {
	case *ast.BlockStmt:
		f.block(n.List)
	case *ast.CommClause:
		f.block(n.Body)
	case *ast.IfStmt:
		if n.Init != nil {
			f.walk(n.Init)
		}
		f.condition(n.Cond)
		f.walk(n.Body)
		if n.Else != nil {
			f.walk(n.Else)
		}
	case *ast.ForStmt: // not its post statement: each change there hangs
		if n.Init != nil {
			f.walk(n.Init)
		}
		if n.Cond != nil {
			f.condition(n.Cond)
		}
		f.walk(n.Body)
	case *ast.SwitchStmt:
		f.choice(n)
	case *ast.CaseClause: // of a switch by type
		f.block(n.Body)
	case *ast.ReturnStmt:
		f.returned(n)
	case *ast.AssignStmt:
		if (n.Tok == token.ADD_ASSIGN || n.Tok == token.SUB_ASSIGN) && f.numeric(n.Rhs[0]) {
			f.negative(n.Rhs[0], n)
		}
		return true
	default:
		return true
	}
	return false
}

// choice walks through a switch. The cases of one without a tag are conditions.
func (f *finder) choice(n *ast.SwitchStmt) {
	if n.Init != nil {
		f.walk(n.Init)
	}
	if n.Tag != nil {
		f.walk(n.Tag)
	}
	for _, clause := range n.Body.List {
		clause, is := clause.(*ast.CaseClause)
		if !is {
			continue
		}
		if n.Tag == nil {
			for _, condition := range clause.List {
				f.condition(condition)
			}
		}
		f.block(clause.Body)
	}
}

// block lets statements be deleted that stand by themselves.
func (f *finder) block(list []ast.Stmt) {
	for _, n := range list {
		if kind := f.deletable(n); kind != "" {
			f.wrap(f.add(kind, n), n, "if !mutIs(%d) { ", " }")
		}
		f.walk(n)
	}
}

// deletable returns how the deletion of a statement is called, "" if it isn't
// one that can be deleted.
func (f *finder) deletable(n ast.Stmt) string {
	switch n := n.(type) {
	case *ast.DeferStmt:
		return "undefer"
	case *ast.IncDecStmt, *ast.SendStmt, *ast.GoStmt:
		return "delete"
	case *ast.ExprStmt:
		if call, is := n.X.(*ast.CallExpr); is && f.builtin(call) == "panic" {
			return ""
		}
		return "delete"
	case *ast.AssignStmt:
		if n.Tok == token.DEFINE {
			return ""
		}
		for _, left := range n.Lhs {
			if name, is := left.(*ast.Ident); !is || name.Name != "_" {
				return "delete"
			}
		}
	}
	return ""
}

func (f *finder) builtin(call *ast.CallExpr) string {
	if name, is := ast.Unparen(call.Fun).(*ast.Ident); is && f.source.info.Types[call.Fun].IsBuiltin() {
		return name.Name
	}
	return ""
}

// condition negates what decides alone; comparisons, and what && and || join,
// have mutants of their own.
func (f *finder) condition(n ast.Expr) {
	if _, is := ast.Unparen(n).(*ast.BinaryExpr); !is && f.source.info.Types[n].Value == nil {
		f.wrap(f.add("negate", n), n, "(mutIs(%d) != (", "))")
	}
	f.walk(n)
}

// returned changes each of the values that are returned, but for zero ones.
func (f *finder) returned(n *ast.ReturnStmt) {
	var declared []ast.Expr
	if list := f.results[len(f.results)-1]; list != nil {
		for _, field := range list.List {
			for range max(len(field.Names), 1) {
				declared = append(declared, field.Type)
			}
		}
	}
	fails := f.fails(n)
	for i, value := range n.Results {
		is := f.source.info.Types[value]
		_, compared := ast.Unparen(value).(*ast.BinaryExpr)
		switch {
		case len(declared) != len(n.Results) || is.IsNil() || isZero(value):
		case is.Value != nil:
			if fails && i < len(n.Results)-1 { // what stands beside it means nothing
				continue
			}
		case !isBool(is.Type):
			f.wrap(f.add("zero", value), value, "mutZero["+strings.ReplaceAll(f.text(declared[i]), "%", "%%")+"](%d, ", ")")
		case !compared:
			f.wrap(f.add("negate", value), value, "(mutIs(%d) != (", "))")
		}
		f.walk(value)
	}
}

// fails reports whether what is returned says by its last value that there are
// no others: by an error, or by false.
func (f *finder) fails(n *ast.ReturnStmt) bool {
	if len(n.Results) < 2 {
		return false
	}
	last := f.source.info.Types[n.Results[len(n.Results)-1]]
	if last.Value != nil && last.Value.Kind() == constant.Bool {
		return !constant.BoolVal(last.Value)
	}
	return last.Type != nil && last.Type.String() == "error"
}

// isZero reports whether a value is written as T{}.
func isZero(n ast.Expr) bool {
	literal, is := n.(*ast.CompositeLit)
	return is && len(literal.Elts) == 0
}

func isBool(t types.Type) bool {
	basic, is := t.Underlying().(*types.Basic)
	return is && basic.Info()&types.IsBoolean != 0
}

// expression handles operators and constants; types have no mutants.
func (f *finder) expression(n ast.Expr) bool {
	is, known := f.source.info.Types[n]
	switch {
	case known && is.IsType():
		return false
	case known && is.Value != nil:
		f.constant(n, is, false)
		return false
	}
	switch n := n.(type) {
	case *ast.CompositeLit:
		f.composite(n)
		return false
	case *ast.CallExpr:
		name := f.builtin(n)
		return name != "make" && name != "panic" && !makesTable(n) // capacities and words of bugs
	case *ast.BinaryExpr:
		return f.binary(n)
	}
	return true
}

// makesTable reports whether a call is gopher-lua's make: of a table, with capacities.
func makesTable(call *ast.CallExpr) bool {
	method, is := ast.Unparen(call.Fun).(*ast.SelectorExpr)
	return is && method.Sel.Name == "CreateTable"
}

// composite walks through values, and through the keys of maps.
func (f *finder) composite(n *ast.CompositeLit) {
	_, isMap := f.source.info.Types[n].Type.Underlying().(*types.Map)
	for _, element := range n.Elts {
		pair, is := element.(*ast.KeyValueExpr)
		switch {
		case !is:
			f.walk(element)
		case isMap:
			f.walk(pair.Key, pair.Value)
		default:
			f.walk(pair.Value)
		}
	}
}
