package settings

import "strings"

// notYAML says what is wrong with the syntax at some place, in the gateway's
// words: what the parser says of it is only looked at.
func notYAML(said, line string) string {
	has := func(parts ...string) bool {
		for _, part := range parts {
			if strings.Contains(said, part) {
				return true
			}
		}
		return false
	}
	indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
	switch {
	case strings.Contains(indent, "\t"):
		return "the line is indented with a tab, expected spaces"
	case has("cannot start any token", "tab character"):
		return "there is a tab or another character that nothing begins with, expected spaces, or quotes around the text"
	case has("sequence end token ']'", "',' or ']'"):
		return "the list that begins with [ doesn't end, expected a comma or ]"
	case has("'}'", "flow map content"):
		return "the mapping that begins with { doesn't end, expected a comma or }"
	case has("corresponding to ']'", "corresponding to '}'"):
		return "there is a ] or } without its [ or {"
	case has("double-quoted", "single-quoted"):
		return "the text in quotes doesn't end, expected the same quote at its end"
	case has("escape character", "UTF-16", "UTF-32", "surrogate"):
		return `there is an escape that isn't known, expected \\ for a backslash, or single quotes around the text`
	case has("block sequence entries", "sequence element", "sequence entries"):
		return `a "- " is not where a list can be, expected it on a line of its own, below its key`
	case has("unexpected key name", "non-map value", "map key-value", "value is not allowed", "mapping value is not allowed", "unexpected map key", "unexpected scalar value", "delimiter ':'", "unexpected end content", "implicit line break"):
		return wrongLine(line)
	case has("alias"):
		return "an alias (*) is not where one can be, or has no name; quote a text that begins with *"
	case has("anchor"):
		return "an anchor (&) is not where one can be, or has no name; quote a text that begins with &"
	case has("tag"):
		return "a tag (!) is not where one can be; quote a text that begins with !"
	case has("invalid key for this map", "map-key", "merge key", "map key"):
		return "the key is not a plain word, expected one"
	case has("directive", "YAML version"):
		return "a directive (%) is not where one can be, expected none"
	case has("document separator", "document header", "header option", "multi-line header", "multi-line content", "document folded", "document number", "indent"):
		return "a text of several lines (| or >) is not begun or indented as it must be, expected it below its key, with more spaces"
	}
	return wrongLine(line)
}

// wrongLine is for a line that fits nowhere.
func wrongLine(line string) string {
	text := strings.TrimSpace(line)
	key, value, pair := strings.Cut(text, ":")
	begin := strings.TrimSpace(value)
	switch {
	case pair && begin != "" && strings.ContainsAny(begin[:1], "*&!@`%|>"):
		return "the value begins with " + begin[:1] + ", which means something in YAML, expected quotes around it"
	case pair && value != "" && !strings.HasPrefix(value, " ") && !strings.HasPrefix(value, "//") && !strings.ContainsAny(key, " \"'{["):
		return `there is no space after the colon of "` + clip(key) + `:", expected one`
	case strings.Contains(value, ": "):
		return "the value has a colon and a space in it, expected quotes around it"
	case strings.HasSuffix(text, ";"), strings.HasSuffix(text, "{"), strings.HasPrefix(text, "}"):
		return `the line looks like another language's, expected "key: value" with the keys of a section indented below it`
	case !pair:
		return `the line is no "key: value" and no "- element", expected one of them, indented as its neighbours are`
	}
	return "the line doesn't fit to those around it, expected it to be indented as its neighbours are"
}
