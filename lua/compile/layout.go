package compile

import (
	"reflect"
	"unsafe"

	glua "github.com/yuin/gopher-lua"
)

// stringsOffset is where a prototype has its string constants once more, as
// strings: the instructions for fields and globals use them by the constant's
// index. gopher-lua has no function that sets them; its own compiler does. A
// gopher-lua that is built otherwise must not start.
var stringsOffset = func() uintptr {
	field, ok := reflect.TypeFor[glua.FunctionProto]().FieldByName("stringConstants")
	if !ok || field.Type != reflect.TypeFor[[]string]() {
		panic("BUG: gopher-lua's FunctionProto has no stringConstants that are strings")
	}
	return field.Offset
}()

func setStringConstants(p *glua.FunctionProto, list []string) {
	*(*[]string)(unsafe.Add(unsafe.Pointer(p), stringsOffset)) = list //nolint:gosec // G103: the offset has been checked
}
