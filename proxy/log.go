package proxy

import (
	"context"
	"io"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
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
	file  *os.File
	least atomic.Int32 // level that is logged
	stop  context.CancelFunc
	done  chan struct{}
}

// NewLogWriter writes to a file, in the format that c asks for. Close ends its
// goroutine.
func NewLogWriter(c *LogConfig, file *os.File) *LogWriter {
	ctx, stop := context.WithCancel(context.Background())
	w := &LogWriter{queue: newLogQueue(formatted(c.Format, file)), file: file, stop: stop, done: make(chan struct{})}
	w.least.Store(int32(levelOf(c)))
	log := NewLog(c, w)
	w.queue.tell = func(lines uint64, err error) {
		reasoned(log.Warn(), err).Uint64("lines", lines).Msg("lines of the log were dropped: its output took them too slowly, or not at all")
	}
	go func() {
		defer close(w.done)
		w.queue.run(ctx)
	}()
	return w
}

// Configure changes level and format, from the next line and the next write on.
func (w *LogWriter) Configure(c *LogConfig) {
	if w == nil {
		return
	}
	w.least.Store(int32(levelOf(c)))
	w.queue.setOutput(logSink{w: formatted(c.Format, w.file)})
}

// Enabled reports whether lines of a level are logged now.
func (w *LogWriter) Enabled(level zerolog.Level) bool {
	return level >= zerolog.Level(w.least.Load()) //nolint:gosec // G115: a level is small
}

// Run discards a line whose level isn't logged now; it is zerolog.Hook's.
func (w *LogWriter) Run(e *zerolog.Event, level zerolog.Level, _ string) {
	if !w.Enabled(level) {
		e.Discard()
	}
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

// NewLog returns the gateway's own log. Where it writes to a LogWriter, that
// decides about the level.
func NewLog(c *LogConfig, w io.Writer) zerolog.Logger {
	if writer, ok := w.(*LogWriter); ok {
		return zerolog.New(w).Level(zerolog.DebugLevel).Hook(writer).With().Timestamp().Logger()
	}
	return zerolog.New(w).Level(levelOf(c)).With().Timestamp().Logger()
}

func levelOf(c *LogConfig) zerolog.Level {
	level, err := zerolog.ParseLevel(c.Level)
	if err != nil {
		return zerolog.InfoLevel // Check has refused anything else
	}
	return level
}

// reasoned adds an error, if there is one.
func reasoned(event *zerolog.Event, err error) *zerolog.Event {
	if err != nil {
		event.Str("error", cause.Text(err))
	}
	return event
}

// formatted returns what writes lines of JSON to a file as they are, or in the
// form for people.
func formatted(format string, file *os.File) io.Writer {
	if !isConsole(format, file) {
		return file
	}
	return newConsole(file)
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
