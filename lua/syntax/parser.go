package syntax

import (
	"fmt"
	"strings"
)

// parser is a recursive-descent parser with one token of look-ahead.
type parser struct {
	lexer    *lexer
	token    token // the current one
	ahead    token // the one after it, if peeked
	has      bool  // ahead is set
	ended    int32 // the line on which the token before the current one ended
	endLine  int32 // the current one
	elseIf   int32 // where the innermost "else if" is that hasn't ended; 0 is none
	aheadEnd int32 // the one ahead

	names map[string]*Variable // what each name of a local variable means here
	scope *scope
	depth int
}

// Parse reads a source. A first line that begins with # and a byte order mark
// are skipped. An error is an *Error.
func Parse(source []byte) (main *Function, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			wrong, ok := cause.(*Error)
			if !ok {
				panic(cause)
			}
			main, err = nil, wrong
		}
	}()
	p := &parser{lexer: newLexer(string(source)), names: map[string]*Variable{}}
	p.advance()
	main = &Function{Pos: Pos{1, 1}, Vararg: true}
	p.scope = &scope{function: main}
	main.Body = p.block(false)
	if p.token.kind != tokenEOF {
		p.missing(tokenEOF)
	}
	main.EndLine = p.token.Line
	return main, nil
}

// advance goes on to the next token.
func (p *parser) advance() {
	p.ended = p.endLine
	if p.has {
		p.token, p.endLine, p.has = p.ahead, p.aheadEnd, false
		return
	}
	p.token = p.lexer.next()
	p.endLine = p.lexer.line
}

// peek returns the token after the current one.
func (p *parser) peek() *token {
	if !p.has {
		p.ahead, p.has = p.lexer.next(), true
		p.aheadEnd = p.lexer.line
	}
	return &p.ahead
}

// accept takes a token of a kind if it is the current one.
func (p *parser) accept(k kind) bool {
	if p.token.kind != k {
		return false
	}
	p.advance()
	return true
}

func (p *parser) expect(k kind) {
	if !p.accept(k) {
		p.missing(k)
	}
}

// missing fails where a token of a kind should stand.
func (p *parser) missing(k kind) {
	fail(p.token.Pos, "'%s' expected near '%s'%s", k.spelling(), p.token.near(), p.hint(k))
}

// closing takes the token that ends what a token at a place began.
func (p *parser) closing(k, opening kind, at Pos) {
	if p.token.kind == k {
		p.advance()
		return
	}
	if at.Line == p.token.Line {
		p.missing(k)
	}
	fail(p.token.Pos, "'%s' expected (to close '%s' at line %d) near '%s'%s", k.spelling(), opening.spelling(), at.Line, p.token.near(), p.hint(k))
}

// hint guesses at what was meant.
func (p *parser) hint(expected kind) string {
	word := ""
	if p.token.kind == tokenName {
		word = strings.ToLower(p.token.text)
	}
	switch {
	case p.token.kind == '=' && (expected == tokenThen || expected == tokenDo || expected == ')'):
		return " (did you mean '=='?)"
	case word == "is" && (expected == tokenThen || expected == tokenDo):
		return " (did you mean '=='?)"
	case expected == tokenEnd && p.elseIf != 0:
		return fmt.Sprintf(" (did you mean 'elseif' at line %d?)", p.elseIf)
	case expected == tokenEOF && p.token.kind == tokenEnd:
		return " (one 'end' too many)"
	case p.token.kind == ':' && (expected == '}' || expected == tokenThen || expected == tokenDo):
		if expected == '}' {
			return " (did you mean '[…] = …'?)"
		}
		return " (did you mean '" + expected.spelling() + "'?)"
	case word == "elif" || word == "elsif":
		return " (did you mean 'elseif'?)"
	case word == "endif" || word == "fi":
		return " (did you mean 'end'?)"
	case p.token.kind == '{' && (expected == tokenThen || expected == tokenDo):
		return " (blocks begin with '" + expected.spelling() + "' and end with 'end')"
	}
	return ""
}

func (p *parser) unexpected() {
	hint := ""
	switch p.token.kind {
	case '{':
		hint = " (blocks have no braces: they end with 'end')"
	case '[':
		hint = " (lists are written { … })"
	case '~':
		hint = " (did you mean 'not', or '~='?)"
	case '<':
		hint = " (Lua 5.1 has no attributes of variables)"
	}
	fail(p.token.Pos, "unexpected symbol near '%s'%s", p.token.near(), hint)
}

// name takes a name.
func (p *parser) name() token {
	if p.token.kind != tokenName {
		fail(p.token.Pos, "'<name>' expected near '%s'", p.token.near())
	}
	t := p.token
	p.advance()
	return t
}

func (p *parser) enter() {
	if p.depth++; p.depth > MaxNesting {
		fail(p.token.Pos, "nested too deeply, expected at most %d levels", MaxNesting)
	}
}

func (p *parser) leave() { p.depth-- }

// blockEnds reports whether the current token ends a block.
func (p *parser) blockEnds() bool {
	switch p.token.kind {
	case tokenEOF, tokenEnd, tokenElse, tokenElseIf, tokenUntil:
		return true
	}
	return false
}

// block parses statements in a scope of their own, whose first variables are
// given.
func (p *parser) block(loop bool, variables ...*Variable) *Block {
	p.open(loop)
	for _, v := range variables {
		p.declare(v)
	}
	b := p.statements()
	p.close()
	return b
}

// statements parses the statements of a block that has been opened.
func (p *parser) statements() *Block {
	p.enter()
	b := &Block{}
	for !p.blockEnds() {
		if p.token.kind == tokenLabel {
			b.Statements = append(b.Statements, p.labels()...)
			continue
		}
		if p.accept(';') { // Lua 5.1 wants a statement before it
			continue
		}
		s, last := p.statement()
		b.Statements = grown(b.Statements, s)
		p.accept(';')
		if last {
			break
		}
	}
	b.EndLine = p.token.Line
	p.leave()
	return b
}
