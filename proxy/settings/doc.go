// Package settings reads a YAML document into Go structs and reports every
// error of it at once, with file, line and column.
//
// A section of the configuration is a struct whose fields carry a `yaml:"name"`
// tag and a comment. The same struct gives the decoder its keys, the JSON
// Schema its types and descriptions, and the reference manual its tables:
//
//	into := DefaultConfig()
//	doc := settings.Decode("config.yaml", src, &into, os.LookupEnv)
//	into.Check(doc)
//	if err := doc.Err(); err != nil { … }
//
// # Tags
//
//   - `yaml:"name"` names the key. Fields without the tag, or named "-", are not
//     read. `yaml:",inline"` lifts the fields of a struct into its parent.
//   - `enum:"a,b"` lists the only words that a string (or each element of a list
//     or map of strings) may have. The decoder enforces it.
//   - `required:"true"` marks a key as required in the schema and the manual.
//     Reporting its absence is left to the section's Check.
//   - `secret:"true"` masks a value in [Effective] and in error messages, and
//     keeps its default out of schema and manual. `secret:"url"` masks the
//     password inside a URL.
//   - `restart:"true"` says that a change takes effect only at the next start
//     ([KeepUntilRestart]), and has the manual say so; with "section" all of the
//     section stays as it was until then.
//
// # Values
//
// The type of a field decides how a scalar is read, quoted or not: `port: "80"`
// and `port: 80` are the same. null leaves the default. Lists replace a default
// list; maps and structs are laid over their defaults. A fresh element of a list
// or map whose pointer has a SetDefaults method gets it called before it is
// decoded. A section with a method OneKey has exactly one of its keys, which its Check
// has to see to; one with ByName too may be written as that key's name alone.
//
// ${NAME} and ${NAME:-default} inside a scalar value are replaced from the
// environment, and ${file:PATH} by what the file holds, less the newline at its
// end, LF or CR LF, after the YAML was parsed, so that no value can add keys; what
// a file gives is a secret, which no message tells and [Effective] masks
// ([Secrets]). $${ stands for a literal ${. Keys are never expanded. Inside [ ] and { } such a
// value needs quotes, because YAML takes its braces for a mapping.
//
// # Checks
//
// Positions are kept by address: run the Check methods on the decoded struct
// itself, not on a copy, and before anything is appended or moved. Elements of
// maps have an address only where the map holds pointers.
//
// The package knows no key of the gateway and imports no package of it: what a
// section means, and whether its values make sense together, is checked beside
// that section's code.
package settings
