package syntax

// pendingGoto is a goto whose label hasn't been seen yet.
type pendingGoto struct {
	statement *Goto
	name      string
	active    int // how many variables are visible there, in the block that it waits in
}

// gotoStatement parses what follows goto. The label may stand in the same
// block or in one around it, within the function.
func (p *parser) gotoStatement(at Pos) Statement {
	name := p.name()
	s := &Goto{Pos: at}
	b := p.scope.block
	if label := b.labels[name.text]; label != nil {
		s.Label = label
		return s
	}
	if b.gotos == nil {
		b.gotos = map[string][]pendingGoto{}
	}
	b.gotos[name.text] = append(b.gotos[name.text], pendingGoto{s, name.text, len(p.scope.active)})
	return s
}

// labels parses labels that stand one after the other.
func (p *parser) labels() (list []Statement) {
	for p.token.kind == tokenLabel {
		at := p.token.Pos
		p.advance()
		name := p.name()
		p.expect(tokenLabel)
		for p.accept(';') { // a statement that does nothing
		}
		b := p.scope.block
		if old := b.labels[name.text]; old != nil {
			fail(name.Pos, "label '%s' already defined on line %d", clip(name.text), old.Line)
		}
		if b.labels == nil {
			b.labels = map[string]*Label{}
		}
		label := &Label{Pos: at, Name: name.text, Active: len(p.scope.active), Place: -1}
		b.labels[name.text] = label
		list = append(list, label)
	}
	for _, s := range list {
		label := s.(*Label) //nolint:forcetypeassert // all are
		if p.blockEnds() && p.token.kind != tokenUntil {
			label.Active = p.scope.block.active // nothing follows that could use the variables
		}
		p.reach(label)
	}
	return list
}

// reach gives a label to the gotos of its block that wait for it.
func (p *parser) reach(label *Label) {
	b := p.scope.block
	for _, g := range b.gotos[label.Name] {
		if g.active < label.Active {
			v := p.scope.active[g.active]
			fail(g.statement.Pos, "<goto %s> jumps into the scope of local '%s'", clip(g.name), clip(v.Name))
		}
		g.statement.Label = label
	}
	delete(b.gotos, label.Name)
}

// moveGotos hands the gotos that wait in a block that has ended to the one
// around it.
func (p *parser) moveGotos(b *block) {
	if len(b.gotos) == 0 {
		return
	}
	outer := b.outer
	if outer == nil {
		var first *pendingGoto
		for _, list := range b.gotos {
			if g := &list[0]; first == nil || before(g.statement.Pos, first.statement.Pos) {
				first = g
			}
		}
		fail(first.statement.Pos, "no visible label '%s' for <goto>", clip(first.name))
	}
	if outer.gotos == nil {
		outer.gotos = make(map[string][]pendingGoto, min(len(b.gotos), maxAwaited))
	}
	for name, list := range b.gotos {
		if label := outer.labels[name]; label != nil { // before the block, which has none of the name
			for i := range list {
				list[i].statement.Label = label
			}
			continue
		}
		for i := range list {
			list[i].active = min(list[i].active, b.active)
		}
		if outer.gotos[name] == nil {
			if len(outer.gotos) >= maxAwaited {
				fail(list[0].statement.Pos, "more than %d labels are awaited by gotos", maxAwaited)
			}
			outer.gotos[name] = list
		} else {
			outer.gotos[name] = append(outer.gotos[name], list...)
		}
	}
}

func before(a, b Pos) bool {
	return a.Line < b.Line || a.Line == b.Line && a.Column < b.Column
}
