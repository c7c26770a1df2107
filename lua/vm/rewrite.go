package vm

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/yuin/gopher-lua/ast"
)

// maxNesting bounds how deep expressions and blocks may nest: the compiler
// behind is recursive, and a Go stack that overflows ends the process.
const maxNesting = 200

// maxElseIfs bounds a chain of elseif, which nests in the parser.
const maxElseIfs = 1000

// rewriter walks a script once, top to bottom. It replaces what allocates by
// calls of the hidden functions, and notes which globals are used.
type rewriter struct {
	program *Program
	cover   bool
	body    []ast.Stmt
	scopes  []map[string]bool // names of local variables
	depth   int

	functions int
	constants map[string]bool // of the innermost function
}

// tooMuch ends a walk.
type tooMuch struct {
	line int
	what string
}

func (r *rewriter) chunk(stmts []ast.Stmt) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			excess, ok := cause.(tooMuch)
			if !ok {
				panic(cause)
			}
			err = fmt.Errorf("%d: %s", excess.line, excess.what)
		}
	}()
	r.constants = map[string]bool{}
	r.body = r.block(stmts)
	return nil
}

func tooDeep(line int) tooMuch {
	return tooMuch{line, fmt.Sprintf("nested too deeply, expected at most %d levels", maxNesting)}
}

func (r *rewriter) enter(line int) {
	if r.depth++; r.depth > maxNesting {
		panic(tooDeep(line))
	}
}

func (r *rewriter) leave() { r.depth-- }

// block rewrites a list of statements with a scope of its own.
func (r *rewriter) block(stmts []ast.Stmt, locals ...string) []ast.Stmt {
	r.open(locals...)
	defer r.close()
	return r.statements(stmts)
}

func (r *rewriter) open(locals ...string) {
	r.scopes = append(r.scopes, map[string]bool{})
	r.declare(locals...)
}

func (r *rewriter) close() { r.scopes = r.scopes[:len(r.scopes)-1] }

func (r *rewriter) declare(names ...string) {
	for _, name := range names {
		r.scopes[len(r.scopes)-1][name] = true
	}
}

func (r *rewriter) local(name string) bool {
	for _, scope := range r.scopes {
		if scope[name] {
			return true
		}
	}
	return strings.HasPrefix(name, "\x00")
}

func (r *rewriter) statements(stmts []ast.Stmt) []ast.Stmt {
	out := make([]ast.Stmt, 0, len(stmts))
	for _, s := range stmts {
		if r.cover && coverable(s) {
			r.program.Lines = append(r.program.Lines, s.Line())
			number := &ast.NumberExpr{Value: strconv.Itoa(s.Line())}
			out = append(out, callStatement(s, hiddenLine, number))
		}
		if definesFunction(s) {
			out = append(out, callStatement(s, hiddenFunction))
		}
		out = append(out, r.statement(s))
	}
	return out
}

// definesFunction reports statements whose function stays where it is, since
// it may name itself.
func definesFunction(s ast.Stmt) bool {
	switch s := s.(type) {
	case *ast.FuncDefStmt:
		return true
	case *ast.LocalAssignStmt:
		return localFunction(s) != nil
	}
	return false
}

// localFunction returns the function of "local function f" and "local f =
// function", which the parser doesn't tell apart.
func localFunction(s *ast.LocalAssignStmt) *ast.FunctionExpr {
	if len(s.Exprs) != 1 || len(s.Names) != 1 {
		return nil
	}
	f, _ := s.Exprs[0].(*ast.FunctionExpr)
	return f
}

// coverable statements are those that do something where they stand.
func coverable(s ast.Stmt) bool {
	switch s.(type) {
	case *ast.LabelStmt, *ast.DoBlockStmt:
		return false
	}
	return s.Line() > 0
}

func (r *rewriter) statement(s ast.Stmt) ast.Stmt {
	r.enter(s.Line())
	defer r.leave()
	switch s := s.(type) {
	case *ast.AssignStmt:
		return r.assignment(s)
	case *ast.LocalAssignStmt:
		r.localAssignment(s)
	case *ast.FuncCallStmt:
		s.Expr = r.expr(s.Expr)
	case *ast.DoBlockStmt:
		s.Stmts = r.block(s.Stmts)
	case *ast.WhileStmt:
		s.Condition = r.expr(s.Condition)
		s.Stmts = r.block(s.Stmts)
	case *ast.RepeatStmt:
		r.open() // the condition sees the body's locals
		s.Stmts = r.statements(s.Stmts)
		s.Condition = r.expr(s.Condition)
		r.close()
	case *ast.IfStmt:
		r.conditional(s)
	case *ast.NumberForStmt:
		s.Init, s.Limit = r.expr(s.Init), r.expr(s.Limit)
		if s.Step != nil {
			s.Step = r.expr(s.Step)
		}
		s.Stmts = r.block(s.Stmts, s.Name)
	case *ast.GenericForStmt:
		r.exprs(s.Exprs)
		s.Stmts = r.block(s.Stmts, s.Names...)
	case *ast.FuncDefStmt:
		r.definition(s)
	case *ast.ReturnStmt:
		r.exprs(s.Exprs)
	}
	return s
}

