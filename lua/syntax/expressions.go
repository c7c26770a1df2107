package syntax

// precedence is how tightly operators bind their left and right sides; the
// right is less where they associate to the right.
type precedence struct {
	operator    Operator
	left, right int8
}

// unaryPrecedence is that of not, - and #.
const unaryPrecedence = 8

func binaryOperator(k kind) (p precedence, ok bool) {
	switch k {
	case tokenOr:
		return precedence{Or, 1, 1}, true
	case tokenAnd:
		return precedence{And, 2, 2}, true
	case '<':
		return precedence{Less, 3, 3}, true
	case '>':
		return precedence{Greater, 3, 3}, true
	case tokenLessEqual:
		return precedence{LessEqual, 3, 3}, true
	case tokenGreaterEqual:
		return precedence{GreaterEqual, 3, 3}, true
	case tokenNotEqual:
		return precedence{NotEqual, 3, 3}, true
	case tokenEqual:
		return precedence{Equal, 3, 3}, true
	case tokenConcat: // to the right, but a list
		return precedence{Join, 5, 5}, true
	case '+':
		return precedence{Add, 6, 6}, true
	case '-':
		return precedence{Subtract, 6, 6}, true
	case '*':
		return precedence{Multiply, 7, 7}, true
	case '/':
		return precedence{Divide, 7, 7}, true
	case '%':
		return precedence{Modulo, 7, 7}, true
	case '^':
		return precedence{Power, 10, 9}, true
	}
	return precedence{}, false
}

// expression parses an expression.
func (p *parser) expression() Expression { return p.operation(0) }

// list parses expressions between commas.
func (p *parser) list() []Expression {
	list := []Expression{p.expression()}
	for p.accept(',') {
		list = grown(list, p.expression())
	}
	return list
}

// operation parses operands with operators that bind more tightly than limit.
func (p *parser) operation(limit int8) Expression {
	p.enter()
	left := p.unary()
	joined := precedence{left: -1} // what the operators so far that make a list are
	for {
		op, ok := binaryOperator(p.token.kind)
		if !ok || op.left <= limit {
			p.leave()
			return left
		}
		at := p.token.Pos
		p.advance()
		right := p.operation(op.right)
		if op.left == joined.left {
			extend(left, op.operator, at, right)
			continue
		}
		left = combine(left, op.operator, at, right)
		joined.left = op.left
		if _, folded := left.(*Number); folded || op.operator == Power {
			joined.left = -1
		}
	}
}

func combine(left Expression, op Operator, at Pos, right Expression) Expression {
	switch op {
	case And, Or:
		return &Logical{at, op, []Expression{left, right}}
	case Join:
		return &Concat{at, []Expression{left, right}}
	}
	if n, ok := fold(left, op, right); ok {
		return &Number{left.Position(), n}
	}
	return &Binary{at, left, []Operand{{at, op, right}}}
}

// extend appends to an operation of the same precedence.
func extend(left Expression, op Operator, at Pos, right Expression) {
	switch left := left.(type) {
	case *Logical:
		left.Values = grown(left.Values, right)
	case *Concat:
		left.Values = grown(left.Values, right)
	case *Binary:
		left.Rest = grown(left.Rest, Operand{at, op, right})
	}
}

func (p *parser) unary() Expression {
	at := p.token.Pos
	op := Not
	switch p.token.kind {
	case tokenNot:
	case '-':
		op = Negate
	case '#':
		op = Length
	default:
		return p.simple()
	}
	p.advance()
	value := p.operation(unaryPrecedence)
	if n, ok := value.(*Number); ok && op == Negate {
		return &Number{at, -n.Value}
	}
	return &Unary{at, op, value}
}

func (p *parser) simple() Expression {
	t := p.token
	var e Expression
	switch t.kind {
	case tokenNumber:
		e = &Number{t.Pos, t.number}
	case tokenString:
		e = &String{t.Pos, t.value}
	case tokenNil:
		e = &Nil{t.Pos}
	case tokenTrue, tokenFalse:
		e = &Bool{t.Pos, t.kind == tokenTrue}
	case tokenDots:
		if !p.scope.function.Vararg {
			fail(t.Pos, "cannot use '...' outside a vararg function near '...'")
		}
		p.scope.function.UsesDots = true
		e = &Dots{t.Pos}
	case '{':
		return p.table()
	case tokenFunction:
		p.advance()
		return &Closure{t.Pos, p.function(t.Pos, false)}
	default:
		return unwrap(p.access())
	}
	p.advance()
	return e
}

