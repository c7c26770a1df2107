package settings

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes in a configuration file, never negative: "10MiB",
// "64KiB", "1MB", "512B", or a plain number of bytes. KiB, MiB, GiB and TiB are
// powers of 1024; KB, MB, GB and TB are powers of 1000; case doesn't matter.
type Size int64

// Int64 returns the number of bytes.
func (s Size) Int64() int64 { return int64(s) }

// String returns s in the largest binary unit that divides it: "10MiB", "1000B".
func (s Size) String() string {
	for _, u := range binaryUnits() {
		if s != 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

// MarshalText returns String.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a size with a unit or a number of bytes. It refuses
// negative values, parts of a byte, and more than an int64 holds, and leaves s
// as it was then.
func (s *Size) UnmarshalText(text []byte) error {
	value, ok := parseSize(string(text))
	if !ok {
		return fmt.Errorf("expected a size like 10MiB or a number of bytes, got %q", clip(string(text)))
	}
	if value < 0 {
		return fmt.Errorf("expected a size of 0 or more, got %q", clip(string(text)))
	}
	*s = Size(value)
	return nil
}

type unit struct {
	name  string
	bytes int64
}

func binaryUnits() []unit {
	return []unit{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}
}

func units() []unit {
	return append(binaryUnits(), unit{"TB", 1e12}, unit{"GB", 1e9}, unit{"MB", 1e6}, unit{"KB", 1e3}, unit{"B", 1})
}

func parseSize(s string) (int64, bool) {
	factor := int64(1)
	for _, u := range units() {
		at := len(s) - len(u.name)
		if at >= 0 && strings.EqualFold(s[at:], u.name) {
			s, factor = strings.TrimRight(s[:at], " "), u.bytes
			break
		}
	}
	if whole, err := strconv.ParseInt(s, 10, 64); err == nil {
		if whole > math.MaxInt64/factor {
			return 0, false
		}
		return max(whole, -1) * factor, true
	}
	number, ok := parseNumber(s)
	bytes := number * float64(factor)
	if !ok || math.Abs(bytes) >= math.MaxInt64 || bytes != math.Trunc(bytes) {
		return 0, false
	}
	return int64(bytes), true
}
