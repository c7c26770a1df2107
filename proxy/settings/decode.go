package settings

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Decode lays the YAML document src over into, a pointer to a struct that
// already holds the defaults. It reads on after errors, leaving what it can't
// read as it was; the returned Document holds them all. The caller runs the
// Check methods with the Document as their Reporter and then asks Err. file is
// only used in messages. getenv is asked for ${NAME}; nil means that no name is
// set. ${file:PATH} is refused: see DecodeWith. Whatever src holds, Decode ends and doesn't panic; it panics only when
// into isn't such a pointer or has a field of a kind that it can't fill.
//
// It takes at most 16 MiB, 100 levels and 10,000 keys in a block mapping;
// aliases and merges (<<) may add some million values to those written.
func Decode(file string, src []byte, into any, getenv func(name string) (string, bool)) *Document {
	return DecodeWith(file, src, into, Variables{Env: getenv})
}

// DecodeWith is Decode with more that values can be made of.
func DecodeWith(file string, src []byte, into any, vars Variables) *Document {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		panic(fmt.Sprintf("BUG: settings.Decode into %T: expected a pointer to a struct", into))
	}
	doc := &Document{file: file, root: into, marks: map[any]mark{}, seen: map[Error]int{}, counts: map[element]int{}}
	root, problem := parse(src)
	if problem != nil {
		doc.broken = true
		doc.add(element{}, problem.at, problem.message)
		return doc
	}
	if root == nil {
		return doc
	}
	found := surveyOf(root)
	for _, f := range found.faults {
		doc.add(element{}, f.at, f.message)
	}
	d := &decoder{doc: doc, vars: &vars, targets: found.targets, shapes: map[reflect.Type]*shape{}}
	d.budget = 2*found.nodes + maxExpanded // a pointer and what it points to count twice
	d.value(root, v.Elem(), &place{at: position{1, 1}})
	doc.broken = doc.marks[into].failed
	return doc
}

// decoder walks the document and the struct together.
type decoder struct {
	doc     *Document
	vars    *Variables
	targets map[*ast.AliasNode]ast.Node
	shapes  map[reflect.Type]*shape
	budget  int                 // values that may still be visited
	homes   map[string][]string // of each key the sections that have it; see survey
}

// value decodes n into v, which is addressable.
func (d *decoder) value(n ast.Node, v reflect.Value, p *place) {
	if !d.spend(p) {
		return
	}
	n, ok := d.resolve(n)
	if !ok {
		d.doc.mark(v, p.at, true)
		d.doc.markFailed(v)
		return
	}
	null := isNull(n)
	d.doc.mark(v, p.at, !null)
	if null {
		if v.Kind() == reflect.Pointer && !v.IsNil() {
			d.doc.mark(v.Elem(), p.at, false)
		}
		return
	}
	switch kind := v.Kind(); {
	case kind == reflect.Pointer:
		if v.IsNil() {
			v.Set(fresh(v.Type().Elem()).Addr())
		}
		d.value(n, v.Elem(), p)
	case textual(v.Type()):
		d.text(n, v, p)
	case kind == reflect.Struct:
		d.section(n, v, p)
	case kind == reflect.Slice:
		d.list(n, v, p)
	case kind == reflect.Map:
		d.table(n, v, p)
	default:
		d.scalar(n, v, p)
	}
}

// section decodes a mapping into a struct.
func (d *decoder) section(n ast.Node, v reflect.Value, p *place) {
	s := d.shape(v.Type())
	if _, ok := scalarText(n); ok && isByName(v.Type()) {
		d.named(n, v, p)
		return
	}
	if !isMapping(n) {
		d.fail(v, p, "expected a mapping with the keys %s, got %s%s", listed(s.keys), describe(n, p), d.insteadOfShape(n, v.Type(), p))
		return
	}
	p.section = v
	if s.secrets >= 0 {
		p.secrets, _ = v.Field(s.secrets).Addr().Interface().(*Secrets)
	}
	for _, e := range d.entries(n, p) {
		f := s.byKey[e.key]
		if f == nil {
			d.unknownKey(e, s.keys, v, p)
			continue
		}
		d.value(e.value, v.FieldByIndex(f.index), p.child(e, f))
	}
}

// list decodes a sequence into a slice. The elements get their final addresses
// before they are decoded, because positions are kept by address.
func (d *decoder) list(n ast.Node, v reflect.Value, p *place) {
	values, ok := elements(n, p)
	if !ok {
		d.fail(v, p, "expected %s, got %s%s", wantedList(p.field), describe(n, p), d.insteadOfShape(n, v.Type(), p))
		return
	}
	out := reflect.MakeSlice(v.Type(), len(values), len(values))
	v.Set(out)
	for i, element := range values {
		at := p.element(i, element)
		target := out.Index(i)
		target.Set(fresh(target.Type()))
		if inner, ok := d.resolve(element); ok && isNull(inner) {
			d.doc.mark(target, at.at, false)
			d.fail(target, at, "expected %s, got nothing", wanted(target.Type(), nil))
			continue
		}
		d.value(element, target, at)
	}
}

// elements returns the values of a list, which a text is too where its key says
// so.
func elements(n ast.Node, p *place) ([]ast.Node, bool) {
	if sequence, ok := n.(*ast.SequenceNode); ok {
		return sequence.Values, true
	}
	if _, ok := scalarText(n); ok && p.field != nil && p.field.single && !p.isElement() {
		return []ast.Node{n}, true
	}
	return nil, false
}

func wantedList(f *field) string {
	if f != nil && f.single {
		return "a text or a list"
	}
	return "a list"
}

// table decodes a mapping into a map with string keys, over a copy of its
// default.
func (d *decoder) table(n ast.Node, v reflect.Value, p *place) {
	if !isMapping(n) {
		d.fail(v, p, "expected a mapping, got %s", describe(n, p))
		return
	}
	out := reflect.MakeMap(v.Type())
	for it := v.MapRange(); it.Next(); {
		out.SetMapIndex(it.Key(), it.Value())
	}
	for _, e := range d.entries(n, p) {
		name := reflect.ValueOf(e.key).Convert(v.Type().Key())
		element := fresh(v.Type().Elem())
		if old := out.MapIndex(name); old.IsValid() {
			element.Set(old)
		}
		d.value(e.value, element, p.child(e, p.field))
		out.SetMapIndex(name, element)
	}
	v.Set(out)
}

// fail reports that v can't be decoded and silences what a check would add.
func (d *decoder) fail(v reflect.Value, p *place, format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	if path := p.String(); path != "" {
		message = path + ": " + message
	}
	d.doc.add(p.within(), p.at, message)
	d.doc.markFailed(v)
	d.blame(p)
}

// spend bounds the work that aliases can ask for.
func (d *decoder) spend(p *place) bool {
	d.budget--
	if d.budget == 0 || p.depth > 2*maxDepth {
		d.doc.add(p.within(), p.at, fmt.Sprintf("aliases expand to too much: expected at most %d values and %d levels more than the file holds",
			maxExpanded, maxDepth))
	}
	return d.budget > 0 && p.depth <= 2*maxDepth
}

func (d *decoder) shape(t reflect.Type) *shape {
	s := d.shapes[t]
	if s == nil {
		s = shapeOf(t)
		d.shapes[t] = s
	}
	return s
}

// listed joins keys for a message, the first dozen of them.
func listed(keys []string) string {
	const most = 12
	if len(keys) > most {
		return strings.Join(keys[:most], ", ") + ", …"
	}
	return strings.Join(keys, ", ")
}
