//go:build !race

package measure

// Race is false where there is no race detector.
const Race = false
