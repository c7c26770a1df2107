package logs

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/rs/zerolog"
)

// console writes lines of JSON in the form for people, one at a time: those of
// the access log as a sentence, all others as zerolog does.
type console struct {
	own    zerolog.ConsoleWriter
	out    io.Writer
	access accessRecord // reused
}

func newConsole(file *os.File) *console {
	plain := !isatty.IsTerminal(file.Fd()) || os.Getenv("NO_COLOR") != "" // colours are a terminal's
	return &console{out: file, own: zerolog.ConsoleWriter{Out: file, TimeFormat: time.TimeOnly, FormatPrepare: makeVisible, NoColor: plain}}
}

// accessRecord is what people see of a line of the access log.
type accessRecord struct {
	Level      *string   `json:"level"` // which lines of the access log don't have
	Time       time.Time `json:"time"`
	RequestID  string    `json:"request_id"`
	Method     string    `json:"method"`
	Host       string    `json:"host"`
	Path       string    `json:"path"`
	Status     int       `json:"status"`
	Duration   float64   `json:"duration_ms"`
	Target     string    `json:"target"`
	Script     string    `json:"script"`
	AnsweredBy string    `json:"answered_by"`
	Attempts   int       `json:"attempts"`
	Error      string    `json:"error"`
	Cause      string    `json:"cause"`
}

func (c *console) Write(p []byte) (int, error) {
	n := 0
	for line := range strings.Lines(string(p)) {
		c.access = accessRecord{}
		var err error
		if json.Unmarshal([]byte(line), &c.access) == nil && c.access.Level == nil && c.access.Status != 0 {
			_, err = io.WriteString(c.out, c.access.sentence(colours{c.own.NoColor}))
		} else {
			_, err = c.own.Write([]byte(line))
		}
		if err != nil {
			return n, err
		}
		n += len(line)
	}
	return len(p), nil
}

const (
	grey   = "\x1b[90m"
	red    = "\x1b[31m"
	yellow = "\x1b[33m"
	green  = "\x1b[32m"
	plainT = "\x1b[0m"
)

// colours writes texts in a colour, unless they are none.
type colours struct{ none bool }

func (c colours) in(colour, text string) string {
	if c.none {
		return text
	}
	return colour + text + plainT
}

// sentence is the line: what was asked for, what came of it, who answered.
func (a *accessRecord) sentence(c colours) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s%s ", c.in(grey, a.Time.Local().Format(time.TimeOnly)), visible(a.Method), visible(a.Host), visible(a.Path))
	fmt.Fprintf(&b, "%s %s", c.in(statusColour(a.Status), strconv.Itoa(a.Status)), shortMillis(a.Duration))
	switch {
	case a.Target != "":
		b.WriteString(" → " + visible(a.Target))
	case a.Script != "":
		b.WriteString(" → " + visible(a.Script))
	case a.AnsweredBy != "":
		b.WriteString(" → " + a.AnsweredBy)
	}
	if a.Attempts > 1 {
		fmt.Fprintf(&b, " (%d attempts)", a.Attempts)
	}
	if a.Error != "" {
		b.WriteString(" " + c.in(red, a.Error))
		if a.Cause != "" {
			b.WriteString(": " + visible(a.Cause))
		}
		b.WriteString(" " + c.in(grey, visible(a.RequestID)))
	}
	return b.String() + "\n"
}

func statusColour(status int) string {
	switch {
	case status >= 500:
		return red
	case status >= 400:
		return yellow
	}
	return green
}

// shortMillis words a duration of milliseconds with about two digits.
func shortMillis(ms float64) string {
	switch {
	case ms >= 10_000:
		return fmt.Sprintf("%.0fs", ms/1000)
	case ms >= 1000:
		return fmt.Sprintf("%.1fs", ms/1000)
	case ms >= 10:
		return fmt.Sprintf("%.0fms", ms)
	case ms >= 0.1:
		return fmt.Sprintf("%.1fms", ms)
	}
	return fmt.Sprintf("%.0fµs", ms*1000)
}
