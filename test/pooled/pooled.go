// Package pooled is for tests of values that are used again: Fill writes all of
// a value, its owner resets it, Left says what is still there.
package pooled

import (
	"fmt"
	"reflect"
	"testing"
	"unsafe"
)

// Empty is the reason of a field of which only the memory is kept: no element
// may be left in it.
const Empty = "empty"

// Fill sets all fields within what value points to, exported or not, to
// something else than zero, and returns how many those are. What pointers lead
// to is new and empty. A field of an interface's type gets the first of these
// values that implements it.
func Fill(tb testing.TB, value any, with ...any) int {
	tb.Helper()
	return FillLarge(tb, value, 1, with...)
}

// FillLarge is Fill with so many bytes in each slice of them.
func FillLarge(tb testing.TB, value any, bytes int, with ...any) int {
	tb.Helper()
	return fill(tb, "", reflect.ValueOf(value).Elem(), bytes, with)
}

func fill(tb testing.TB, path string, v reflect.Value, bytes int, with []any) (n int) {
	tb.Helper()
	v = reachable(v)
	switch v.Kind() {
	case reflect.Struct:
		if v.Type().PkgPath() == "sync" {
			return 0
		}
		for i := range v.NumField() {
			n += fill(tb, path+"."+v.Type().Field(i).Name, v.Field(i), bytes, with)
		}
		return n
	case reflect.Array:
		for i := range v.Len() {
			fill(tb, path, v.Index(i), bytes, with)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
	case reflect.UnsafePointer: // of an atomic pointer
		v.SetPointer(unsafe.Pointer(new(int))) // #nosec G103 -- only so that it is not nil
	case reflect.Slice:
		room := 1
		if v.Type().Elem().Kind() == reflect.Uint8 {
			room = bytes
		}
		v.Set(reflect.MakeSlice(v.Type(), room, room))
		fill(tb, path, v.Index(0), bytes, with)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
	case reflect.Chan:
		v.Set(reflect.MakeChan(v.Type(), 0))
	case reflect.Func:
		results := v.Type()
		v.Set(reflect.MakeFunc(results, func([]reflect.Value) (zero []reflect.Value) {
			for i := range results.NumOut() {
				zero = append(zero, reflect.Zero(results.Out(i)))
			}
			return zero
		}))
	case reflect.Interface:
		for _, candidate := range with {
			if c := reflect.ValueOf(candidate); c.Type().Implements(v.Type()) {
				v.Set(c)
				return 1
			}
		}
		tb.Fatalf("%s: nothing is given that implements %s", path, v.Type())
	default:
		fillPlain(tb, path, v)
	}
	return 1
}

func fillPlain(tb testing.TB, path string, v reflect.Value) {
	tb.Helper()
	switch {
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.Kind() == reflect.String:
		v.SetString("x")
	case v.CanInt():
		v.SetInt(1)
	case v.CanUint():
		v.SetUint(1)
	case v.CanFloat():
		v.SetFloat(1)
	default:
		tb.Fatalf("%s: nothing is known to fill a %s with", path, v.Type())
	}
}

// Left lists what isn't zero within what value points to, by paths that begin
// with name. Fields in kept may hold something, for the reason given.
func Left(name string, value any, kept map[string]string) []string {
	return left(name, reflect.ValueOf(value).Elem(), kept)
}

func left(path string, v reflect.Value, kept map[string]string) (list []string) {
	v = reachable(v)
	if why, is := kept[path]; is {
		if why == Empty && v.Len() > 0 {
			list = append(list, fmt.Sprintf("%s has %d elements, want none", path, v.Len()))
		}
		return list
	}
	if v.Kind() != reflect.Struct {
		if !v.IsZero() {
			list = append(list, path+" is still there")
		}
		return list
	}
	for i := range v.NumField() {
		list = append(list, left(path+"."+v.Type().Field(i).Name, v.Field(i), kept)...)
	}
	return list
}

// reachable is v with the right to read and set it, whoever's field it is.
func reachable(v reflect.Value) reflect.Value {
	return reflect.NewAt(v.Type(), v.Addr().UnsafePointer()).Elem()
}
