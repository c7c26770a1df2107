package migrate

import (
	"bytes"
	"regexp"
	"strings"
)

// text is a file by its lines, which keep their numbers until the end.
type text struct {
	marked bool             // it begins with a byte order mark
	lines  []string         // with what ends them
	after  map[int][]string // lines to be added behind a line, from 1; behind 0 is the top
}

func newText(src []byte) *text {
	t := &text{after: map[int][]string{}}
	src, t.marked = bytes.CutPrefix(src, []byte(bom))
	for line := range bytes.Lines(src) {
		t.lines = append(t.lines, string(line))
	}
	if last := len(t.lines) - 1; last >= 0 && !strings.HasSuffix(t.lines[last], "\n") {
		t.lines[last] += "\n"
	}
	return t
}

func (t *text) bytes() []byte {
	var out bytes.Buffer
	add := func(list []string) {
		for _, line := range list {
			out.WriteString(line + "\n")
		}
	}
	if t.marked {
		out.WriteString(bom)
	}
	add(t.after[0])
	for i, line := range t.lines {
		out.WriteString(line)
		add(t.after[i+1])
	}
	return out.Bytes()
}

// bom is what some editors put before a text; it stays the first thing.
const bom = "\ufeff"

// begin adds lines before the first key.
func (t *text) begin(lines ...string) {
	at := 0
	for i, line := range t.lines {
		trimmed := strings.TrimSpace(line)
		if trimmed == "---" || strings.HasPrefix(trimmed, "--- #") {
			at = i + 1
		}
		if trimmed != "" && !strings.HasPrefix(trimmed, "#") && !strings.HasPrefix(trimmed, "%") {
			break
		}
	}
	t.after[at] = append(t.after[at], lines...)
}

// comment makes a comment of the key at a place, and of all that belongs to it.
// It can't where other things stand before the key.
func (t *text) comment(line, column int) bool {
	indent, ok := t.keyAt(line, column)
	if !ok {
		return false
	}
	first := t.lines[line-1]
	t.lines[line-1] = first[:indent] + "# " + first[indent:]
	value := strings.TrimSpace(first[indent+strings.Index(first[indent:], ":")+1:])
	lists := value == "" || strings.HasPrefix(value, "#") // whose dashes may stand below the key
	blank := 0
	for i := line; i < len(t.lines); i++ {
		rest := strings.TrimSpace(t.lines[i])
		if rest == "" {
			blank++
			continue
		}
		depth := len(t.lines[i]) - len(strings.TrimLeft(t.lines[i], " "))
		if depth < indent || depth == indent && (!lists || rest != "-" && !strings.HasPrefix(rest, "- ")) {
			break
		}
		for ; blank >= 0; blank-- { // empty lines in between, and this one
			t.hide(i-blank, indent)
		}
		blank = 0
	}
	return true
}

// hide makes a comment of a line, by its index.
func (t *text) hide(i, indent int) {
	if line := t.lines[i]; strings.TrimSpace(line) == "" {
		t.lines[i] = strings.Repeat(" ", indent) + "#\n"
	} else {
		t.lines[i] = line[:indent] + "# " + line[indent:]
	}
}

// keyAt returns where the key at a place begins, if nothing but spaces and the
// dashes of lists stands before it.
func (t *text) keyAt(line, column int) (indent int, ok bool) {
	if line < 1 || line > len(t.lines) {
		return 0, false
	}
	text := t.lines[line-1]
	indent = len(text) - len(strings.TrimLeft(text, " -"))
	return indent, len([]rune(text[:indent])) == column-1
}

// pair is a key with a plain value, in one line.
var pair = regexp.MustCompile(`^([A-Za-z_]+):[ \t]+("[^"\\]*"|'[^']*'|[^\s"'#{}\[\]&*!|>,][^#\[\]{},]*?)([ \t]+#.*)?[\r\n]*$`)

// rename makes the key at a place, with a plain value, another one with a list of
// it.
func (t *text) rename(line, column int, from, to string) bool {
	indent, ok := t.keyAt(line, column)
	if !ok {
		return false
	}
	parts := pair.FindStringSubmatch(t.lines[line-1][indent:])
	if parts == nil || parts[1] != from {
		return false
	}
	t.lines[line-1] = t.lines[line-1][:indent] + to + ": [" + parts[2] + "]" + parts[3] + "\n"
	return true
}

// insert adds a key behind the line that has another one of the same section,
// which has its value in that line.
func (t *text) insert(line int, behind, added string) bool {
	if line < 1 || line > len(t.lines) {
		return false
	}
	text := t.lines[line-1]
	indent := len(text) - len(strings.TrimLeft(text, " -"))
	parts := pair.FindStringSubmatch(text[indent:])
	if parts == nil || parts[1] != behind {
		return false
	}
	t.after[line] = append(t.after[line], strings.Repeat(" ", indent)+added)
	return true
}