// conditional unrolls else-if chains, which the parser nests.
func (r *rewriter) conditional(s *ast.IfStmt) {
	for depth := 0; ; depth++ {
		if depth > maxElseIfs {
			panic(tooDeep(s.Line()))
		}
		s.Condition = r.expr(s.Condition)
		s.Then = r.block(s.Then)
		next, ok := elseIf(s)
		if !ok {
			s.Else = r.block(s.Else)
			return
		}
		s = next
	}
}

func elseIf(s *ast.IfStmt) (*ast.IfStmt, bool) {
	if len(s.Else) != 1 {
		return nil, false
	}
	next, ok := s.Else[0].(*ast.IfStmt)
	return next, ok
}

func (r *rewriter) localAssignment(s *ast.LocalAssignStmt) {
	if f := localFunction(s); f != nil {
		r.declare(s.Names...) // which "local f = function" doesn't see: a mistake that goes unreported
		r.function(f, f.ParList.Names...)
		return
	}
	r.exprs(s.Exprs)
	r.declare(s.Names...)
}

func (r *rewriter) definition(s *ast.FuncDefStmt) {
	if s.Name.Func != nil {
		if name, ok := s.Name.Func.(*ast.IdentExpr); ok {
			r.writes(name)
		} else {
			s.Name.Func = r.expr(s.Name.Func)
		}
	}
	if s.Name.Receiver != nil {
		s.Name.Receiver = r.expr(s.Name.Receiver)
	}
	locals := s.Func.ParList.Names
	if s.Name.Method != "" {
		locals = append([]string{"self"}, locals...)
	}
	r.function(s.Func, locals...)
}

// Bounds of what is compiled: gopher-lua's compiler takes 14 KiB for each
// function, and looks for each constant in the list of all before it.
const (
	maxFunctions = 5000
	maxConstants = 8192 // of one function
)

// function rewrites the body of a function.
func (r *rewriter) function(f *ast.FunctionExpr, locals ...string) {
	if r.functions++; r.functions > maxFunctions {
		panic(tooMuch{f.Line(), fmt.Sprintf("too many functions in one script, expected at most %d", maxFunctions)})
	}
	outer := r.constants
	r.constants = map[string]bool{}
	f.Stmts = r.block(f.Stmts, locals...)
	r.constants = outer
}

// constant notes a constant of the function being rewritten.
func (r *rewriter) constant(line int, value string) {
	if r.constants[value] = true; len(r.constants) > maxConstants {
		panic(tooMuch{line, fmt.Sprintf("too many different constants and names in one function, expected at most %d", maxConstants)})
	}
}

func (r *rewriter) writes(name *ast.IdentExpr) {
	if !r.local(name.Value) {
		r.constant(name.Line(), name.Value)
		r.program.Writes = append(r.program.Writes, Global{name.Value, name.Line()})
	}
}

// assignment makes calls of assignments to computed keys:
//
//	t[k] = v            set(t, k, v)
//	t[k], a = f()       a = assign("ix", t, k, f())
func (r *rewriter) assignment(s *ast.AssignStmt) ast.Stmt {
	r.exprs(s.Rhs)
	var kinds strings.Builder
	var others, args []ast.Expr
	for i, target := range s.Lhs {
		switch target := target.(type) {
		case *ast.IdentExpr:
			r.writes(target)
		default:
			s.Lhs[i] = r.expr(target)
		}
		if attribute, ok := target.(*ast.AttrGetExpr); ok && computed(attribute.Key) {
			kinds.WriteByte('i')
			args = append(args, single(attribute.Object), single(attribute.Key))
			continue
		}
		kinds.WriteByte('x')
		others = append(others, s.Lhs[i])
	}
	if args == nil {
		return s
	}
	if len(s.Lhs) == 1 && len(s.Rhs) == 1 {
		return callStatement(s, hiddenSet, append(args, single(s.Rhs[0]))...)
	}
	args = append([]ast.Expr{at(s, &ast.StringExpr{Value: kinds.String()})}, append(args, s.Rhs...)...)
	if others == nil {
		return callStatement(s, hiddenAssign, args...)
	}
	s.Lhs, s.Rhs = others, []ast.Expr{call(s, hiddenAssign, args...)}
	return s
}

// computed keys may be anything; constant names and small numbers can't make a
// table grow by more than a little.
func computed(key ast.Expr) bool {
	switch key := key.(type) {
	case *ast.StringExpr:
		return false
	case *ast.NumberExpr:
		n, err := strconv.Atoi(key.Value)
		return err != nil || n > 64
	}
	return true
}

func (r *rewriter) exprs(list []ast.Expr) {
	for i := range list {
		list[i] = r.expr(list[i])
	}
}

