package settings

import (
	"fmt"
	"reflect"
)

// Section is a section for Inherit: a pointer to its struct, and where what it
// has from files is noted: the field of the struct around it, and the way from
// there, as in "services[0].tls".
type Section struct {
	Value   any
	Secrets *Secrets
	Path    string
}

// Inherit gives the inner section the outer one's value of each key that the file
// doesn't give it itself, section by section; a list or a map is one value. Both
// are of one type and have been decoded. It is called before the checks, which
// then report an inherited value where it was written.
func (d *Document) Inherit(inner, outer Section) {
	to, from := reflect.ValueOf(inner.Value), reflect.ValueOf(outer.Value)
	if to.Kind() != reflect.Pointer || to.Type() != from.Type() {
		panic(fmt.Sprintf("BUG: a %T inherits from a %T: expected pointers to structs of one type", inner.Value, outer.Value))
	}
	d.inherit(to.Elem(), from.Elem(), inner, outer)
}

func (d *Document) inherit(to, from reflect.Value, inner, outer Section) {
	for _, f := range fieldsOf(to.Type()) {
		mine, theirs := to.FieldByIndex(f.index), from.FieldByIndex(f.index)
		below, above := inner, outer
		below.Path, above.Path = keyPath(inner.Path, f.key), keyPath(outer.Path, f.key)
		if mine.Kind() == reflect.Struct && !textual(mine.Type()) {
			d.inherit(mine, theirs, below, above)
			continue
		}
		if d.Has(mine.Addr().Interface()) {
			continue
		}
		mine.Set(theirs)
		if m, ok := d.marks[theirs.Addr().Interface()]; ok {
			m.written = false
			d.marks[mine.Addr().Interface()] = m
		}
		if outer.Secrets != nil && inner.Secrets != nil {
			inherited(*outer.Secrets, above.Path, inner.Secrets, below.Path)
		}
	}
}

// inherited notes what of a value, or within it, has come from files.
func inherited(from Secrets, outer string, to *Secrets, inner string) {
	for path := range from {
		if len(path) < len(outer) || path[:len(outer)] != outer || len(path) > len(outer) && path[len(outer)] != '.' && path[len(outer)] != '[' {
			continue
		}
		if *to == nil {
			*to = Secrets{}
		}
		(*to)[inner+path[len(outer):]] = true
	}
}
