package settings

import "strings"

// foreigner is a section that knows keys which aren't its own: Foreign says where
// such a thing is set, as a part of a sentence; "" is a key that it doesn't know.
type foreigner interface{ Foreign(key string) string }

// Unknown is a key that its section doesn't have.
type Unknown struct {
	Key          string
	Section      string // its path, as in "tenants[0]"; "" is the top
	Line, Column int
	Says         string // what the section says of it, or nothing
}

// Unknown returns the keys of the file that their sections don't have, in its
// order.
func (d *Document) Unknown() []Unknown { return d.unknown }

// Earlier words what a section says of a key that only the earlier Keystone
// Gateway had: what takes its place, and how to get there.
func Earlier(instead string) string { return earlierBegins + instead + earlierEnds }

// Instead returns what Earlier was given, or "" where it says something else.
func Instead(says string) string {
	rest, ok := strings.CutPrefix(says, earlierBegins)
	instead, ends := strings.CutSuffix(rest, earlierEnds)
	if !ok || !ends {
		return ""
	}
	return instead
}

// Migrate is the command that makes files of the earlier Keystone Gateway files
// of this.
const Migrate = "keystone-gateway migrate OLD > NEW"

const (
	earlierBegins = "it is a key of the earlier Keystone Gateway: "
	earlierEnds   = "; " + Migrate + " makes a file of this one of it, and says what is left to do"
)
