package settings

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
)

// What editors accept for values that the decoder reads from text; a scalar with
// a variable in it is only known at run time.
const (
	durationPattern = `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$|^[0-9]+(\.[0-9]+)?$|\$\{`
	sizePattern     = `^[0-9]+(\.[0-9]+)?( *([KMGTkmgt][Ii]?)?[Bb])?$|\$\{`
	variablePattern = `\$\{`
)

// Schema returns an indented JSON Schema (draft 2020-12) of root, a struct or a
// pointer to one that holds the defaults. Equal input gives equal bytes. It fails
// when a key has no comment in src or a type contains itself.
func Schema(root any, src Sources) ([]byte, error) {
	v, err := rootOf(root)
	if err != nil {
		return nil, err
	}
	texts, err := src.comments()
	if err != nil {
		return nil, err
	}
	g := schemaWriter{texts}
	schema, err := g.section(v, nil)
	if err != nil {
		return nil, fmt.Errorf("cannot make a schema of %s: %w", v.Type(), err)
	}
	schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(schema); err != nil {
		return nil, fmt.Errorf("cannot make a schema of %s: %w", v.Type(), err)
	}
	return out.Bytes(), nil
}

// object is a JSON object; its keys are sorted when it is written.
type object = map[string]any

type schemaWriter struct{ texts comments }

func (g schemaWriter) section(v reflect.Value, outer trail) (object, error) {
	path, err := outer.enter(v.Type())
	if err != nil {
		return nil, err
	}
	properties := object{}
	required := []string{}
	for _, f := range fieldsOf(v.Type()) {
		text, err := g.texts.of(&f)
		if err != nil {
			return nil, err
		}
		value := v.FieldByIndex(f.index)
		property, err := g.value(value, &f, path)
		if err != nil {
			return nil, err
		}
		property["description"] = text
		if f.required {
			required = append(required, f.key)
		} else if d, ok := defaultOf(value, &f); ok {
			property["default"] = d
		}
		properties[f.key] = property
	}
	schema := object{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		schema["required"] = required
	}
	if reflect.PointerTo(v.Type()).Implements(reflect.TypeFor[oneKey]()) {
		schema["minProperties"], schema["maxProperties"] = 1, 1
	}
	return schema, nil
}

// oneKey is a section that has exactly one of its keys. Reporting others is left to
// its Check.
type oneKey interface{ OneKey() }

// value describes what may be written for v, whose own value gives the defaults
// of the keys below it.
func (g schemaWriter) value(v reflect.Value, f *field, path trail) (object, error) {
	t := v.Type()
	switch {
	case t.Kind() == reflect.Pointer:
		if v.IsNil() {
			v = fresh(t.Elem()).Addr()
		}
		return g.value(v.Elem(), f, path)
	case textual(t):
		return textSchema(t), nil
	}
	switch t.Kind() {
	case reflect.Struct:
		section, err := g.section(v, path)
		if isByName(t) {
			section = object{"anyOf": []object{{"enum": shapeOf(t).keys}, {"type": "string", "pattern": variablePattern}, section}}
		}
		return section, err
	case reflect.Slice:
		items, err := g.value(fresh(t.Elem()), f, path)
		list := object{"type": "array", "items": items}
		if f != nil && f.single {
			return object{"anyOf": []object{items, list}}, err
		}
		return list, err
	case reflect.Map:
		items, err := g.value(fresh(t.Elem()), f, path)
		return object{"type": "object", "additionalProperties": items}, err
	}
	schema, err := scalarSchema(t, f)
	if err == nil && f != nil {
		f.bound(schema)
	}
	return schema, err
}

// bound adds a number's range.
func (f *field) bound(schema object) {
	for key, limit := range map[string]string{"minimum": f.least, "maximum": f.most} {
		if limit != "" {
			schema[key] = json.Number(limit)
		}
	}
}

func textSchema(t reflect.Type) object {
	schema := object{"type": []string{"string", "number"}}
	switch t {
	case reflect.TypeFor[Duration]():
		schema["pattern"], schema["minimum"] = durationPattern, 0
	case reflect.TypeFor[Size]():
		schema["pattern"], schema["minimum"] = sizePattern, 0
	}
	return schema
}

func scalarSchema(t reflect.Type, f *field) (object, error) {
	variable := object{"type": "string", "pattern": variablePattern}
	switch kind := t.Kind(); {
	case kind == reflect.String && len(f.enum) > 0:
		return object{"anyOf": []object{{"enum": f.enum}, variable}}, nil
	case kind == reflect.String:
		return object{"type": []string{"string", "number"}}, nil
	case kind == reflect.Bool:
		return object{"type": []string{"boolean", "string"}, "pattern": variablePattern}, nil
	case reflect.Int <= kind && kind <= reflect.Int64:
		schema := object{"type": []string{"integer", "string"}, "pattern": variablePattern}
		if t.Bits() < 64 {
			schema["minimum"], schema["maximum"] = int64(-1)<<(t.Bits()-1), int64(1)<<(t.Bits()-1)-1
		}
		return schema, nil
	case reflect.Uint <= kind && kind <= reflect.Uintptr:
		schema := object{"type": []string{"integer", "string"}, "pattern": variablePattern, "minimum": 0}
		if t.Bits() < 64 {
			schema["maximum"] = uint64(math.MaxUint64) >> (64 - t.Bits())
		}
		return schema, nil
	case kind == reflect.Float32 || kind == reflect.Float64:
		return object{"type": []string{"number", "string"}, "pattern": variablePattern}, nil
	}
	return nil, fmt.Errorf("key %q has type %s: expected one that a YAML value can fill", f.key, t)
}

// defaultOf returns the default of a key as it would be written, and false where
// there is none worth telling: sections, secrets, nothing.
func defaultOf(v reflect.Value, f *field) (any, bool) {
	if f.secret != "" || v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, false
	}
	v = reflect.Indirect(v)
	switch kind := v.Kind(); {
	case textual(v.Type()):
		text := plain(v, nil)
		return text, text != ""
	case kind == reflect.Struct:
		return nil, false
	case kind == reflect.String, kind == reflect.Slice, kind == reflect.Map:
		return plain(v, nil), v.Len() > 0
	}
	return plain(v, nil), true
}
