package settings

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/token"
)

// What a file may hold. The YAML parser recurses per level and once more per key
// of a block mapping, and a stack that outgrows its bound ends the process
// without a panic to recover, so tokens are counted before they are parsed.
const (
	maxSource   = 16 << 20 // bytes
	maxDepth    = 100      // levels of lists and mappings
	maxSiblings = 10_000   // keys of one block mapping and of those around it
	maxNulls    = 10_000   // empty values; the parser inserts each at a cost of the whole file
	maxGap      = 1000     // empty lines in a row; in a block scalar the scanner reads them all again at each
	maxExpanded = 1 << 20  // values that aliases and merges add to those written
)

// level is an open block list or mapping.
type level struct{ column, keys int }

// meter walks the tokens of a file and keeps what the parser's recursion would
// hold at each of them.
type meter struct {
	levels    []level
	keys      int          // sum over levels
	flow      int          // open [ and {
	run       int          // tags, anchors and the like without a value between them
	pairs     int          // colons since the last comma or bracket inside [ ] or { }
	nulls     int          // empty values so far
	start     int          // column at which the current entry began
	documents int          // --- and ... so far
	prev      *token.Token // the token before
}

// measure returns the first token at which a limit is passed, and which limit.
func measure(tokens token.Tokens) (*token.Token, string) {
	m := meter{}
	for _, tk := range tokens {
		if tk.Type == token.CommentType || tk.Position == nil {
			continue
		}
		m.begin(tk)
		m.take(tk)
		m.prev = tk
		if problem := m.exceeded(); problem != "" {
			return tk, problem
		}
	}
	return nil, ""
}

// begin finds the column of the entry that tk belongs to.
func (m *meter) begin(tk *token.Token) {
	if m.prev == nil {
		m.start = tk.Position.Column
		return
	}
	newLine := tk.Position.Line != m.prev.Position.Line
	if isIndicator(m.prev) && m.isEmptyBefore(tk, newLine) {
		m.nulls++
	}
	if newLine || m.prev.Type == token.SequenceEntryType || m.prev.Type == token.MappingKeyType {
		m.start = tk.Position.Column
	}
}

func isIndicator(tk *token.Token) bool {
	return tk.Type == token.MappingValueType || tk.Type == token.SequenceEntryType
}

// isEmptyBefore tells whether the indicator before tk has no value.
func (m *meter) isEmptyBefore(tk *token.Token, newLine bool) bool {
	switch tk.Type {
	case token.CollectEntryType, token.MappingEndType, token.SequenceEndType:
		return true
	case token.SequenceEntryType:
		return m.prev.Type == token.SequenceEntryType && newLine && tk.Position.Column <= m.start
	}
	return newLine && m.flow == 0 && tk.Position.Column <= m.start
}

func (m *meter) take(tk *token.Token) {
	switch tk.Type {
	case token.DocumentHeaderType, token.DocumentEndType:
		*m = meter{nulls: m.nulls, documents: m.documents + 1, start: tk.Position.Column}
	case token.AnchorType, token.TagType:
		m.run++
		return
	case token.StringType:
		if m.prev != nil && m.prev.Type == token.AnchorType {
			return // the anchor's name
		}
	case token.SequenceStartType, token.MappingStartType:
		m.flow, m.pairs = m.flow+1, 0
	case token.SequenceEndType, token.MappingEndType:
		m.flow, m.pairs = max(0, m.flow-1), 0
	case token.CollectEntryType:
		m.pairs = 0
	case token.SequenceEntryType, token.MappingKeyType:
		if m.flow > 0 {
			m.run++
			return
		}
		m.open(tk.Position.Column, 0)
	case token.MappingValueType:
		if m.flow > 0 {
			m.pairs++
		} else {
			m.open(m.start, 1)
		}
	}
	m.run = 0
}

// open closes the levels to the right of column and enters the one at it.
func (m *meter) open(column, keys int) {
	for n := len(m.levels); n > 0 && m.levels[n-1].column > column; n-- {
		m.keys -= m.levels[n-1].keys
		m.levels = m.levels[:n-1]
	}
	if n := len(m.levels); n == 0 || m.levels[n-1].column < column {
		m.levels = append(m.levels, level{column: column})
	}
	m.levels[len(m.levels)-1].keys += keys
	m.keys += keys
}

func (m *meter) exceeded() string {
	switch {
	case len(m.levels)+m.flow > maxDepth, m.run > maxDepth, m.pairs > maxDepth:
		return fmt.Sprintf("nested too deeply: expected at most %d levels", maxDepth)
	case m.keys > maxSiblings:
		return fmt.Sprintf("too many keys: expected at most %d in a mapping", maxSiblings)
	case m.documents > maxDepth:
		return "too many documents: expected one document in the file"
	case m.nulls > maxNulls:
		return fmt.Sprintf("too many empty values: expected at most %d in a file", maxNulls)
	}
	return ""
}

// lineOf returns line number n, from 1, of src.
func lineOf(src string, n int) string {
	for range n - 1 {
		_, rest, ok := strings.Cut(src, "\n")
		if !ok {
			return ""
		}
		src = rest
	}
	line, _, _ := strings.Cut(src, "\n")
	return line
}
