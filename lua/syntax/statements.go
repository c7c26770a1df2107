package syntax

// statement parses one statement; last reports that it must be a block's last.
func (p *parser) statement() (s Statement, last bool) {
	at := p.token.Pos
	switch p.token.kind {
	case tokenIf:
		return p.ifStatement(at), false
	case tokenWhile:
		p.advance()
		condition := p.expression()
		p.expect(tokenDo)
		body := p.block(true)
		p.closing(tokenEnd, tokenWhile, at)
		return &While{at, condition, body}, false
	case tokenDo:
		p.advance()
		body := p.block(false)
		p.closing(tokenEnd, tokenDo, at)
		return &Do{at, body}, false
	case tokenFor:
		return p.forStatement(at), false
	case tokenRepeat:
		return p.repeatStatement(at), false
	case tokenFunction:
		return p.defineFunction(at), false
	case tokenLocal:
		p.advance()
		if p.accept(tokenFunction) {
			return p.localFunction(at), false
		}
		return p.local(at), false
	case tokenReturn:
		p.advance()
		r := &Return{Pos: at}
		if !p.blockEnds() && p.token.kind != ';' {
			r.Values = p.list()
		}
		return r, true
	case tokenBreak:
		p.advance()
		for b := p.scope.block; ; b = b.outer {
			if b == nil {
				fail(at, "no loop to break near '%s'", p.token.near())
			}
			if b.loop {
				return &Break{at}, true
			}
		}
	case tokenName:
		// Not a keyword of Lua 5.1, where no name follows a name.
		if p.token.text == "goto" && p.peek().kind == tokenName {
			p.advance()
			return p.gotoStatement(at), false
		}
	}
	return p.expressionStatement(at), false
}

// ifStatement parses if with its elseifs, which are a list.
func (p *parser) ifStatement(at Pos) Statement {
	s := &If{Pos: at}
	for {
		c := Clause{Pos: p.token.Pos}
		p.advance()
		c.Condition = p.expression()
		p.expect(tokenThen)
		c.Body = p.block(false)
		s.Clauses = grown(s.Clauses, c)
		if p.token.kind != tokenElseIf {
			break
		}
	}
	if line := p.token.Line; p.accept(tokenElse) {
		outer := p.elseIf
		if p.token.kind == tokenIf && p.token.Line == line {
			p.elseIf = line
		}
		s.Else = p.block(false)
		defer func() { p.elseIf = outer }()
	}
	p.closing(tokenEnd, tokenIf, at)
	return s
}

func (p *parser) forStatement(at Pos) Statement {
	p.advance()
	first := p.name()
	switch p.token.kind {
	case '=':
		p.advance()
		s := &NumericFor{Pos: at, Variable: p.variable(first.text)}
		s.Start = p.expression()
		p.expect(',')
		s.Limit = p.expression()
		if p.accept(',') {
			s.Step = p.expression()
		}
		s.Body = p.forBody(at, s.Variable)
		return s
	case ',', tokenIn:
		s := &GenericFor{Pos: at, Variables: []*Variable{p.variable(first.text)}}
		for p.accept(',') {
			s.Variables = append(s.Variables, p.variable(p.name().text))
			p.atMost(len(s.Variables), MaxLocals, "local variables")
		}
		p.expect(tokenIn)
		s.From = p.token.Pos
		s.Values = p.list()
		s.Body = p.forBody(at, s.Variables...)
		return s
	}
	fail(p.token.Pos, "'=' or 'in' expected near '%s'", p.token.near())
	return nil
}

func (p *parser) forBody(at Pos, variables ...*Variable) *Block {
	p.expect(tokenDo)
	body := p.block(true, variables...)
	p.closing(tokenEnd, tokenFor, at)
	return body
}

func (p *parser) repeatStatement(at Pos) Statement {
	p.advance()
	p.open(true)
	s := &Repeat{Pos: at, Body: p.statements()}
	p.closing(tokenUntil, tokenRepeat, at)
	s.Condition = p.expression() // sees the body's variables
	p.close()
	return s
}

