package settings

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a span of time in a configuration file, never negative: "5s",
// "250ms", "1m30s", or a plain number of seconds, which may have a fraction.
type Duration time.Duration

// Std returns d as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String returns the shortest form that reads back as d: "5s", "1m30s", "2h".
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalText returns String.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads a duration with units or a number of seconds. It refuses
// negative values and those above some 292 years, and leaves d as it was then.
func (d *Duration) UnmarshalText(text []byte) error {
	value, ok := parseDuration(string(text))
	if !ok {
		return fmt.Errorf("expected a duration like 5s or a number of seconds, got %q", clip(string(text)))
	}
	if value < 0 {
		return fmt.Errorf("expected a duration of 0 or more, got %q", clip(string(text)))
	}
	*d = Duration(value)
	return nil
}

func parseDuration(s string) (time.Duration, bool) {
	if value, err := time.ParseDuration(s); err == nil {
		return value, true
	}
	seconds, ok := parseNumber(s)
	if !ok || math.Abs(seconds) >= math.MaxInt64/float64(time.Second) {
		return 0, false
	}
	return time.Duration(math.Round(seconds * float64(time.Second))), true
}

// parseNumber reads a decimal number. What strconv takes beyond that
// (infinities, NaN, hexadecimal) is no number in a configuration file.
func parseNumber(s string) (float64, bool) {
	if strings.Trim(s, "+-.0123456789eE") != "" {
		return 0, false
	}
	value, err := strconv.ParseFloat(s, 64)
	return value, err == nil
}

// clip shortens what an error message quotes from the file.
func clip(s string) string {
	const most = 80
	runes := []rune(s[:min(len(s), 4*most)])
	if len(runes) <= most {
		return s
	}
	return string(runes[:most]) + "…"
}
