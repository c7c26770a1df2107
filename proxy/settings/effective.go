package settings

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"
)

const masked = "***"

// Effective returns cfg, a struct or a pointer to one, as maps, lists and scalars
// that encoding/json can write and nothing else refers to: keys as in the file,
// durations and sizes as strings, secrets as "***" where there is one. A field
// tagged `secret:"url"` keeps all but the password of its URL.
func Effective(cfg any) any {
	return plain(reflect.ValueOf(cfg), nil)
}

func plain(v reflect.Value, f *field) any { return plainBelow(v, f, nil, "") }

// plainBelow has the secrets of the section around v, from which path leads to it.
func plainBelow(v reflect.Value, f *field, secrets Secrets, path string) any {
	if !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return nil
	}
	if v.Kind() == reflect.Pointer {
		return plainBelow(v.Elem(), f, secrets, path)
	}
	if secrets[path] {
		return masked
	}
	if text, ok := textOf(v); ok {
		return maskText(text, f)
	}
	switch kind := v.Kind(); {
	case kind == reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = plainBelow(v.Index(i), f, secrets, elementPath(path, i))
		}
		return list
	case kind == reflect.Map:
		table := make(map[string]any, v.Len())
		for it := v.MapRange(); it.Next(); {
			table[it.Key().String()] = plainBelow(it.Value(), f, secrets, keyPath(path, it.Key().String()))
		}
		return table
	case f.hidden():
		return maskValue(v)
	case kind == reflect.Struct:
		table := map[string]any{}
		if i := secretsIn(v.Type()); i >= 0 {
			secrets, _ = v.Field(i).Interface().(Secrets)
			path = ""
		}
		for _, inner := range fieldsOf(v.Type()) {
			table[inner.key] = plainBelow(v.FieldByIndex(inner.index), &inner, secrets, keyPath(path, inner.key))
		}
		return table
	}
	return number(v)
}

// textOf returns what a scalar that is written as text looks like in the file.
func textOf(v reflect.Value) (string, bool) {
	pointer := reflect.New(v.Type())
	pointer.Elem().Set(v)
	switch value := pointer.Interface().(type) {
	case encoding.TextMarshaler:
		text, err := value.MarshalText()
		return string(text), err == nil
	case fmt.Stringer:
		return value.String(), true
	}
	if v.Kind() == reflect.String {
		return v.String(), true
	}
	return "", false
}

func number(v reflect.Value) any {
	switch {
	case v.Kind() == reflect.Bool:
		return v.Bool()
	case v.CanInt():
		return v.Int()
	case v.CanUint():
		return v.Uint()
	case v.CanFloat():
		return v.Float()
	}
	return fmt.Sprint(v)
}

// maskValue hides a number or a whole section.
func maskValue(v reflect.Value) any {
	if v.IsZero() {
		return ""
	}
	return masked
}

func maskText(text string, f *field) string {
	switch {
	case !f.hidden() || text == "":
		return text
	case f.secret == "url":
		return maskPassword(text)
	}
	return masked
}

// maskPassword hides what stands between the user and the last @. It doesn't
// rely on the URL being valid: it rather hides too much.
func maskPassword(url string) string {
	start := 0
	if i := strings.Index(url, "://"); i >= 0 {
		start = i + len("://")
	}
	end := strings.LastIndexByte(url, '@')
	if end < start {
		return url
	}
	colon := strings.IndexByte(url[start:end], ':')
	if colon < 0 {
		return url
	}
	return url[:start+colon+1] + masked + url[end:]
}
