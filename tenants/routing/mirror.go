package routing

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Share is a part of all: "10%", or 0.1.
type Share float64

// UnmarshalText reads a percentage, or a number from 0 to 1.
func (s *Share) UnmarshalText(text []byte) error {
	number, percent := strings.CutSuffix(strings.TrimSpace(string(text)), "%")
	value, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if percent {
		value /= 100
	}
	if err != nil || !(value >= 0 && value <= 1) {
		return fmt.Errorf("%.40q is not a share, expected a percentage from 0%% to 100%%, or a number from 0 to 1", text)
	}
	*s = Share(value)
	return nil
}

// MarshalText writes a percentage.
func (s Share) MarshalText() ([]byte, error) {
	return append(strconv.AppendFloat(nil, math.Round(float64(s)*1e6)/1e4, 'f', -1, 64), '%'), nil
}

// Mirror is where copies of requests go.
type Mirror struct {
	Pool  int    // among the tenant's
	Share uint64 // of all numbers of 64 bits, those up to this one
}

func newMirror(c *MirrorConfig, index func(name string) int) *Mirror {
	m := &Mirror{Pool: index(c.Pool), Share: math.MaxUint64}
	if c.Share < 1 {
		m.Share = uint64(float64(c.Share) * (1 << 63) * 2)
	}
	return m
}
