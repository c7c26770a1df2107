//go:build race

package test

// raceEnabled tells whether the suite runs under the race detector.
const raceEnabled = true
