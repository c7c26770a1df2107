package vm

import (
	"strconv"
	"strings"
)

// Explain adds to a message of gopher-lua's, "name:line: attempt to…", what
// stands on that line. Other messages come back as they are.
func (p *Program) Explain(message string) string {
	rest, ok := strings.CutPrefix(message, p.Name+":")
	if !ok {
		return message
	}
	number, text, _ := strings.Cut(rest, ":")
	line, err := strconv.Atoi(number)
	if err != nil {
		return message
	}
	switch {
	case strings.HasPrefix(text, " attempt to call a non-function object"):
		return message + p.calls.Hint(line, "")
	case strings.HasPrefix(text, " attempt to index a non-table object"):
		_, key, found := strings.Cut(text, "with key '")
		key, _, closed := strings.Cut(key, "'")
		if found && closed {
			return message + p.indexed.Hint(line, key)
		}
	}
	return message
}
