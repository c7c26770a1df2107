//go:build race

package proxy_test

// raceEnabled says that sync.Pool drops at random what it is given, as it does
// under the race detector.
const raceEnabled = true
