package settings

import "reflect"

// KeepUntilRestart puts the values with which a process was started in the place of
// those that the tag restart says take effect only at a start, so that nobody is
// shown what isn't so. It returns the keys whose values differ. Both are pointers to
// a configuration of one type; lists and maps in it have no such values.
func KeepUntilRestart(started, next any) (differ []string) {
	return keep(reflect.ValueOf(started).Elem(), reflect.ValueOf(next).Elem(), "")
}

func keep(started, next reflect.Value, path string) (differ []string) {
	for _, f := range fieldsOf(next.Type()) {
		was, is := started.FieldByIndex(f.index), next.FieldByIndex(f.index)
		switch {
		case f.restart == "" && is.Kind() == reflect.Struct:
			differ = append(differ, keep(was, is, path+f.key+".")...)
		case f.restart == "" || was.Equal(is):
		case f.restart == "section":
			next.Set(started)
			return append(differ, path+f.key)
		default:
			is.Set(was)
			differ = append(differ, path+f.key)
		}
	}
	return differ
}
