package proxy

import (
	"context"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/mattn/go-isatty"
	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
)

// LogWriter is the output of the gateway's own log. Nothing that is logged ever
// waits for it: what it doesn't take is dropped, and counted.
type LogWriter struct {
	queue *logQueue
	stop  context.CancelFunc
	done  chan struct{}
}

// NewLogWriter writes to a file, in the format that c asks for. Close ends its
// goroutine.
func NewLogWriter(c *LogConfig, file *os.File) *LogWriter {
	ctx, stop := context.WithCancel(context.Background())
	w := &LogWriter{queue: newLogQueue(formatted(c.Format, file)), stop: stop, done: make(chan struct{})}
	log := NewLog(c, w)
	w.queue.tell = func(lines uint64, err error) {
		log.Warn().Str("error", cause.Text(err)).Uint64("lines", lines).Msg("lines of the log were dropped: its output took them too slowly, or not at all")
	}
	go func() {
		defer close(w.done)
		w.queue.run(ctx)
	}()
	return w
}

// Write queues lines. It never waits and never fails.
func (w *LogWriter) Write(lines []byte) (int, error) {
	w.queue.add(lines, true)
	return len(lines), nil
}

// scriptLog is what is logged for tenants goes to; nil is an output that is not
// known.
func (s *Server) scriptLog() io.Writer {
	if s.logWriter == nil {
		return nil // and not a nil pointer
	}
	return s.logWriter
}

// Dropped returns how many lines were dropped.
func (w *LogWriter) Dropped() uint64 {
	if w == nil {
		return 0
	}
	return w.queue.dropped.Load()
}

// Flush returns when what was written before has reached the output, or the
// output hasn't taken it within a second.
func (w *LogWriter) Flush() {
	patience := time.NewTimer(logPatience)
	defer patience.Stop()
	done := make(chan struct{})
	select {
	case w.queue.sync <- done:
	case <-w.done:
		return
	case <-patience.C:
		return
	}
	select {
	case <-done:
	case <-patience.C:
	}
}

// Close writes what is left, if the output takes it within a second.
func (w *LogWriter) Close() {
	w.stop()
	select {
	case <-w.done:
	case <-time.After(logPatience): // a reader that has stopped must not keep the process
	}
}

// NewLog returns the gateway's own log.
func NewLog(c *LogConfig, w io.Writer) zerolog.Logger {
	level, err := zerolog.ParseLevel(c.Level)
	if err != nil {
		level = zerolog.InfoLevel // Check has refused anything else
	}
	return zerolog.New(w).Level(level).With().Timestamp().Logger()
}

// formatted returns what writes lines of JSON to a file as they are, or in the
// form for people.
func formatted(format string, file *os.File) io.Writer {
	if !isConsole(format, file) {
		return file
	}
	return lineWriter{zerolog.ConsoleWriter{Out: file, TimeFormat: time.TimeOnly, FormatPrepare: makeVisible}}
}

// isConsole decides between the formats for people and for machines.
func isConsole(format string, w *os.File) bool {
	switch format {
	case "console":
		return true
	case "json":
		return false
	}
	return isatty.IsTerminal(w.Fd())
}

// makeVisible writes out what a terminal would obey, and what would look like a
// line of its own: clients and scripts have chosen much of a line.
func makeVisible(line map[string]any) error {
	for name, value := range line {
		if text, ok := value.(string); ok {
			if shown := visible(text); name == zerolog.MessageFieldName && shown != text {
				line[name] = shown // other values are quoted anyway
			}
		}
		if shown := visible(name); shown != name {
			delete(line, name)
			line[shown] = value
		}
	}
	return nil
}

// visible writes characters that can't be seen as escape sequences.
func visible(text string) string {
	if strings.IndexFunc(text, unseen) < 0 {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if unseen(r) {
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func unseen(r rune) bool { return !unicode.IsPrint(r) && r != '\t' }

// lineWriter passes a batch on line by line, as ConsoleWriter wants it.
type lineWriter struct{ w io.Writer }

func (l lineWriter) Write(p []byte) (int, error) {
	n := 0
	for line := range strings.Lines(string(p)) {
		if _, err := l.w.Write([]byte(line)); err != nil {
			return n, err
		}
		n += len(line)
	}
	return len(p), nil
}
