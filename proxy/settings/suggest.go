package settings

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// instead says what was probably meant by a text that can't be read as a value
// of type t, as "; write 90s"; "" where nothing is likely. A secret is never
// guessed at.
func instead(text string, t reflect.Type, p *place) string {
	if p.hidden() {
		return ""
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	meant := ""
	switch kind := t.Kind(); {
	case t == reflect.TypeFor[Duration]():
		meant = meantDuration(text)
	case t == reflect.TypeFor[Size]():
		meant = meantSize(text)
	case textual(t):
	case kind == reflect.Bool:
		meant = meantBool(text)
	case kind == reflect.Float32 || kind == reflect.Float64:
		meant = meantShare(text, p.field)
	case reflect.Int <= kind && kind <= reflect.Uintptr:
		meant = meantWhole(text)
	}
	if meant == "" || meant == text {
		return ""
	}
	return "; write " + meant
}

func meantBool(text string) string {
	switch strings.ToLower(text) {
	case "true", "yes", "y", "on", "1", "enabled", "enable":
		return "true"
	case "false", "no", "n", "off", "0", "disabled", "disable":
		return "false"
	}
	return ""
}

// split parts a number from the unit behind it.
func split(text string) (number float64, unit string, ok bool) {
	text = strings.ReplaceAll(strings.TrimSpace(text), "_", "")
	digits := strings.TrimLeft(text, "0123456789.")
	number, ok = parseNumber(text[:len(text)-len(digits)])
	return number, strings.ToLower(strings.TrimSpace(digits)), ok
}

func meantDuration(text string) string {
	number, unit, ok := split(text)
	if !ok {
		return ""
	}
	seconds := 0.0
	switch unit {
	case "ms", "msec", "msecs", "milli", "millis", "millisecond", "milliseconds":
		seconds = 1e-3
	case "s", "sec", "secs", "second", "seconds":
		seconds = 1
	case "m", "min", "mins", "minute", "minutes":
		seconds = 60
	case "h", "hr", "hrs", "hour", "hours":
		seconds = 3600
	case "d", "day", "days":
		seconds = 86400
	case "w", "week", "weeks":
		seconds = 7 * 86400
	}
	nanos := number * seconds * 1e9
	if nanos <= 0 || nanos >= math.MaxInt64 {
		return ""
	}
	return Duration(math.Round(nanos)).String()
}

func meantSize(text string) string {
	number, unit, ok := split(text)
	unit = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(unit, "ytes"), "yte"), "b"), "i")
	if !ok || len(unit) != 1 || !strings.Contains("kmgt", unit) || number != math.Trunc(number) {
		return ""
	}
	whole, letter := strconv.FormatFloat(number, 'f', -1, 64), strings.ToUpper(unit)
	return fmt.Sprintf("%s%siB, of powers of 1024, or %s%sB, of 1000", whole, letter, whole, letter)
}

// meantShare reads percentages, for numbers from 0 to 1.
func meantShare(text string, f *field) string {
	number, unit, ok := split(text)
	if !ok || unit != "%" || f == nil || f.most != "1" {
		return ""
	}
	return strconv.FormatFloat(number/100, 'f', -1, 64)
}

// meantWhole reads numbers with the separators and the letters that people use.
func meantWhole(text string) string {
	number, unit, ok := split(strings.NewReplacer(",", "", "'", "", " ", "").Replace(text))
	switch unit {
	case "":
	case "k":
		number *= 1e3
	case "m":
		number *= 1e6
	case "%":
		return ""
	default:
		exponent, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return ""
		}
		number, ok = exponent, true
	}
	if !ok || number != math.Trunc(number) || math.Abs(number) > 1e15 {
		return ""
	}
	return strconv.FormatFloat(number, 'f', 0, 64)
}

// insteadOfShape says how a value is written whose shape is another one: a
// scalar, a list or a mapping where t is one of the others.
func (d *decoder) insteadOfShape(n ast.Node, t reflect.Type, p *place) string {
	if p.hidden() {
		return ""
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	text, isScalar := scalarText(n)
	sequence, isList := n.(*ast.SequenceNode)
	switch {
	case t.Kind() == reflect.Slice && !textual(t) && isScalar:
		if element := t.Elem(); element.Kind() == reflect.Struct && !textual(element) {
			if inner := d.asMapping(text, element); inner != "" {
				return "; write [" + inner + "]"
			}
			return ""
		}
		return "; write [" + plainly(text) + "]"
	case t.Kind() == reflect.String && isMapping(n) && p.isElement():
		return "; quote a text that has a colon"
	case t.Kind() == reflect.String && isMapping(n) && p.parent != nil:
		if hinter, ok := d.doc.root.(Hinter); ok { // what is a section elsewhere
			if words := hinter.Hint(p.key, p.parent.pattern()); words != "" {
				return "; " + words
			}
		}
	case t.Kind() == reflect.Slice && isMapping(n):
		return `; begin each element with "- "`
	case t.Kind() == reflect.Struct && isScalar && p.parent == nil && strings.Contains(text, "{"):
		return "; this looks like another program's file"
	case t.Kind() == reflect.Struct && !textual(t) && isScalar:
		if inner := d.asMapping(text, t); inner != "" {
			return "; write " + inner
		}
	case t.Kind() == reflect.Struct && !textual(t) && isList && p.isElement():
		return "; write its elements into the list around it, one by one: lists aren't merged"
	case t.Kind() == reflect.Struct && !textual(t) && isList:
		return `; leave out the "- " before its keys`
	case isList && len(sequence.Values) == 1:
		if text, ok := scalarText(sequence.Values[0]); ok {
			return "; write " + plainly(text)
		}
	case isList && len(sequence.Values) > 1:
		if text := joined(sequence, t); text != "" {
			return "; write " + strconv.Quote(text)
		}
		return "; give one of them"
	}
	return ""
}

// joined writes a list as the text with commas that a type reads; "" where it
// doesn't.
func joined(n *ast.SequenceNode, t reflect.Type) string {
	var parts []string
	for _, value := range n.Values {
		part, ok := scalarText(value)
		if !ok {
			return ""
		}
		parts = append(parts, part)
	}
	text := clip(strings.Join(parts, ","))
	reader, ok := reflect.New(t).Interface().(encoding.TextUnmarshaler)
	if !ok || reader.UnmarshalText([]byte(text)) != nil {
		return ""
	}
	return text
}

// asMapping writes a scalar as the section with the key that it was meant for.
func (d *decoder) asMapping(text string, t reflect.Type) string {
	keys := d.shape(t).byKey
	has := func(key string) bool { return keys[key] != nil }
	switch {
	case has("enabled") && meantBool(text) != "":
		return "{enabled: " + meantBool(text) + "}"
	case has("url") && strings.Contains(text, "://"):
		return fmt.Sprintf("{url: %q}", clip(text))
	case has("url") && strings.Contains(text, ":"):
		return fmt.Sprintf("{url: %q}", "http://"+clip(text))
	case has("path") && strings.HasPrefix(text, "/"):
		return "{path: " + plainly(text) + "}"
	case has("output") && strings.ContainsAny(text, "/."):
		return "{output: " + plainly(text) + "}"
	case has("address") && strings.Contains(text, ":"):
		return fmt.Sprintf("{address: %q}", clip(text))
	}
	return ""
}

// plainly writes a text as it can stand in [ ] and { }.
func plainly(text string) string {
	for i := range len(text) {
		c := text[i]
		if word := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '/' || c == '.' && i > 0; !word && (i == 0 || c != '-' && c != '_') {
			return strconv.Quote(clip(text))
		}
	}
	return clip(text)
}
