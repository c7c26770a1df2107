package syntax

// grown is append for lists that may become long. It doubles them: append's
// own steps are smaller, and take five times a list's memory in all.
func grown[T any](list []T, item T) []T {
	if len(list) == cap(list) && len(list) >= 64 {
		list = append(make([]T, 0, 2*len(list)), list...)
	}
	return append(list, item)
}
