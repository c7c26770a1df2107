package settings

import (
	"cmp"
	"encoding"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/keystone-gateway/keystone-gateway/proxy/spelling"
)

// scalar decodes n into a string, bool or number.
func (d *decoder) scalar(n ast.Node, v reflect.Value, p *place) {
	text, ok := d.expanded(n, v, p)
	if !ok {
		return
	}
	switch kind := v.Kind(); {
	case kind == reflect.String:
		d.word(text, v, p)
	case kind == reflect.Bool:
		if text != "true" && text != "false" {
			d.fail(v, p, "expected true or false, got %s%s", quote(text, p), instead(text, v.Type(), p))
			return
		}
		v.SetBool(text == "true")
	case v.CanInt():
		if i, err := strconv.ParseInt(plainInteger(text), 0, v.Type().Bits()); err == nil {
			v.SetInt(i)
			return
		}
		d.fail(v, p, "expected %s, got %s%s", wanted(v.Type(), p.field), quote(text, p), instead(text, v.Type(), p))
	case v.CanUint():
		if u, err := strconv.ParseUint(plainInteger(text), 0, v.Type().Bits()); err == nil {
			v.SetUint(u)
			return
		}
		d.fail(v, p, "expected %s, got %s%s", wanted(v.Type(), p.field), quote(text, p), instead(text, v.Type(), p))
	case v.CanFloat():
		if f, ok := parseNumber(text); ok && !v.OverflowFloat(f) {
			v.SetFloat(f)
			return
		}
		d.fail(v, p, "expected %s, got %s%s", wanted(v.Type(), p.field), quote(text, p), instead(text, v.Type(), p))
	default:
		panic(fmt.Sprintf("BUG: cannot decode into %s of kind %s", p, kind))
	}
}

// word sets a string that its field's enum allows.
func (d *decoder) word(text string, v reflect.Value, p *place) {
	if p.field == nil || len(p.field.enum) == 0 {
		v.SetString(text)
		return
	}
	for _, allowed := range p.field.enum {
		if text == allowed {
			v.SetString(text)
			return
		}
	}
	hint := ""
	near := spelling.Nearest(text, p.field.enum)
	for _, allowed := range p.field.enum { // "warning" for "warn"
		if near == "" && strings.HasPrefix(strings.ToLower(text), allowed) {
			near = allowed
		}
	}
	if near != "" && !p.hidden() {
		hint = fmt.Sprintf("; did you mean %q?", near)
	}
	d.fail(v, p, "expected one of %s, got %s%s", strings.Join(p.field.enum, ", "), quote(text, p), hint)
}

// text decodes n through the UnmarshalText of v's type, whose error says what
// was expected.
func (d *decoder) text(n ast.Node, v reflect.Value, p *place) {
	value := reflect.New(v.Type())
	if t, ok := value.Interface().(Template); ok {
		if raw, ok := d.raw(n, v, p); ok && d.template(raw, t, v, p) {
			v.Set(value.Elem())
		}
		return
	}
	text, ok := d.expanded(n, v, p)
	if !ok {
		return
	}
	reader, ok := value.Interface().(encoding.TextUnmarshaler)
	if !ok {
		panic(fmt.Sprintf("BUG: %s cannot read text", v.Type()))
	}
	if err := reader.UnmarshalText([]byte(text)); err != nil {
		if p.hidden() {
			d.fail(v, p, "expected %s, got another value", wanted(v.Type(), p.field))
			return
		}
		d.fail(v, p, "%s%s", err, instead(text, v.Type(), p))
		return
	}
	v.Set(value.Elem())
}

// expanded returns the text of a scalar with its variables replaced.
func (d *decoder) expanded(n ast.Node, v reflect.Value, p *place) (string, bool) {
	raw, ok := d.raw(n, v, p)
	if !ok {
		return "", false
	}
	text, secrets, err := expand(raw, d.vars)
	if err != nil {
		d.fail(v, p, "%s", err)
		return "", false
	}
	if len(secrets) > 0 {
		d.hide(v, p, secrets)
	}
	return text, true
}

// raw returns the text of a scalar.
func (d *decoder) raw(n ast.Node, v reflect.Value, p *place) (string, bool) {
	raw, ok := scalarText(n)
	if !ok {
		d.fail(v, p, "expected %s, got %s%s", wanted(v.Type(), p.field), describe(n, p), d.insteadOfShape(n, v.Type(), p))
	}
	return raw, ok
}

// scalarText returns a scalar as written, without quotes and escapes.
func scalarText(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		if n.Value == nil {
			return "", true
		}
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode, *ast.MergeKeyNode:
		return n.GetToken().Value, true
	}
	return "", false
}

func isNull(n ast.Node) bool {
	if n == nil {
		return true
	}
	_, ok := n.(*ast.NullNode)
	return ok
}

// plainInteger spoils numbers with a leading zero, which YAML 1.1 reads as octal
// and YAML 1.2 as decimal. 0x and 0o stay.
func plainInteger(text string) string {
	digits := strings.TrimLeft(text, "+-")
	if len(digits) > 1 && digits[0] == '0' && strings.Trim(digits, "0123456789_") == "" {
		return ""
	}
	return text
}

// wanted names what a value of type t is written as; f may be nil.
func wanted(t reflect.Type, f *field) string {
	switch {
	case t == reflect.TypeFor[Duration]():
		return "a duration like 5s or a number of seconds"
	case t == reflect.TypeFor[Size]():
		return "a size like 10MiB or a number of bytes"
	case t.Kind() == reflect.Pointer:
		return wanted(t.Elem(), f)
	case textual(t):
		return "a single value"
	}
	switch kind := t.Kind(); {
	case kind == reflect.Bool:
		return "true or false"
	case reflect.Int <= kind && kind <= reflect.Uintptr:
		return "a whole number" + within(t, f)
	case kind == reflect.Float32 || kind == reflect.Float64:
		return "a number" + within(t, f)
	case kind == reflect.Slice:
		return "a list"
	case kind == reflect.Struct || kind == reflect.Map:
		return "a mapping"
	}
	return "a single value"
}

// within words the range of a number: what its field says, else what its type
// holds, unless that is more than anybody means.
func within(t reflect.Type, f *field) string {
	least, most := "", ""
	switch kind := t.Kind(); {
	case kind == reflect.Float32 || kind == reflect.Float64:
	case reflect.Int <= kind && kind <= reflect.Int64 && t.Bits() < 64:
		limit := int64(math.MaxInt64) >> (64 - t.Bits())
		least, most = strconv.FormatInt(-limit-1, 10), strconv.FormatInt(limit, 10)
	case reflect.Uint <= kind && kind <= reflect.Uintptr:
		least = "0"
		if t.Bits() < 64 {
			most = strconv.FormatUint(uint64(math.MaxUint64)>>(64-t.Bits()), 10)
		}
	}
	if f != nil {
		least, most = cmp.Or(f.least, least), cmp.Or(f.most, most)
	}
	switch {
	case least != "" && most != "":
		return " from " + least + " to " + most
	case least != "":
		return " from " + least + " on"
	}
	return ""
}

// describe names what stands in the file instead.
func describe(n ast.Node, p *place) string {
	if text, ok := scalarText(n); ok {
		return quote(text, p)
	}
	switch {
	case isMapping(n):
		return "a mapping"
	case isNull(n):
		return "nothing"
	}
	if _, ok := n.(*ast.SequenceNode); ok {
		return "a list"
	}
	return "something else"
}

// quote shows a value in a message unless it is a secret.
func quote(text string, p *place) string {
	if p.hidden() {
		return "another value"
	}
	return strconv.Quote(clip(text))
}
