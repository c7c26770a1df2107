package proxy

import (
	"io"
	"os"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/rs/zerolog"
)

// NewLog returns the gateway's own log.
func NewLog(c *LogConfig, w *os.File) zerolog.Logger {
	level, err := zerolog.ParseLevel(c.Level)
	if err != nil {
		level = zerolog.InfoLevel // Check has refused anything else
	}
	var out io.Writer = w
	if IsConsole(c.Format, w) {
		out = zerolog.ConsoleWriter{Out: w, TimeFormat: time.TimeOnly}
	}
	return zerolog.New(out).Level(level).With().Timestamp().Logger()
}

// IsConsole decides between the formats for people and for machines.
func IsConsole(format string, w *os.File) bool {
	switch format {
	case "console":
		return true
	case "json":
		return false
	}
	return isatty.IsTerminal(w.Fd())
}
