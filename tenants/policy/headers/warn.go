package headers

import (
	"maps"
	"slices"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

// Warn is policy.Warner's.
func (c *Config) Warn(warn func(field any, format string, args ...any)) {
	c.Request.warn(warn)
	c.Response.warn(warn)
	for _, fields := range []map[string]*Values{c.Response.Set, c.Response.Add} {
		for name, at := range fields {
			if policy.Folded(name) == "content-encoding" {
				warn(at, "field %q says how the body is encoded, which stays as it is: clients will fail to decode it", name)
			}
		}
	}
}

func (e *Edits) warn(warn func(field any, format string, args ...any)) {
	for i := range e.Remove {
		warnName(warn, &e.Remove[i], e.Remove[i])
	}
	for _, fields := range []map[string]*Values{e.Set, e.Add} {
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			at := fields[name]
			warnName(warn, at, name)
			for i := range *at {
				if foreign := (*at)[i].Foreign(); foreign != "" {
					warn(&(*at)[i], "%q is taken as it stands, and no variable: what is known of each request is ${%s}", foreign, strings.Join((*policy.Template)(nil).LaterVariables(), "}, ${"))
				}
			}
		}
	}
}

// warnName tells of names that are allowed, and mean something else elsewhere.
func warnName(warn func(field any, format string, args ...any), at any, name string) {
	if strings.Contains(name, "*") {
		warn(at, "%q is the field of just that name, since names have no wildcards; expected each name by itself", clip(name))
	}
	if plain, minus := strings.CutPrefix(name, "-"); minus {
		warn(at, "%q is the field of just that name; expected remove: [%s] to remove one", clip(name), clip(plain))
	} else if plain, plus := strings.CutPrefix(name, "+"); plus {
		warn(at, "%q is the field of just that name; expected add: {%s: …} to add one", clip(name), clip(plain))
	}
}
