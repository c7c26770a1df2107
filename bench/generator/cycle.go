package generator

import (
	"cmp"
	"fmt"
	"slices"
)

// maxCycle bounds how many requests there are before the order repeats.
const maxCycle = 1_000_000

// cycleOf is the order in which targets are sent, as their indexes: each as
// often as its weight says, spread evenly.
func cycleOf(targets []Target) ([]uint32, error) {
	divisor, sum := 0, 0
	for i := range targets {
		divisor = gcd(targets[i].Weight, divisor)
		sum += targets[i].Weight
	}
	if sum/divisor > maxCycle {
		return nil, fmt.Errorf("the weights of all targets add up to %d, expected at most %d", sum/divisor, maxCycle)
	}
	type turn struct {
		at     float64 // within the cycle, from 0 to 1
		target uint32
	}
	turns := make([]turn, 0, sum/divisor)
	for i := range targets {
		n := targets[i].Weight / divisor
		for k := range n {
			turns = append(turns, turn{(float64(k) + 0.5) / float64(n), uint32(i)})
		}
	}
	slices.SortStableFunc(turns, func(a, b turn) int { return cmp.Compare(a.at, b.at) })
	cycle := make([]uint32, len(turns))
	for i, t := range turns {
		cycle[i] = t.target
	}
	return cycle, nil
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
