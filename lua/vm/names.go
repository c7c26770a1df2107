package vm

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/yuin/gopher-lua/ast"
)

// maxNames bounds the names that are kept of one line.
const maxNames = 8

// names are what a script calls and indexes, by line: gopher-lua's messages
// don't say what was nil.
type names map[int][]string

func (n names) note(line int, name string) {
	if name != "" && len(n[line]) < maxNames {
		n[line] = append(n[line], strings.Clone(name))
	}
}

// nameOf writes an expression as the script does, if it is a name with fields.
func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.IdentExpr:
		return e.Value
	case *ast.AttrGetExpr:
		object := nameOf(e.Object)
		if key, ok := e.Key.(*ast.StringExpr); ok && object != "" {
			return object + "." + key.Value
		}
	}
	return ""
}

// called writes what a call calls.
func called(e *ast.FuncCallExpr) string {
	if e.Receiver == nil {
		return nameOf(e.Func)
	}
	if receiver := nameOf(e.Receiver); receiver != "" {
		return receiver + ":" + e.Method
	}
	return ""
}

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
		return message + p.calls.hint(line, "")
	case strings.HasPrefix(text, " attempt to index a non-table object"):
		_, key, found := strings.Cut(text, "with key '")
		key, _, closed := strings.Cut(key, "'")
		if found && closed {
			return message + p.indexed.hint(line, key)
		}
	}
	return message
}

// hint lists the names of a line, or those that end with a key, without it.
func (n names) hint(line int, key string) string {
	var list []string
	for _, name := range n[line] {
		if key == "" {
			list = append(list, name)
			continue
		}
		if at := strings.LastIndexAny(name, ".:"); at > 0 && name[at+1:] == key {
			list = append(list, name[:at])
		}
	}
	switch len(list) {
	case 0:
		return ""
	case 1:
		if key == "" {
			return fmt.Sprintf(" (%s is not a function)", list[0])
		}
		return fmt.Sprintf(" (%s is not a table)", list[0])
	}
	return fmt.Sprintf(" (one of: %s)", strings.Join(list, ", "))
}
