// Package sample is changed by the tests of mutate.
package sample

import "time"

// Limit is how much fits.
const Limit = 4

var wait = 2 * time.Second

// Fits says whether n fits, which its test asks at the boundary.
func Fits(n int) bool { return n <= Limit }

// Roughly is Fits, but its test doesn't ask at the boundary.
func Roughly(n int) bool { return n <= Limit }

// Count counts down.
func Count(n int) (steps int) {
	for n > 0 {
		n--
		steps++
	}
	return steps
}

// Both needs both.
func Both(a, b bool) bool { return a && b }

// Unreached has no test.
func Unreached() time.Duration {
	defer println()
	return wait
}
