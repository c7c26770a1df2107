package syntax

// scope is what the parser knows of the function that it is in.
type scope struct {
	outer    *scope
	function *Function
	active   []*Variable // the visible ones, in order of declaration, without Arg
	block    *block      // the innermost
}

// block is what the parser knows of a block that it is in.
type block struct {
	outer  *block
	active int // how many variables were visible where it began
	loop   bool
	labels map[string]*Label
	gotos  map[string][]pendingGoto // that wait for a label
}

// open begins a block.
func (p *parser) open(loop bool) {
	p.scope.block = &block{outer: p.scope.block, active: len(p.scope.active), loop: loop}
}

// close ends the innermost block: its variables are not visible any more.
func (p *parser) close() {
	b := p.scope.block
	p.hide(b.active)
	p.scope.block = b.outer
	p.moveGotos(b)
}

// hide ends the visibility of all but the first variables of the function.
func (p *parser) hide(first int) {
	active := p.scope.active
	for i := len(active) - 1; i >= first; i-- {
		p.forget(active[i])
	}
	p.scope.active = active[:first]
}

func (p *parser) forget(v *Variable) {
	if v.shadowed == nil {
		delete(p.names, v.Name)
	} else {
		p.names[v.Name] = v.shadowed
	}
}

// variable makes a local variable that isn't visible yet.
func (p *parser) variable(name string) *Variable {
	return &Variable{Name: name, owner: p.scope.function}
}

// declare makes a variable visible.
func (p *parser) declare(v *Variable) {
	if len(p.scope.active) >= MaxLocals {
		p.tooMany(MaxLocals, "local variables")
	}
	p.scope.active = append(p.scope.active, v)
	p.bind(v)
}

func (p *parser) bind(v *Variable) {
	v.shadowed = p.names[v.Name]
	p.names[v.Name] = v
}

// tooMany fails because of a limit of a function.
func (p *parser) tooMany(limit int, what string) {
	f := p.scope.function
	if p.scope.outer == nil {
		fail(p.token.Pos, "main function has more than %d %s", limit, what)
	}
	fail(p.token.Pos, "function at line %d has more than %d %s", f.Line, limit, what)
}

// resolve says what a name means here.
func (p *parser) resolve(name token) *Name {
	v := p.names[name.text]
	if v != nil {
		v.Used = true
		v.Captured = v.Captured || v.owner != p.scope.function
	}
	return &Name{name.Pos, name.text, v}
}