// defineFunction parses "function a.b.c:d".
func (p *parser) defineFunction(at Pos) Statement {
	p.advance()
	name := p.name()
	target := Expression(p.resolve(name))
	path, method := name.text, false
	for !method && (p.token.kind == '.' || p.token.kind == ':') {
		method = p.token.kind == ':'
		path += string(rune(p.token.kind))
		step := Step{Pos: p.token.Pos, Kind: Index}
		p.advance()
		key := p.name()
		if path += key.text; len(path) > maxNear {
			path = key.text
		}
		step.Key = &String{key.Pos, key.text}
		access, ok := target.(*Access)
		if !ok {
			access = &Access{Pos: name.Pos, Base: target}
			target = access
		}
		access.Steps = append(access.Steps, step)
	}
	f := p.function(at, method)
	f.Name = path
	return &DefineFunction{at, target, f}
}

func (p *parser) localFunction(at Pos) Statement {
	name := p.name()
	if p.token.kind == '.' || p.token.kind == ':' {
		fail(p.token.Pos, "'(' expected near '%s' (a local function has a plain name: did you mean 'function'?)", p.token.near())
	}
	v := p.variable(name.text)
	p.declare(v)
	f := p.function(at, false)
	f.Name = name.text
	return &LocalFunction{at, v, f}
}

func (p *parser) local(at Pos) Statement {
	s := &Local{Pos: at}
	for {
		s.Variables = append(s.Variables, p.variable(p.name().text))
		p.atMost(len(s.Variables), MaxLocals, "local variables")
		if !p.accept(',') {
			break
		}
	}
	if p.accept('=') {
		s.Values = p.list()
	}
	for _, v := range s.Variables {
		p.declare(v)
	}
	return s
}

func (p *parser) atMost(n, limit int, what string) {
	if n > limit {
		p.tooMany(limit, what)
	}
}

// expressionStatement parses a call or an assignment.
func (p *parser) expressionStatement(at Pos) Statement {
	first := p.access()
	if call, ok := first.(*Access); ok && call.Steps[len(call.Steps)-1].Kind != Index {
		return &CallStatement{at, call}
	}
	s := &Assign{Pos: at, Targets: []Expression{p.target(first)}}
	for p.accept(',') {
		s.Targets = append(s.Targets, p.target(p.access()))
		if len(s.Targets) > MaxTargets {
			fail(p.token.Pos, "too many variables in one assignment, expected at most %d", MaxTargets)
		}
	}
	if p.token.kind != '=' {
		fail(p.token.Pos, "'=' expected near '%s'%s", p.token.near(), p.statementHint(first))
	}
	p.advance()
	s.Values = p.list()
	return s
}

// target fails unless an expression can be assigned to.
func (p *parser) target(e Expression) Expression {
	switch e := e.(type) {
	case *Name:
		return e
	case *Access:
		if e.Steps[len(e.Steps)-1].Kind == Index {
			return e
		}
	}
	fail(p.token.Pos, "syntax error near '%s'", p.token.near())
	return nil
}

// statementHint guesses at what was meant by a value that stands alone.
func (p *parser) statementHint(e Expression) string {
	name, ok := e.(*Name)
	if !ok || name.Variable != nil {
		return ""
	}
	if p.token.kind == tokenEqual {
		return " (did you mean '='?)"
	}
	switch name.Name {
	case "elif", "elsif":
		return " (did you mean 'elseif'?)"
	case "const", "let", "var":
		return " (did you mean 'local'?)"
	case "continue":
		return " (Lua has no continue: 'goto' and a label at the loop's end do it)"
	case "try":
		return " (did you mean 'pcall(function() … end)'?)"
	case "switch", "case", "match":
		return " (did you mean 'if … elseif … end'?)"
	case "import", "include", "use", "from":
		return " (did you mean 'local name = require \"name\"'?)"
	case "foreach":
		return " (did you mean 'for key, value in pairs(t) do'?)"
	case "unless":
		return " (did you mean 'if not'?)"
	case "class", "interface", "struct", "enum":
		return " (Lua has no classes: a table with a metatable does it)"
	case "async", "await", "new", "public", "private", "static", "export":
		return " (Lua has no '" + name.Name + "')"
	case "func", "fn", "def":
		return " (did you mean 'function'?)"
	}
	return ""
}
