package generator

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// count writes a number with separators between its thousands.
func count(n int64) string {
	digits := strconv.FormatInt(n, 10)
	var b strings.Builder
	for i, c := range []byte(digits) {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteByte(c)
	}
	return b.String()
}

// rate writes a number a second: whole, but for small ones.
func rate(perSecond float64) string {
	if perSecond < 100 {
		return strconv.FormatFloat(perSecond, 'f', 1, 64)
	}
	return count(int64(perSecond + 0.5))
}

// duration writes milliseconds with three digits or so, in a fitting unit.
func duration(ms float64) string {
	switch {
	case ms == 0:
		return "0"
	case ms < 1:
		return digits(ms*1000) + "µs"
	case ms < 1000:
		return digits(ms) + "ms"
	}
	return digits(ms/1000) + "s"
}

func digits(v float64) string {
	switch {
	case v < 9.995:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case v < 99.95:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}

// size writes bytes.
func size(bytes float64) string {
	for _, unit := range []string{"B", "KiB", "MiB", "GiB"} {
		if bytes < 1000 {
			if unit == "B" {
				return fmt.Sprintf("%.0f B", bytes)
			}
			return digits(bytes) + " " + unit
		}
		bytes /= 1024
	}
	return digits(bytes) + " TiB"
}

func percent(share float64) string {
	switch p := share * 100; {
	case p >= 99.95 && share < 1:
		return "> 99.9 %"
	case p >= 10:
		return fmt.Sprintf("%.3g %%", p)
	case p > 0 && p < 0.01:
		return "< 0.01 %"
	default:
		return fmt.Sprintf("%.2g %%", p)
	}
}

// short is a duration without needless digits.
func short(d time.Duration) string {
	if d >= 100*time.Millisecond {
		d = d.Round(10 * time.Millisecond)
	}
	return d.String()
}
