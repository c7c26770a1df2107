package modules

import (
	"fmt"
	"strings"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// The bounds of templates.
const (
	templateMaxText     = 256 << 10 // bytes of a text, and of all parts together that one is made of
	templateMaxNodes    = 10_000
	templateMaxDepth    = 50  // sections and parts within each other
	templateMaxName     = 256 // bytes
	templateMaxPartials = 100
)

// openTemplate makes the module template: texts with values in them, which are escaped
// by where they stand in the HTML. The syntax is Mustache's:
//
//	{{ name }}, {{ user.name }}, {{ . }}   a value, escaped
//	{{{ html }}}, {{& html }}              a value as it is
//	{{# list }} … {{/ list }}              for each element; or once, where it is true
//	{{^ list }} … {{/ list }}              where it is nil, false or empty
//	{{! a remark }}                        nothing
//	{{> part }}                            one of the option partials
func openTemplate(L *glua.LState, _ *Tenant) *glua.LTable {
	return L.SetFuncs(L.CreateTable(0, 1), map[string]glua.LGFunction{
		"compile": templateCompile, "render": templateRenderText, "escape": templateEscape,
	})
}

// textTemplate is a compiled template. It doesn't change.
type textTemplate struct {
	nodes  []templateNode
	strict bool
	bytes  int
}

// Size is vm.Sized's.
func (t *textTemplate) Size() int { return t.bytes }

// templateNode is a piece of a template.
type templateNode struct {
	kind   templateKind
	escape templateEscaping // of a value
	raw    bool             // it is written as it is
	quote  byte             // around the URL that a value is a part of
	host   bool             // the template itself says where that URL's host is
	named  bool             // and what it begins with
	at     templatePlace    // of a text, where it ends
	text   string           // as it is written
	path   []string         // of a value or a section; empty is the current one
	body   []templateNode
}

type templateKind uint8

// The kinds of nodes.
const (
	templateText templateKind = iota
	templateValue
	templateSection
	templateInverted
)

// templatePlace is where a node stands: in which text, line and column, from 1.
type templatePlace struct {
	part         string // "" is the template itself
	line, column int
}

func (p templatePlace) String() string {
	if p.part != "" {
		return fmt.Sprintf("%s:%d:%d", p.part, p.line, p.column)
	}
	return fmt.Sprintf("%d:%d", p.line, p.column)
}

// templateVM is what the module keeps in each VM.
type templateVM struct{ meta *glua.LTable }

func newTemplateVM(L *glua.LState) *templateVM {
	methods := L.SetFuncs(L.CreateTable(0, 1), map[string]glua.LGFunction{"render": templateRender})
	state := &templateVM{meta: L.CreateTable(0, 1)}
	state.meta.RawSetString("__index", vm.Freeze(L, "a template", methods))
	state.meta.RawSetString("__metatable", glua.LFalse)
	state.meta.RawSetString("__tostring", L.NewFunction(func(L *glua.LState) int {
		L.Push(glua.LString("template"))
		return 1
	}))
	return state
}

// template.compile(text, options?) -> template: a text, read once. What is wrong with it
// is raised with line and column. Options: escape is "html" (the default) or "none", for
// what is no HTML; strict raises names that the data doesn't have, which are empty
// otherwise; partials is a table of texts by names.
func templateCompile(L *glua.LState) int {
	t := templateCompiled(L, 1, 2)
	ud := L.NewUserData()
	ud.Value, ud.Metatable = t, perVM(L, "keystone.template", newTemplateVM).meta
	L.Push(ud)
	return 1
}

// template.render(text, data, options?) -> string: compiles a text and renders it, once.
func templateRenderText(L *glua.LState) int {
	t := templateCompiled(L, 1, 3)
	return t.push(L, L.Get(2))
}

// template:render(data) -> string: the text with the values of a table in it.
func templateRender(L *glua.LState) int {
	ud, ok := L.Get(1).(*glua.LUserData)
	if ok {
		if t, ok := ud.Value.(*textTemplate); ok {
			return t.push(L, L.Get(2))
		}
	}
	vm.ArgError(L, 1, "template expected")
	return 0
}

// templateCompiled compiles the text that is argument n, with options.
func templateCompiled(L *glua.LState, n, optionsAt int) *textTemplate {
	text := vm.CheckString(L, n)
	o := checkOptions(options{L: L, arg: optionsAt, table: vm.OptTable(L, optionsAt, nil)}, []string{"escape", "strict", "partials"})
	p := &templateParser{L: L, run: vm.RunOf(L), partials: map[string]string{}}
	switch escape, _ := o.text("escape"); escape {
	case "", "html":
		p.html = true
	case "none":
	default:
		o.fail(`escape is %q, expected "html" or "none"`, vm.Clip(escape))
	}
	o.pairs("partials", templateMaxPartials, func(key string, values []string) {
		if len(values) != 1 || len(key) > templateMaxName {
			o.fail("partials must be a table of texts by names")
		}
		p.partials[strings.Clone(key)] = values[0]
	})
	nodes, err := p.parse(text)
	if err != nil {
		vm.ArgError(L, n, err.Error())
	}
	return &textTemplate{nodes: nodes, strict: o.boolean("strict"), bytes: 256 + p.bytes}
}

// template.escape(text) -> string: the text as it may stand in HTML, between tags and in
// quoted attributes.
func templateEscape(L *glua.LState) int {
	w := &templateWriter{L: L, run: vm.RunOf(L)}
	w.html(vm.CheckString(L, 1))
	L.Push(w.result())
	return 1
}

// push renders the template and pushes the result.
func (t *textTemplate) push(L *glua.LState, data glua.LValue) int {
	w := &templateWriter{L: L, run: vm.RunOf(L), strict: t.strict}
	w.run.Charge(L, 256)
	w.scopes = append(w.scopes, data)
	w.nodes(t.nodes)
	L.Push(w.result())
	return 1
}

// templateWriter renders a template. It is used once.
type templateWriter struct {
	L      *glua.LState
	run    *vm.Run
	strict bool
	scopes []glua.LValue // of the sections around, the innermost one last
	out    []byte
	spent  int // instructions that aren't counted yet
}

func (w *templateWriter) result() glua.LString {
	w.run.Spend(w.L, w.spent)
	w.run.ChargeString(w.L, len(w.out))
	return glua.LString(w.out)
}

// grow makes room for n bytes more, which are charged before they are there.
func (w *templateWriter) grow(n int) {
	need := len(w.out) + n
	if need > cap(w.out) {
		w.run.CheckString(w.L, need)
		more := max(need, 2*cap(w.out), 256) - len(w.out)
		w.run.Charge(w.L, len(w.out)+more)
		grown := make([]byte, 0, len(w.out)+more)
		for rest := w.out; len(rest) > 0; { // a part at a time: the collector waits for who copies
			part := rest[:min(len(rest), templateChunk)]
			grown, rest = append(grown, part...), rest[len(part):]
			w.work(len(part) / 64)
		}
		w.out = grown
	}
}

// work counts instructions, and has them paid now and then.
func (w *templateWriter) work(n int) {
	if w.spent += n; w.spent >= templatePay {
		w.run.Spend(w.L, w.spent)
		w.spent = 0
	}
}

// templatePay is after how many instructions they are counted on the run.
const templatePay = 100

// write appends text, a part at a time.
func (w *templateWriter) write(text string) {
	w.grow(len(text))
	for len(text) > templateChunk {
		w.out = append(w.out, text[:templateChunk]...)
		text = text[templateChunk:]
		w.work(templateChunk / 64)
	}
	w.out = append(w.out, text...)
	w.work(2 + len(text)/64)
}

// templateChunk is how many bytes are written between two looks at the budget.
const templateChunk = 16 << 10

func (w *templateWriter) nodes(list []templateNode) {
	for i := range list {
		n := &list[i]
		switch n.kind {
		case templateText:
			w.write(n.text)
		case templateValue:
			w.value(n)
		case templateSection:
			w.section(n)
		case templateInverted:
			if w.work(3); isFalse(w.L, w.lookup(n)) {
				w.nodes(n.body)
			}
		}
	}
}

// value writes one value.
func (w *templateWriter) value(n *templateNode) {
	w.work(5)
	switch v := w.lookup(n).(type) {
	case glua.LString:
		w.escaped(string(v), n)
	case glua.LNumber:
		w.run.Charge(w.L, 32)
		w.escaped(vm.NumberText(v), n)
	case glua.LBool:
		w.escaped(v.String(), n)
	case *glua.LNilType:
		w.escaped("", n)
	case *glua.LUserData:
		if digits, ok := v.Value.(jsonBig); ok {
			w.escaped(string(digits), n)
			return
		}
		if v != jsonOf(w.L).null {
			w.wrong(n, "is a userdata, expected text")
		}
		w.escaped("", n)
	default:
		w.wrong(n, "is a "+v.Type().String()+", expected text")
	}
}

func (w *templateWriter) wrong(n *templateNode, what string) {
	name := strings.Join(n.path, ".")
	if name == "" {
		name = "."
	}
	w.L.RaiseError("template %s: %s %s", n.at, vm.Clip(name), what)
}

// section writes its body for each element of a list, or once.
func (w *templateWriter) section(n *templateNode) {
	v := w.lookup(n)
	if w.work(5); isFalse(w.L, v) {
		return
	}
	t, ok := v.(*glua.LTable)
	if !ok || plain(t).RawGetInt(1) == glua.LNil {
		w.within(n, v)
		return
	}
	t = plain(t)
	for i := 1; ; i++ {
		element := t.RawGetInt(i)
		if w.work(5); element == glua.LNil {
			return
		}
		w.within(n, element)
	}
}

func (w *templateWriter) within(n *templateNode, scope glua.LValue) {
	w.scopes = append(w.scopes, scope)
	w.nodes(n.body)
	w.scopes = w.scopes[:len(w.scopes)-1]
}

// isFalse reports whether a section isn't rendered for a value: nil, false, json.null,
// and a table in which there is nothing.
func isFalse(L *glua.LState, v glua.LValue) bool {
	switch v := v.(type) {
	case *glua.LTable:
		key, _ := vm.Next(L, plain(v), glua.LNil)
		return key == glua.LNil
	case *glua.LUserData:
		return v == jsonOf(L).null
	}
	return !glua.LVAsBool(v)
}

// lookup finds a value by its name: the first part in the innermost section that has it,
// the others in what that leads to. Metatables don't count.
func (w *templateWriter) lookup(n *templateNode) glua.LValue {
	if len(n.path) == 0 {
		return w.scopes[len(w.scopes)-1]
	}
	v := glua.LNil
	for i := len(w.scopes) - 1; i >= 0 && v == glua.LNil; i-- {
		v = w.field(w.scopes[i], n.path[0])
	}
	for _, name := range n.path[1:] {
		v = w.field(v, name)
	}
	if w.strict && v == glua.LNil && n.kind == templateValue {
		w.wrong(n, "is missing")
	}
	return v
}

// field is what a table has under a name; "1" is its first element too.
func (w *templateWriter) field(of glua.LValue, name string) glua.LValue {
	w.work(2)
	t, ok := of.(*glua.LTable)
	if !ok {
		return glua.LNil
	}
	t = plain(t)
	if v := t.RawGetString(name); v != glua.LNil || name[0] < '0' || name[0] > '9' {
		return v
	}
	if i, ok := templateIndex(name); ok {
		return t.RawGetInt(i)
	}
	return glua.LNil
}

// templateIndex reads a name as a position.
func templateIndex(name string) (i int, ok bool) {
	if len(name) > 6 {
		return 0, false
	}
	for _, c := range []byte(name) {
		if c < '0' || c > '9' {
			return 0, false
		}
		i = 10*i + int(c-'0')
	}
	return i, true
}
