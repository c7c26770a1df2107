package compile

import (
	"fmt"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/lua/syntax"
)

// Bounds of the names that are kept.
const (
	maxNames = 8   // of one line
	maxPath  = 200 // bytes of one
)

// Names are what a source calls or indexes, by line: gopher-lua's messages
// don't say what was nil.
type Names map[int][]string

func (n Names) note(line int32, name string) {
	if l := int(line); name != "" && len(n[l]) < maxNames {
		n[l] = append(n[l], name)
	}
}

// Hint lists the names of a line, or those that end with a key, without it; in
// words for the end of a message.
func (n Names) Hint(line int, key string) string {
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

// baseName is how a path begins.
func baseName(e syntax.Expression) string {
	if name, ok := e.(*syntax.Name); ok {
		return name.Name
	}
	return ""
}

// stepName is a path with a step after it, if that has a name.
func stepName(path string, step *syntax.Step) string {
	key, ok := step.Key.(*syntax.String)
	if !ok || path == "" || len(path)+len(key.Value) > maxPath {
		return ""
	}
	if step.Kind == syntax.MethodCall {
		return path + ":" + key.Value
	}
	return path + "." + key.Value
}

// shortName is the name of what a call calls, for stack traces.
func shortName(a *syntax.Access, last int) string {
	step := &a.Steps[last]
	if step.Kind == syntax.Call && last == 0 {
		if name := baseName(a.Base); name != "" {
			return name
		}
		return "?"
	}
	if step.Kind == syntax.Call {
		step = &a.Steps[last-1]
	}
	if key, ok := step.Key.(*syntax.String); ok && step.Kind != syntax.Call && len(key.Value) <= maxPath {
		return key.Value
	}
	return "?"
}
