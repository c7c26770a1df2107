package settings

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"sort"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
)

// Document remembers where each field of a decoded struct stands in its file and
// collects what is wrong with it. It holds on to the decoded struct and is not
// safe for concurrent use.
type Document struct {
	file    string
	root    any
	marks   map[any]mark // by pointer to the field; the type tells a struct from its first field
	regions []region
	indexed bool // regions are sorted and know their parents
	broken  bool // nothing was decoded, so that checks would report only noise

	findings []finding
	unknown  []Unknown
	seen     map[Error]int   // index into findings
	counts   map[element]int // findings of each
	redactor Redactor        // of what files have given
}

// element is one element of a list that stands at the top of the document; the
// zero value is everything else.
type element struct {
	key   string
	index int
}

// finding is one error and what it is about: an error in a block that aliases
// repeat is about each element that has the block.
type finding struct {
	Error
	about []element
}

// mark is what the file says about one field.
type mark struct {
	at      position
	written bool // a value other than null
	failed  bool // an error was reported; the field kept its default
	secret  bool // the value has come from a file
}

// region is the memory of a decoded struct: what lies in it and isn't marked
// gets the struct's own position.
type region struct {
	from, to uintptr
	at       position
	parent   int // index of the enclosing region, -1 for none
}

// Errorf reports field as wrong, at its position: that of its value, of its key
// where the value is a block list or mapping, else of the nearest struct around
// it that the file holds, else line 1. field is a pointer into the decoded
// struct. It is ignored for a field that could not be decoded, and for all
// fields when the file isn't YAML at all: one error is enough.
func (d *Document) Errorf(field any, format string, args ...any) {
	d.errorf(element{}, field, format, args...)
}

func (d *Document) errorf(about element, field any, format string, args ...any) {
	if d.broken || d.marks[key(field)].failed {
		return
	}
	own := d.marks[key(field)].secret
	for i, arg := range args {
		err, isError := arg.(error)
		switch {
		case own && (isError || reflect.ValueOf(arg).Kind() == reflect.String):
			args[i] = withheld // it may be any part of the value, in any form
		case isError:
			args[i] = cause.Of(err) // no library's words
		}
	}
	d.add(about, d.locate(field), d.redact(fmt.Sprintf(format, args...), own))
}

// Within returns a Reporter of findings about one element of the list that
// stands at the top of the document under a key.
func (d *Document) Within(key string, index int) Reporter { return reporter{d, element{key, index}} }

type reporter struct {
	d     *Document
	about element
}

func (w reporter) Errorf(field any, format string, args ...any) {
	w.d.errorf(w.about, field, format, args...)
}

// Split returns what was reported about each element of the list under a key at
// the top of the document, by index, and all the rest. What was found while the
// document was decoded counts as about the element in which it was found.
func (d *Document) Split(key string) (own map[int]Errors, rest Errors) {
	own = map[int]Errors{}
	for _, f := range d.findings {
		others := false
		for _, e := range f.about {
			if e.key == key {
				own[e.index] = append(own[e.index], f.Error)
			} else {
				others = true
			}
		}
		if others {
			rest = append(rest, f.Error)
		}
	}
	for i := range own {
		own[i] = own[i].sorted()
	}
	return own, rest.sorted()
}

// Has tells whether the file gives field, a pointer into the decoded struct, a
// value other than null.
func (d *Document) Has(field any) bool {
	return d.marks[key(field)].written
}

// Secret tells whether the value of field, as Has takes it, has come from a file.
func (d *Document) Secret(field any) bool { return d.marks[key(field)].secret }

// Position returns where Errorf would report field, both from 1.
func (d *Document) Position(field any) (line, column int) {
	at := d.locate(field)
	return at.line, at.column
}

// Err returns nil, or all that was reported so far as Errors.
func (d *Document) Err() error {
	if len(d.findings) == 0 {
		return nil
	}
	list := make(Errors, 0, len(d.findings))
	for i := range d.findings {
		list = append(list, d.findings[i].Error)
	}
	return list.Bounded(d.file)
}

// add keeps one of several equal errors: a block that aliases repeat is decoded
// as many times. What there is too much of is kept of each element, so that
// none passes for good.
func (d *Document) add(about element, at position, message string) {
	d.report(about, Error{File: d.file, Line: at.line, Column: at.column, Message: message})
}

func (d *Document) report(about element, e Error) {
	if i, known := d.seen[e]; known {
		if last := d.findings[i].about; last[len(last)-1] != about {
			d.findings[i].about = append(last, about)
			d.counts[about]++
		}
		return
	}
	most := maxErrors + 1
	if about != (element{}) {
		most = maxOwn
	}
	if d.counts[about] >= most {
		return
	}
	d.counts[about]++
	d.seen[e] = len(d.findings)
	d.findings = append(d.findings, finding{e, []element{about}})
}

func (d *Document) locate(field any) position {
	if m, ok := d.marks[key(field)]; ok {
		return m.at
	}
	v := reflect.ValueOf(field)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return position{1, 1}
	}
	d.index()
	address := v.Pointer()
	i := sort.Search(len(d.regions), func(i int) bool { return d.regions[i].from > address }) - 1
	for i >= 0 && d.regions[i].to <= address {
		i = d.regions[i].parent
	}
	if i < 0 {
		return position{1, 1}
	}
	return d.regions[i].at
}

// key keeps values that can't be map keys out of the map.
func key(field any) any {
	if reflect.ValueOf(field).Kind() != reflect.Pointer {
		return nil
	}
	return field
}

// index orders the regions, which are nested or apart, outer before inner.
func (d *Document) index() {
	if d.indexed {
		return
	}
	d.indexed = true
	slices.SortStableFunc(d.regions, func(a, b region) int {
		return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(b.to, a.to))
	})
	var open []int
	for i := range d.regions {
		for len(open) > 0 && d.regions[open[len(open)-1]].to <= d.regions[i].from {
			open = open[:len(open)-1]
		}
		d.regions[i].parent = -1
		if len(open) > 0 {
			d.regions[i].parent = open[len(open)-1]
		}
		open = append(open, i)
	}
}

// mark notes the position of an addressable value; a struct also marks its
// memory.
func (d *Document) mark(v reflect.Value, at position, written bool) {
	pointer := v.Addr().Interface()
	d.marks[pointer] = mark{at: at, written: written}
	if v.Kind() == reflect.Struct {
		from := v.Addr().Pointer()
		d.regions = append(d.regions, region{from: from, to: from + v.Type().Size(), at: at})
	}
}

func (d *Document) markFailed(v reflect.Value) {
	pointer := v.Addr().Interface()
	m := d.marks[pointer]
	m.failed = true
	d.marks[pointer] = m
}
