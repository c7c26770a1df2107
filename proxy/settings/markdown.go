package settings

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// Markdown returns the reference of root, a struct or a pointer to one that holds
// the defaults: a second-level heading for each section, and under it a table
// with key, type, default and description. It fails where Schema does.
func Markdown(root any, src Sources) (string, error) {
	v, err := rootOf(root)
	if err != nil {
		return "", err
	}
	texts, err := src.comments()
	if err != nil {
		return "", err
	}
	m := manual{texts: texts}
	if err := m.section("", v, nil); err != nil {
		return "", fmt.Errorf("cannot write a manual of %s: %w", v.Type(), err)
	}
	return strings.TrimSuffix(m.out.String(), "\n"), nil
}

type manual struct {
	texts comments
	out   strings.Builder
}

// section writes one table and then those of the sections below it.
func (m *manual) section(at string, v reflect.Value, outer trail) error {
	path, err := outer.enter(v.Type())
	if err != nil {
		return err
	}
	title := "Top level"
	if at != "" {
		title = "`" + at + "`"
	}
	fields := fieldsOf(v.Type())
	fmt.Fprintf(&m.out, "## %s\n\n| key | type | default | description |\n| --- | --- | --- | --- |\n", title)
	for i := range fields {
		text, err := m.texts.of(&fields[i])
		if err != nil {
			return err
		}
		m.row(at, &fields[i], v.FieldByIndex(fields[i].index), text)
	}
	m.out.WriteString("\n")
	for i := range fields {
		inner, below, ok := sectionBelow(v.FieldByIndex(fields[i].index), join(at, fields[i].key))
		if !ok {
			continue
		}
		if err := m.section(below, inner, path); err != nil {
			return err
		}
	}
	return nil
}

func (m *manual) row(at string, f *field, v reflect.Value, text string) {
	kind := typeName(v.Type(), f)
	if _, below, ok := sectionBelow(v, join(at, f.key)); ok {
		kind = fmt.Sprintf("[%s](#%s)", kind, slug(below))
	}
	fmt.Fprintf(&m.out, "| `%s` | %s | %s | %s |\n", f.key, kind, defaultCell(v, f), cell(text))
}

// sectionBelow finds the struct inside v, with a value for its defaults, and its
// path in the manual.
func sectionBelow(v reflect.Value, path string) (reflect.Value, string, bool) {
	t := v.Type()
	switch {
	case t.Kind() == reflect.Pointer:
		if v.IsNil() {
			v = fresh(t.Elem()).Addr()
		}
		return sectionBelow(v.Elem(), path)
	case textual(t):
	case t.Kind() == reflect.Struct:
		return v, path, t.NumField() > 0
	case t.Kind() == reflect.Slice:
		return sectionBelow(fresh(t.Elem()), path+"[]")
	case t.Kind() == reflect.Map:
		return sectionBelow(fresh(t.Elem()), path+".<name>")
	}
	return reflect.Value{}, "", false
}

func typeName(t reflect.Type, f *field) string {
	switch {
	case t == reflect.TypeFor[Duration]():
		return "duration"
	case t == reflect.TypeFor[Size]():
		return "size"
	case t.Kind() == reflect.Pointer:
		return typeName(t.Elem(), f)
	case textual(t):
		return "text"
	}
	switch kind := t.Kind(); {
	case kind == reflect.Struct && isByName(t):
		return "name or section"
	case kind == reflect.Struct && t.NumField() == 0:
		return "`{}`"
	case kind == reflect.Struct:
		return "section"
	case kind == reflect.Slice && f.single:
		return "text or list of " + typeName(t.Elem(), f)
	case kind == reflect.Slice:
		return "list of " + typeName(t.Elem(), f)
	case kind == reflect.Map:
		return "map of " + typeName(t.Elem(), f)
	case kind == reflect.Bool:
		return "`true` or `false`"
	case reflect.Int <= kind && kind <= reflect.Uintptr:
		return "whole number"
	case kind == reflect.Float32 || kind == reflect.Float64:
		return "number"
	case len(f.enum) > 0:
		return "`" + strings.Join(f.enum, "`, `") + "`"
	}
	return "text"
}

func defaultCell(v reflect.Value, f *field) string {
	if f.required {
		return "required"
	}
	value, ok := defaultOf(v, f)
	if !ok || value == "0s" { // a duration that isn't set; the comment says what that means
		return "–"
	}
	if text, isText := value.(string); isText {
		return "`" + cell(text) + "`"
	}
	text, err := json.Marshal(value)
	if err != nil {
		return "–"
	}
	return "`" + cell(string(text)) + "`"
}

// cell keeps a text within its table cell.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "*", `\*`, "\n\n", "<br>", "\n", " ").Replace(text)
}

func join(at, key string) string {
	return strings.TrimPrefix(at+"."+key, ".")
}

// slug is the anchor that GitHub gives to a heading with this path.
func slug(path string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || 'a' <= r && r <= 'z' || '0' <= r && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower(path))
}