func (r *rewriter) expr(e ast.Expr) ast.Expr {
	r.enter(e.Line())
	defer r.leave()
	switch e := e.(type) {
	case *ast.IdentExpr:
		if !r.local(e.Value) {
			r.constant(e.Line(), e.Value)
			r.program.Reads = append(r.program.Reads, Global{e.Value, e.Line()})
		}
	case *ast.AttrGetExpr:
		r.program.indexed.note(e.Line(), nameOf(e))
		e.Object, e.Key = r.expr(e.Object), r.expr(e.Key)
	case *ast.TableExpr:
		return r.table(e)
	case *ast.FuncCallExpr:
		r.program.calls.note(e.Line(), called(e))
		if e.Receiver != nil {
			r.program.indexed.note(e.Line(), called(e))
		}
		if e.Func != nil {
			e.Func = r.expr(e.Func)
		}
		if e.Receiver != nil {
			e.Receiver = r.expr(e.Receiver)
			r.constant(e.Line(), e.Method)
		}
		r.exprs(e.Args)
	case *ast.LogicalOpExpr:
		e.Lhs, e.Rhs = r.expr(e.Lhs), r.expr(e.Rhs)
	case *ast.RelationalOpExpr:
		e.Lhs, e.Rhs = r.expr(e.Lhs), r.expr(e.Rhs)
	case *ast.ArithmeticOpExpr:
		e.Lhs, e.Rhs = r.expr(e.Lhs), r.expr(e.Rhs)
	case *ast.UnaryMinusOpExpr:
		e.Expr = r.expr(e.Expr)
	case *ast.UnaryNotOpExpr:
		e.Expr = r.expr(e.Expr)
	case *ast.UnaryLenOpExpr:
		e.Expr = r.expr(e.Expr)
	case *ast.StringExpr:
		r.constant(e.Line(), e.Value)
	case *ast.NumberExpr:
		r.constant(e.Line(), "\x00"+e.Value)
	case *ast.FunctionExpr:
		r.function(e, e.ParList.Names...)
		counted := call(e, hiddenFunction, e)
		counted.AdjustRet = true
		return counted
	case *ast.StringConcatOpExpr:
		return r.join(e)
	}
	return e
}

// join makes one call of a chain of "..", whose parts are as many as the
// parser has nested.
func (r *rewriter) join(e *ast.StringConcatOpExpr) ast.Expr {
	var args []ast.Expr
	var rest ast.Expr = e
	for {
		c, ok := rest.(*ast.StringConcatOpExpr)
		if !ok {
			break
		}
		args = append(args, single(r.expr(c.Lhs)))
		rest = c.Rhs
		if len(args) > maxNesting {
			panic(tooDeep(e.Line()))
		}
	}
	args = append(args, single(r.expr(rest)))
	joined := call(e, hiddenConcat, args...)
	joined.AdjustRet = true
	return joined
}

// maxArguments is how many arguments the calls of table have.
const maxArguments = 80

// table wraps a constructor in a call that counts its result, and sets the
// fields with computed keys.
func (r *rewriter) table(e *ast.TableExpr) ast.Expr {
	args := []ast.Expr{e}
	kept := make([]*ast.Field, 0, len(e.Fields))
	for _, field := range e.Fields {
		if field.Key != nil {
			field.Key = r.expr(field.Key)
		}
		field.Value = r.expr(field.Value)
		if field.Key == nil || !computed(field.Key) {
			kept = append(kept, field)
			continue
		}
		if len(args) >= maxArguments { // a call has only so many
			inner := call(e, hiddenTable, args...)
			inner.AdjustRet = true
			args = []ast.Expr{inner}
		}
		args = append(args, single(field.Key), single(field.Value))
	}
	e.Fields = kept
	counted := call(e, hiddenTable, args...)
	counted.AdjustRet = true
	return counted
}

// single cuts the results of a call or of "..." to one, as an argument that is
// not the last would be.
func single(e ast.Expr) ast.Expr {
	switch e := e.(type) {
	case *ast.FuncCallExpr:
		e.AdjustRet = true
	case *ast.Comma3Expr:
		e.AdjustRet = true
	}
	return e
}

func at[E ast.Expr](where ast.PositionHolder, e E) E {
	e.SetLine(where.Line())
	e.SetLastLine(max(where.LastLine(), where.Line()))
	return e
}

func call(where ast.PositionHolder, hidden int, args ...ast.Expr) *ast.FuncCallExpr {
	name := at(where, &ast.IdentExpr{Value: hiddenNames[hidden]})
	return at(where, &ast.FuncCallExpr{Func: name, Args: args})
}

func callStatement(where ast.PositionHolder, hidden int, args ...ast.Expr) ast.Stmt {
	for _, arg := range args {
		if arg.Line() == 0 {
			at(where, arg)
		}
	}
	s := &ast.FuncCallStmt{Expr: call(where, hidden, args...)}
	s.SetLine(where.Line())
	s.SetLastLine(max(where.LastLine(), where.Line()))
	return s
}
