//go:build race

package measure

// Race says that sync.Pool drops at random what it is given, as it does under the
// race detector.
const Race = true
