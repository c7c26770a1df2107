package upstream

// maxSequence bounds the length of a cycle: 128 KiB a pool.
const maxSequence = 65536

// sequence returns one cycle of smooth weighted round robin: each index i as
// often as weights[i], divided by their greatest common divisor, spread as
// evenly as can be. An index of weight 0 doesn't appear. Where the cycle would
// be longer than maxSequence the weights are scaled down, none below 1. There
// are at most 65536 weights.
func sequence(weights []int) []uint16 {
	weights = scale(weights)
	total, largest := 0, 0
	for _, w := range weights {
		total += w
		largest = max(largest, w)
	}
	order := make([]uint16, 0, total)
	if largest == 1 { // equal weights: no need for n² steps
		for i, w := range weights {
			if w == 1 {
				order = append(order, uint16(i))
			}
		}
		return order
	}
	current := make([]int, len(weights))
	for range total {
		best := -1
		for i, w := range weights {
			current[i] += w
			if w > 0 && (best < 0 || current[i] > current[best]) {
				best = i
			}
		}
		current[best] -= total
		order = append(order, uint16(best))
	}
	return order
}

// scale returns the weights with the same proportions and the shortest cycle.
func scale(weights []int) []int {
	total := 0
	for _, w := range weights {
		total += w
	}
	scaled := make([]int, len(weights))
	for i, w := range weights {
		scaled[i] = w
		if w > 0 && total > maxSequence {
			scaled[i] = max(1, w*maxSequence/total)
		}
	}
	divisor := 0
	for _, w := range scaled {
		divisor = gcd(divisor, w)
	}
	for i := range scaled {
		scaled[i] /= max(divisor, 1)
	}
	return scaled
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