// unwrap takes the parentheses off a value for which they mean nothing.
func unwrap(e Expression) Expression {
	single, ok := e.(*Single)
	if !ok {
		return e
	}
	switch single.Value.(type) {
	case *Dots, *Access:
		return e
	}
	return single.Value
}

// access parses a name or a value in parentheses, with what follows it.
func (p *parser) access() Expression {
	at := p.token.Pos
	var base Expression
	switch p.token.kind {
	case tokenName:
		base = p.resolve(p.token)
		p.advance()
	case '(':
		p.advance()
		base = &Single{at, p.expression()}
		p.closing(')', '(', at)
	default:
		p.unexpected()
	}
	var steps []Step
	for {
		step, ok := p.step()
		if !ok {
			break
		}
		steps = grown(steps, step)
	}
	if steps == nil {
		return base
	}
	return &Access{at, base, steps}
}

func (p *parser) step() (s Step, ok bool) {
	s.Pos = p.token.Pos
	switch p.token.kind {
	case '.':
		p.advance()
		key := p.name()
		s.Key = &String{key.Pos, key.text}
	case '[':
		p.advance()
		s.Key = p.expression()
		p.expect(']')
	case ':':
		p.advance()
		key := p.name()
		s.Kind, s.Key = MethodCall, &String{key.Pos, key.text}
		s.Line = p.token.Line // an error names the line of the arguments
		s.Arguments = p.arguments()
	case '(', tokenString, '{':
		s.Kind = Call
		s.Arguments = p.arguments()
	default:
		return s, false
	}
	return s, true
}

func (p *parser) arguments() []Expression {
	at := p.token.Pos
	switch p.token.kind {
	case tokenString:
		s := &String{at, p.token.value}
		p.advance()
		return []Expression{s}
	case '{':
		return []Expression{p.table()}
	case '(':
		if at.Line != p.ended {
			fail(at, "ambiguous syntax (function call x new statement) near '('")
		}
		p.advance()
		if p.accept(')') {
			return nil
		}
		list := p.list()
		p.closing(')', '(', at)
		return list
	}
	fail(at, "function arguments expected near '%s'", p.token.near())
	return nil
}

func (p *parser) table() Expression {
	t := &Table{Pos: p.token.Pos}
	p.advance()
	for p.token.kind != '}' {
		f := Field{Pos: p.token.Pos}
		switch {
		case p.token.kind == '[':
			p.advance()
			f.Key = p.expression()
			p.expect(']')
			p.expect('=')
		case p.token.kind == tokenName && p.peek().kind == '=':
			f.Key = &String{p.token.Pos, p.token.text}
			p.advance()
			p.advance()
		}
		f.Value = p.expression()
		t.Fields = grown(t.Fields, f)
		if !p.accept(',') && !p.accept(';') {
			break
		}
	}
	t.EndLine = p.token.Line
	p.closing('}', '{', t.Pos)
	return t
}

// function parses parameters and body.
func (p *parser) function(at Pos, method bool) *Function {
	f := &Function{Pos: at}
	p.scope = &scope{outer: p.scope, function: f}
	if method {
		f.Params = append(f.Params, p.variable("self"))
	}
	p.expect('(')
	for p.token.kind != ')' {
		if p.accept(tokenDots) {
			f.Vararg = true
			break
		}
		f.Params = append(f.Params, p.variable(p.name().text))
		p.atMost(len(f.Params), MaxLocals, "local variables")
		if !p.accept(',') {
			break
		}
		if p.token.kind == ')' {
			fail(p.token.Pos, "<name> or '...' expected near ')'")
		}
	}
	if p.token.kind == '=' {
		fail(p.token.Pos, "')' expected near '=' (parameters have no default values: 'if a == nil then a = … end' in the function)")
	}
	p.expect(')')
	p.body(f, at)
	p.scope = p.scope.outer
	return f
}

// body parses a function's statements. The further arguments of a vararg
// function are the local "arg" too, as in Lua 5.1.
func (p *parser) body(f *Function, at Pos) {
	p.open(false)
	for _, v := range f.Params {
		p.declare(v)
	}
	if f.Vararg {
		f.Arg = p.variable("arg")
		p.bind(f.Arg)
	}
	f.Body = p.statements()
	if f.Vararg {
		p.forget(f.Arg)
	}
	p.close()
	f.EndLine = p.token.Line
	p.closing(tokenEnd, tokenFunction, at)
	if f.Arg != nil && !f.Arg.Used {
		f.Arg = nil
	}
}
