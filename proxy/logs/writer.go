package logs

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

// patience bounds the wait for an output to take what is left.
const patience = time.Second

// Writer is the output of the gateway's own log. Nothing that is logged ever
// waits for it: what it doesn't take is dropped, and counted.
type Writer struct {
	queue *Queue
	file  *os.File
	least atomic.Int32 // level that is logged
	stop  context.CancelFunc
	done  chan struct{}
}

// NewWriter writes to a file, in the format that c asks for. Close ends its
// goroutine.
func NewWriter(c *Config, file *os.File) *Writer {
	ctx, stop := context.WithCancel(context.Background())
	w := &Writer{queue: NewQueue(Formatted(c.Format, file)), file: file, stop: stop, done: make(chan struct{})}
	w.least.Store(int32(levelOf(c)))
	log := New(c, w)
	w.queue.Tell = func(lines uint64, err error) {
		Reasoned(log.Warn(), err).Uint64("lines", lines).Msg("lines of the log were dropped: its output took them too slowly, or not at all")
	}
	go func() {
		defer close(w.done)
		w.queue.Run(ctx)
	}()
	return w
}

// Configure changes level and format, from the next line and the next write on.
func (w *Writer) Configure(c *Config) {
	if w == nil {
		return
	}
	w.least.Store(int32(levelOf(c)))
	w.queue.SetOutput(Sink{Writer: Formatted(c.Format, w.file)})
}

// Enabled reports whether lines of a level are logged now.
func (w *Writer) Enabled(level zerolog.Level) bool {
	return level >= zerolog.Level(w.least.Load()) //nolint:gosec // G115: a level is small
}

// Run discards a line whose level isn't logged now; it is zerolog.Hook's.
func (w *Writer) Run(e *zerolog.Event, level zerolog.Level, _ string) {
	if !w.Enabled(level) {
		e.Discard()
	}
}

// Write queues lines. It never waits and never fails.
func (w *Writer) Write(lines []byte) (int, error) {
	w.queue.Add(lines, true)
	return len(lines), nil
}

// Queue is where lines are added in order with the log's own.
func (w *Writer) Queue() *Queue { return w.queue }

// Dropped returns how many lines were dropped.
func (w *Writer) Dropped() uint64 {
	if w == nil {
		return 0
	}
	return w.queue.Dropped()
}

// Flush returns when what was written before has reached the output, or the
// output hasn't taken it within a second.
func (w *Writer) Flush() {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	done := make(chan struct{})
	select {
	case w.queue.sync <- done:
	case <-w.done:
		return
	case <-timer.C:
		return
	}
	select {
	case <-done:
	case <-timer.C:
	}
}

// Close writes what is left, if the output takes it within a second.
func (w *Writer) Close() {
	w.stop()
	select {
	case <-w.done:
	case <-time.After(patience): // a reader that has stopped must not keep the process
	}
}

// New returns the gateway's own log. Where it writes to a Writer, that
// decides about the level.
func New(c *Config, w io.Writer) zerolog.Logger {
	if writer, ok := w.(*Writer); ok {
		return zerolog.New(w).Level(zerolog.DebugLevel).Hook(writer).With().Timestamp().Logger()
	}
	return zerolog.New(w).Level(levelOf(c)).With().Timestamp().Logger()
}

func levelOf(c *Config) zerolog.Level {
	level, err := zerolog.ParseLevel(c.Level)
	if err != nil {
		return zerolog.InfoLevel // Check has refused anything else
	}
	return level
}

// Reasoned adds an error, if there is one.
func Reasoned(event *zerolog.Event, err error) *zerolog.Event {
	if err != nil {
		event.Str("error", cause.Text(err))
	}
	return event
}

// Formatted returns what writes lines of JSON to a file as they are, or in the
// form for people.
func Formatted(format string, file *os.File) io.Writer {
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
