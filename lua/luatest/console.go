package luatest

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Console tells people how a run goes on: its Progress is one for Options.
type Console struct {
	Out io.Writer
	// Terminal says that Out is one: the test that runs is shown in a line
	// that is overwritten, and results have colours, unless Plain.
	Terminal bool
	Plain    bool // no colours
	Verbose  bool // each test, and what it prints

	done, failed int
	line         bool // a line waits to be overwritten
}

// Progress takes an event.
func (c *Console) Progress(e Event) {
	switch {
	case e.File != nil:
		c.file(e.File)
	case e.Test.Status == "":
		if c.Terminal {
			c.clear()
			fmt.Fprintf(c.Out, "%s", c.paint(dim, clipLine(fmt.Sprintf("%d done, %d failed · %s: %s", c.done, c.failed, e.Name, e.Test.Name))))
			c.line = true
		}
	default:
		c.test(e.Name, e.Test)
	}
}

// The terminal's codes.
const (
	red   = "31"
	green = "32"
	dim   = "2"
	bold  = "1"
)

func (c *Console) paint(code, s string) string {
	if !c.Terminal || c.Plain {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// maxLine keeps the line that is overwritten from being wrapped.
const maxLine = 78

func clipLine(s string) string {
	runes := []rune(printable(s))
	if len(runes) > maxLine {
		return string(runes[:maxLine-1]) + "…"
	}
	return string(runes)
}

func (c *Console) clear() {
	if c.line {
		fmt.Fprint(c.Out, "\r\x1b[K")
		c.line = false
	}
}

func (c *Console) test(file string, t *TestReport) {
	c.done++
	c.clear()
	took := c.paint(dim, "("+brief(t.Duration)+")")
	switch t.Status {
	case Failed:
		c.failed++
		fmt.Fprintf(c.Out, "%s %s: %s %s\n%s", c.paint(red, "FAIL"), file, c.paint(bold, printable(t.Name)), took, indent(t.Failure, "    "))
		if t.Details != "" {
			fmt.Fprintf(c.Out, "%s", indent(t.Details, "    | "))
		}
	case Skipped:
		if c.Verbose {
			fmt.Fprintf(c.Out, "%s %s: %s\n", c.paint(dim, "skip"), file, printable(t.Name))
		}
	default:
		if c.Verbose {
			fmt.Fprintf(c.Out, "%s   %s: %s %s\n", c.paint(green, "ok"), file, printable(t.Name), took)
		}
	}
	if t.Output != "" && (c.Verbose || t.Status == Failed) {
		fmt.Fprint(c.Out, indent(t.Output, "    > "))
	}
}

func (c *Console) file(f *FileReport) {
	c.clear()
	if f.Err != "" {
		fmt.Fprintf(c.Out, "%s %s\n%s", c.paint(red, "FAIL"), f.Name, indent(f.Err, "    "))
		return
	}
	if len(f.Tests) == 0 {
		return
	}
	word := c.paint(green, "ok  ")
	if !f.OK() {
		word = c.paint(red, "FAIL")
	}
	fmt.Fprintf(c.Out, "%s %s  %s, %s\n", word, f.Name, summary(len(f.Tests), f.Count(Failed), f.Count(Skipped)), brief(f.Duration))
}

// Summary ends the account of a run.
func (c *Console) Summary(r *Report) {
	c.clear()
	word := c.paint(green, "passed")
	if !r.OK() {
		word = c.paint(red, "FAILED")
	}
	files := fmt.Sprintf("%d files", len(r.Files))
	if len(r.Files) == 1 {
		files = "1 file"
	}
	fmt.Fprintf(c.Out, "%s: %s in %s, %s\n", word, summary(r.Tests(), r.Count(Failed), r.Count(Skipped)), files, brief(r.Duration))
}

func summary(tests, failed, skipped int) string {
	text := fmt.Sprintf("%d tests", tests)
	if tests == 1 {
		text = "1 test"
	}
	if failed > 0 {
		text += fmt.Sprintf(", %d failed", failed)
	}
	if skipped > 0 {
		text += fmt.Sprintf(", %d skipped", skipped)
	}
	return text
}

func brief(d time.Duration) string {
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}

// indent writes lines behind a margin.
func indent(text, margin string) string {
	var b strings.Builder
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		b.WriteString(strings.TrimRight(margin+printable(line), " ") + "\n")
	}
	return b.String()
}

// printable keeps what scripts and upstreams say from commanding the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && (r < ' ' || 0x7f <= r && r < 0xa0) {
			return '\uFFFD'
		}
		return r
	}, s)
}
