package generator

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Console shows the progress of a run: a bar on a terminal, a line every few
// seconds elsewhere.
type Console struct {
	Out      io.Writer
	Terminal bool

	phase Phase
	told  time.Duration // of the phase, in the last line
	shown bool
}

// lineEvery is how often a line is written where there is no terminal.
const lineEvery = 5 * time.Second

const barWidth = 24

// Show is for Options.Progress.
func (c *Console) Show(p Progress) {
	if p.Phase != c.phase {
		c.phase, c.told = p.Phase, 0
	}
	if c.Terminal {
		fmt.Fprintf(c.Out, "\r\x1b[K%s %s", bar(p), state(p))
		c.shown = true
		return
	}
	if p.Phase == Counting && p.Elapsed-c.told >= lineEvery && p.Elapsed < p.Total {
		c.told = p.Elapsed
		fmt.Fprintln(c.Out, state(p))
	}
}

// End removes the bar.
func (c *Console) End() {
	if c.shown {
		fmt.Fprint(c.Out, "\r\x1b[K")
	}
}

func bar(p Progress) string {
	done := barWidth
	if p.Total > 0 {
		done = min(int(barWidth*max(0, p.Elapsed)/p.Total), barWidth)
	}
	return "[" + strings.Repeat("=", done) + strings.Repeat(" ", barWidth-done) + "]"
}

func state(p Progress) string {
	passed := p.Elapsed.Truncate(100 * time.Millisecond)
	switch p.Phase {
	case WarmingUp:
		return fmt.Sprintf("warming up, %.1fs/%s", passed.Seconds(), short(p.Total))
	case Finishing:
		return fmt.Sprintf("waiting for the last responses, %.1fs", passed.Seconds())
	default:
	}
	text := fmt.Sprintf("%.1fs/%s  %s/s  p99 %s", passed.Seconds(), short(p.Total), rate(p.Rate), duration(inMilliseconds(p.P99)))
	if p.Failed > 0 {
		text += "  failed " + count(p.Failed)
	}
	return text
}
