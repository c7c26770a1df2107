package upstream

import (
	"fmt"
	"strconv"
	"strings"
)

// Percent is a share of a whole, from 0 to 100, written as "20%" or 20.
type Percent float64

// Of returns the share of n.
func (p Percent) Of(n int) float64 { return float64(n) * float64(p) / 100 }

// UnmarshalText parses "20%" and "20". What may be meant as a fraction is refused.
func (p *Percent) UnmarshalText(text []byte) error {
	number, signed := strings.CutSuffix(strings.TrimSpace(string(text)), "%")
	n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	switch {
	case err != nil || !(n >= 0 && n <= 100) || strings.ContainsAny(number, "xXpP_"):
		return fmt.Errorf("expected a share from 0%% to 100%% such as 20%%, got %q", text)
	case !signed && n > 0 && n < 1:
		return fmt.Errorf("expected a share such as 20%%, got %q, which may be meant as %s%%", text, strconv.FormatFloat(100*n, 'g', 6, 64))
	}
	*p = Percent(n)
	return nil
}

// MarshalText returns the form that UnmarshalText reads.
func (p Percent) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

func (p Percent) String() string { return strconv.FormatFloat(float64(p), 'f', -1, 64) + "%" }
