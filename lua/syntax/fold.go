package syntax

import "math"

// fold computes an operation of two numbers as the virtual machine would. A
// division by zero, what isn't a number and -0, which becomes 0 there, are left
// to it.
func fold(left Expression, op Operator, right Expression) (n float64, ok bool) {
	l, ok := left.(*Number)
	if !ok {
		return 0, false
	}
	r, ok := right.(*Number)
	if !ok {
		return 0, false
	}
	a, b := l.Value, r.Value
	switch op {
	case Add:
		n = a + b
	case Subtract:
		n = a - b
	case Multiply:
		n = a * b
	case Divide:
		n = a / b
	case Power:
		n = math.Pow(a, b)
	default:
		return 0, false
	}
	return n, n == n && (op != Divide || b != 0) && (n != 0 || !math.Signbit(n))
}
