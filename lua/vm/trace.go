package vm

import (
	"fmt"
	"strings"

	glua "github.com/yuin/gopher-lua"
)

// maxTrace is how many lines a stack trace has; half of it is the innermost.
const maxTrace = 14

// trace writes where a thread is, the innermost function first.
func trace(L *glua.LState) string {
	var frames []*frame
	for f := frameOf(L); f != nil && len(frames) < 1<<16; f = f.Parent {
		frames = append(frames, f)
	}
	var b strings.Builder
	for n, f := range frames {
		if half := maxTrace / 2; len(frames) > maxTrace && n >= half && n < len(frames)-half {
			if n == half {
				b.WriteString("...\n\t")
			}
			continue
		}
		place := "[G]"
		if f.scripted() {
			place = fmt.Sprintf("%s:%d", f.Fn.Proto.SourceName, f.line())
		}
		fmt.Fprintf(&b, "%s: in %s\n\t", place, f.title(L))
		if !f.Fn.IsG && f.TailCall > 0 {
			b.WriteString("(tail calls)\n\t")
		}
	}
	b.WriteString("[G]: ?")
	return b.String()
}

// title is what a function is called in a stack trace.
func (f *frame) title(L *glua.LState) string {
	as := f.calledAs()
	switch {
	case f.Parent == nil && L.Parent == nil:
		return "main chunk"
	case f.Parent == nil:
		return "coroutine"
	case as.kind != "" && as.name != "?":
		return "function '" + Clip(as.name) + "'"
	case f.Fn.IsG:
		return "function (anonymous)"
	}
	return fmt.Sprintf("function <%s:%d>", f.Fn.Proto.SourceName, f.Fn.Proto.LineDefined)
}
