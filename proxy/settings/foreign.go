package settings

// foreigner is a section that knows keys which only the earlier Keystone Gateway
// had there: Foreign says what takes the place of one, as a part of a sentence; ""
// is a key that it doesn't know.
type foreigner interface{ Foreign(key string) string }

// Unknown is a key that its section doesn't have.
type Unknown struct {
	Key          string
	Section      string // its path, as in "tenants[0]"; "" is the top
	Line, Column int
	Instead      string // what takes its place, if it is a key of the earlier Keystone Gateway
}

// Unknown returns the keys of the file that their sections don't have, in its
// order.
func (d *Document) Unknown() []Unknown { return d.unknown }

// Migrate is the command that makes files of the earlier Keystone Gateway files
// of this.
const Migrate = "keystone-gateway migrate OLD > NEW"
