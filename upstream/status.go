package upstream

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

const (
	minStatus = 100
	maxStatus = 599
)

// StatusSet is a set of HTTP status codes. The zero value is empty. It is a
// value: copies are independent.
type StatusSet struct {
	bits [maxStatus/64 + 1]uint64
}

// Contains reports whether the code is in the set.
func (s StatusSet) Contains(code int) bool {
	return code >= minStatus && code <= maxStatus && s.bits[code/64]&(1<<(code%64)) != 0
}

// IsZero reports whether the set is empty.
func (s StatusSet) IsZero() bool { return s == StatusSet{} }

// UnmarshalText parses codes and ranges separated by commas: "200-299,404".
// On error the set is left as it was.
func (s *StatusSet) UnmarshalText(text []byte) error {
	var set StatusSet
	for part := range strings.SplitSeq(string(text), ",") {
		low, high, err := parseRange(strings.TrimSpace(part))
		if err != nil {
			return err
		}
		set.add(low, high)
	}
	*s = set
	return nil
}

// MarshalText returns the form that UnmarshalText reads.
func (s StatusSet) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String returns the set in its shortest form, such as "200-299,404".
func (s StatusSet) String() string {
	var b strings.Builder
	for low := minStatus; low <= maxStatus; low++ {
		if !s.Contains(low) {
			continue
		}
		high := low
		for s.Contains(high + 1) {
			high++
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(low))
		if high > low {
			b.WriteString("-" + strconv.Itoa(high))
		}
		low = high
	}
	return b.String()
}

func (s *StatusSet) add(low, high int) {
	for code := low; code <= high; code++ {
		s.bits[code/64] |= 1 << (code % 64)
	}
}

func statusRange(low, high int) StatusSet {
	var s StatusSet
	s.add(low, high)
	return s
}

func parseRange(part string) (low, high int, err error) {
	first, last, isRange := strings.Cut(part, "-")
	if !isRange {
		last = first
	}
	low, errLow := parseStatus(first)
	high, errHigh := parseStatus(last)
	if err := errors.Join(errLow, errHigh); err != nil || low > high {
		return 0, 0, fmt.Errorf("%q is not a status or a range of them, expected codes from %d to %d such as 200-299,404", part, minStatus, maxStatus)
	}
	return low, high, nil
}

func parseStatus(text string) (int, error) {
	code, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		return 0, err
	}
	if code < minStatus || code > maxStatus {
		return 0, strconv.ErrRange
	}
	return code, nil
}
