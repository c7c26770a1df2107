package routing

import (
	"slices"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/lua/pattern"
)

// Shadow says that no request takes the route at Index, since the one at By is asked
// first, and matches all that it does.
type Shadow struct{ Index, By int }

// Unreachable finds such routes among those that have passed their checks. It names
// certain cases only: methods, patterns, and conditions that are the same.
func Unreachable(list []*Config) (found []Shadow) {
	patterns := make([][]*pattern.Pattern, len(list))
	for i, c := range list {
		patterns[i] = c.patterns()
		for j := range i {
			if list[j].covers(c) && coverAll(patterns[j], patterns[i]) {
				found = append(found, Shadow{i, j})
				break
			}
		}
	}
	return found
}

// covers reports whether all but the path of a route is as another's, or wider.
func (c *Config) covers(other *Config) bool {
	methods, others := c.AllMethods(), other.AllMethods()
	if methods != nil && (others == nil || slices.ContainsFunc(others, func(m string) bool { return !slices.Contains(methods, m) })) {
		return false
	}
	if len(c.Clients) > 0 && !slices.Equal(c.Clients, other.Clients) {
		return false
	}
	return within(c.Headers, other.Headers) && within(c.Query, other.Query) && within(c.Cookies, other.Cookies)
}

func within(conditions, others map[string]string) bool {
	for name, value := range conditions {
		if has, ok := others[name]; !ok || has != value {
			return false
		}
	}
	return true
}

// coverAll reports whether each of the other patterns is covered by one of the first;
// none is every path.
func coverAll(of, others []*pattern.Pattern) bool {
	if len(of) == 0 {
		return true
	}
	return len(others) > 0 && !slices.ContainsFunc(others, func(other *pattern.Pattern) bool {
		return !slices.ContainsFunc(of, func(p *pattern.Pattern) bool { return p.Covers(other) })
	})
}

// Warn tells of what a route that has passed its check allows and is seldom meant.
// slashes says that a slash at the end of a path makes a difference.
func (c *Config) Warn(policies int, slashes bool, all []*Config, warn func(field any, format string, args ...any)) {
	for i := range c.Path {
		if meant := pattern.Meant(c.Path[i]); meant != "" {
			warn(&c.Path[i], "the path %q matches just that text: did you mean %q?", c.Path[i], meant)
		}
	}
	if policies == 0 || c.Methods != nil && !slices.Contains(c.Methods, "GET") {
		return
	}
	for i := range c.Path {
		root, below := cutCatchAll(c.Path[i])
		if slashes && ends(c.Path[i]) && !slices.ContainsFunc(all, func(other *Config) bool { return other.has(c.Path[i] + "/") }) {
			warn(&c.Path[i], "the route's policies guard %s, and not %s/, which no route is for: expected path: [%s, %s/], or strip_slashes", c.Path[i], c.Path[i], c.Path[i], c.Path[i])
		}
		if !below || slices.ContainsFunc(all, func(other *Config) bool { return other.has(root) }) {
			continue
		}
		warn(&c.Path[i], "the route's policies guard what is below %s, and not %s itself, which no route is for: expected path: [%s, %s]", root, root, root, c.Path[i])
	}
}

// ends reports whether a pattern ends within a segment.
func ends(text string) bool { return !strings.HasSuffix(text, "/") && !strings.HasSuffix(text, "*") }

// cutCatchAll cuts "/*" off a pattern; below is false where there is nothing before it.
func cutCatchAll(text string) (root string, below bool) {
	n := len(text) - len("/*")
	if n <= 0 || text[n:] != "/*" {
		return "", false
	}
	return text[:n], true
}

func (c *Config) has(text string) bool {
	wanted, err := pattern.Parse(text)
	return err != nil || coverAll(c.patterns(), []*pattern.Pattern{wanted})
}
