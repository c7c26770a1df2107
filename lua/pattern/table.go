package pattern

import "math/bits"

// Table matches requests to routes. It is immutable; any number of goroutines
// may use it at once. [Builder] makes it.
type Table[T any] struct {
	tree   *tree
	values []T // by route
}

// Match finds the route of a request. Unless outcome is [Found], value is zero
// and pattern empty. What params held before is overwritten. Nothing is
// allocated.
func (t *Table[T]) Match(method, path []byte, params *Params) (value T, pattern string, outcome Outcome) {
	s := search{tree: t.tree, params: params, method: t.tree.numberOf(method)}
	params.begin(path)
	r := s.run()
	if r >= 0 {
		p := t.tree.routes[r].pattern
		params.end(p.names)
		return t.values[r], p.text, Found
	}
	params.fail()
	switch {
	case params.exhausted():
		outcome = Exhausted
	case s.methods != 0:
		outcome = WrongMethod
	}
	return value, "", outcome
}

// Allow returns the methods of all patterns that match path, sorted. It is
// empty if none does, or one does with any method.
func (t *Table[T]) Allow(path []byte) []string {
	var names []string
	for set := t.tree.allowed(path); set != 0; set &= set - 1 {
		names = append(names, t.tree.methods[bits.TrailingZeros64(set)])
	}
	return names
}

// AppendAllow appends to dst what Allow returns, as the value of an Allow
// field (RFC 9110 §10.2.1): "GET, POST".
func (t *Table[T]) AppendAllow(dst, path []byte) []byte {
	separator := ""
	for set := t.tree.allowed(path); set != 0; set &= set - 1 {
		dst = append(dst, separator...)
		dst = append(dst, t.tree.methods[bits.TrailingZeros64(set)]...)
		separator = ", "
	}
	return dst
}

// Len returns the number of routes.
func (t *Table[T]) Len() int { return len(t.values) }

// Walk calls f for each route in the order of Add; method is empty for any.
func (t *Table[T]) Walk(f func(method, pattern string, value T)) {
	for i, r := range t.tree.routes {
		f(r.method, r.pattern.text, t.values[i])
	}
}
