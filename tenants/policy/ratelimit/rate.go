package ratelimit

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Rate is a number of requests in a time, such as 10/s.
type Rate struct {
	Count int64
	Per   time.Duration
}

// maxCount bounds the number of a rate, and a burst.
const maxCount = 1_000_000_000

// units are the times that have a letter.
var units = map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}

// UnmarshalText reads a number, a slash, and a time: s, m, h, d, or a duration like 10s.
func (r *Rate) UnmarshalText(text []byte) error {
	number, unit, _ := strings.Cut(string(text), "/")
	count, err := strconv.ParseUint(number, 10, 63)
	per, known := units[unit]
	if days, ok := strings.CutSuffix(unit, "d"); ok && !known {
		n, err := strconv.ParseUint(days, 10, 16)
		per, known = time.Duration(n)*units["d"], err == nil
	}
	if !known {
		per, _ = time.ParseDuration(unit)
	}
	switch {
	case err != nil || per <= 0:
		return fmt.Errorf("expected a rate like 10/s, 300/m, 1000/h, 5000/d or 20/10s, got %.40q", text)
	case count < 1 || count > maxCount:
		return fmt.Errorf("expected a rate of 1 to %d requests, got %.40q", maxCount, text)
	}
	*r = Rate{int64(count), per}
	return nil
}

// MarshalText returns what reads back as r.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

func (r Rate) String() string {
	if r.Per == 0 {
		return ""
	}
	for unit, per := range units {
		if r.Per == per {
			return strconv.FormatInt(r.Count, 10) + "/" + unit
		}
	}
	return strconv.FormatInt(r.Count, 10) + "/" + r.Per.String()
}
