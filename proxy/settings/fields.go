package settings

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"
)

// field is one key of a section.
type field struct {
	key      string
	index    []int        // for reflect.Value.FieldByIndex
	owner    reflect.Type // the struct that declares it
	name     string       // its Go name
	enum     []string
	required bool
	secret   string // "", "true" or "url"
	least    string // of a number: its range as far as it has one, for messages and the schema
	most     string
	restart  string // "", "true" or "section": what KeepUntilRestart keeps
	single   bool   // of a list: a text stands for a list of it alone
}

func (f *field) hidden() bool { return f != nil && f.secret != "" }

// fieldsOf lists the keys of struct type t in the order of their declaration.
// What is wrong with a type is a mistake of the program, not of the file.
func fieldsOf(t reflect.Type) []field {
	var list []field
	for i := range t.NumField() {
		sf := t.Field(i)
		name, options, _ := strings.Cut(sf.Tag.Get("yaml"), ",")
		if options == "inline" && sf.Type.Kind() == reflect.Struct {
			for _, inner := range fieldsOf(sf.Type) {
				inner.index = append([]int{i}, inner.index...)
				list = append(list, inner)
			}
			continue
		}
		if name == "" || name == "-" {
			continue
		}
		if !sf.IsExported() {
			panic(fmt.Sprintf("BUG: %s.%s has a yaml tag but is not exported", t, sf.Name))
		}
		list = append(list, newField(t, sf, name, i))
	}
	return list
}

func newField(owner reflect.Type, sf reflect.StructField, key string, i int) field {
	f := field{key: key, index: []int{i}, owner: owner, name: sf.Name}
	if enum := sf.Tag.Get("enum"); enum != "" {
		f.enum = strings.Split(enum, ",")
	}
	f.required = sf.Tag.Get("required") == "true"
	f.secret = sf.Tag.Get("secret")
	f.least, f.most = sf.Tag.Get("min"), sf.Tag.Get("max")
	f.restart = sf.Tag.Get("restart")
	f.single = sf.Tag.Get("single") == "true"
	return f
}

// shape is what the decoder wants to know of a struct type.
type shape struct {
	fields []field
	byKey  map[string]*field
	keys   []string

	secrets int // the index of the field for them; -1 is none
}

func shapeOf(t reflect.Type) *shape {
	s := &shape{fields: fieldsOf(t), byKey: map[string]*field{}, secrets: secretsIn(t)}
	for i := range s.fields {
		f := &s.fields[i]
		if s.byKey[f.key] != nil {
			panic(fmt.Sprintf("BUG: %s has the key %q twice", t, f.key))
		}
		s.byKey[f.key] = f
		s.keys = append(s.keys, f.key)
	}
	return s
}

// textual tells whether values of type t are read by their own UnmarshalText.
func textual(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// fresh returns a new addressable value of type t with its defaults set. A
// pointer points to such a value, so that no check meets a nil element.
func fresh(t reflect.Type) reflect.Value {
	pointer := reflect.New(t)
	if t.Kind() == reflect.Pointer {
		pointer.Elem().Set(fresh(t.Elem()).Addr())
	}
	if d, ok := pointer.Interface().(interface{ SetDefaults() }); ok {
		d.SetDefaults()
	}
	return pointer.Elem()
}
