package lua

import (
	"fmt"
	"slices"

	"github.com/keystone-gateway/keystone-gateway/lua/pattern"
)

// Claim is a pattern that the configuration has a route for: a route of a script for
// the same one would be asked first, always.
type Claim struct {
	Methods []string // nil is any
	Pattern string
	Place   string // in the configuration
}

// sameClaims reports whether two lists are the same wherever they stand.
func sameClaims(a, b []Claim) bool {
	return slices.EqualFunc(a, b, func(a, b Claim) bool { return a.Pattern == b.Pattern && slices.Equal(a.Methods, b.Methods) })
}

// claimed finds out which patterns the configuration claims.
type claimed map[string][]Claim // by what patterns match

func newClaimed(list []Claim) claimed {
	c := claimed{}
	for _, claim := range list {
		if parsed, err := pattern.Parse(claim.Pattern); err == nil {
			c[parsed.Shape()] = append(c[parsed.Shape()], claim)
		}
	}
	return c
}

// conflict says where the configuration has a route that one of a script's would keep
// from all or some of its requests; nil: nowhere. A route for one method beside one for
// any is no conflict, as in scripts, where it is the former that counts.
func (c claimed) conflict(r *declaration) error {
	if len(c) == 0 {
		return nil
	}
	parsed, err := pattern.Parse(r.pattern)
	if err != nil {
		return nil //nolint:nilerr // it is reported when it is added
	}
	for _, claim := range c[parsed.Shape()] {
		if r.method != "" && !slices.Contains(claim.Methods, r.method) {
			continue
		}
		method := r.method
		if method == "" {
			method = "any method"
		}
		return fmt.Errorf("%s pattern %q is declared for %s, and %s has a route for %q: expected it in one of the two, since scripts' routes are asked first", r.where, r.pattern, method, claim.Place, claim.Pattern)
	}
	return nil
}
