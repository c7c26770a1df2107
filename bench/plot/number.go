package plot

import (
	"math"
	"strconv"
	"strings"
)

// largest is the largest value that is drawn: differences and ratios of such
// values are still finite.
const largest = 1e300

// finite reports whether v can be drawn.
func finite(v float64) bool { return math.Abs(v) <= largest }

// prefixes stand for powers of 1000 from the first on.
var prefixes = []string{"", "k", "M", "G", "T"}

// format writes v for a label, with three digits: 0.123, 1,234, 12.3k.
func format(v float64) string {
	if !finite(v) {
		return "n/a"
	}
	size := math.Abs(v)
	switch {
	case size == 0:
		return "0"
	case size < 1e-4 || size >= 999.5e12:
		return strings.Replace(strconv.FormatFloat(v, 'g', 3, 64), "e+", "e", 1)
	case size >= 999.5 && size < 9999.5:
		return thousands(strconv.FormatFloat(v, 'f', 0, 64))
	}
	prefix := 0
	for size >= 9999.5 || prefix > 0 && size >= 999.5 {
		size, v, prefix = size/1000, v/1000, prefix+1
	}
	decimals := 2 - int(math.Floor(math.Log10(size)+1e-9))
	return trim(strconv.FormatFloat(v, 'f', max(decimals, 0), 64)) + prefixes[prefix]
}

// formatTicks writes ticks that are step apart, with as many decimals as tell
// them apart.
func formatTicks(ticks []float64, step float64) []string {
	size := 0.0
	for _, v := range ticks {
		size = max(size, math.Abs(v))
	}
	divisor, prefix := 1.0, 0
	for size/divisor >= 1e4 && prefix < len(prefixes)-1 {
		divisor, prefix = divisor*1000, prefix+1
	}
	labels := make([]string, len(ticks))
	decimals := int(math.Ceil(-math.Log10(step/divisor) - 1e-9))
	for i, v := range ticks {
		switch {
		case v == 0:
			labels[i] = "0"
		case size < 1e-4 || size >= 1e16 || decimals > 9:
			labels[i] = strings.Replace(strconv.FormatFloat(v, 'g', 6, 64), "e+", "e", 1)
		default:
			labels[i] = thousands(strconv.FormatFloat(v/divisor, 'f', max(decimals, 0), 64)) + prefixes[prefix]
		}
	}
	return labels
}

// percent writes a share of 0 to 1.
func percent(share float64) string { return strconv.FormatFloat(100*share, 'f', 1, 64) + " %" }

// trim takes off the zeros at the end of a fraction.
func trim(s string) string {
	if !strings.Contains(s, ".") {
		return s
	}
	return strings.TrimRight(strings.TrimRight(s, "0"), ".")
}

// thousands sets commas into the whole part of s.
func thousands(s string) string {
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	whole, fraction, found := strings.Cut(s, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if found {
		whole += "." + fraction
	}
	return sign + whole
}
