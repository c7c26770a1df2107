package proxy

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

const (
	// logBuffer bounds the lines that wait to be written; more are dropped.
	logBuffer = 4 << 20
	// logBatch is how much is worth a write before logPause has passed.
	logBatch = 32 << 10
	logPause = 100 * time.Millisecond
)

// accessLog writes one line for each request, on a goroutine of its own: a
// slow disk or pipe costs lines, which are counted, but never a request.
type accessLog struct {
	logger zerolog.Logger

	mu           sync.Mutex
	waiting, out []byte
	dropped      atomic.Uint64
	wake         chan struct{}

	next atomic.Pointer[logSink] // to be used from the next flush on
	sink logSink                 // of the running goroutine
}

// logSink is where lines go; close may be nil.
type logSink struct {
	w     io.Writer
	close io.Closer
}

func newAccessLog() *accessLog {
	l := &accessLog{wake: make(chan struct{}, 1), sink: logSink{w: io.Discard}}
	l.logger = zerolog.New(l)
	return l
}

// Write queues a line. It never blocks and never fails.
func (l *accessLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	if len(l.waiting)+len(p) > logBuffer {
		l.mu.Unlock()
		l.dropped.Add(1)
		return len(p), nil
	}
	l.waiting = append(l.waiting, p...)
	full := len(l.waiting) >= logBatch
	l.mu.Unlock()
	if full {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
	return len(p), nil
}

// run writes until ctx is done, and then what is left.
func (l *accessLog) run(ctx context.Context) {
	ticker := time.NewTicker(logPause)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			l.flush()
			l.change(logSink{w: io.Discard})
			return
		case <-ticker.C:
		case <-l.wake:
		}
		l.flush()
	}
}

func (l *accessLog) flush() {
	if next := l.next.Swap(nil); next != nil {
		l.change(*next)
	}
	l.mu.Lock()
	batch := l.waiting
	l.waiting = l.out[:0]
	l.mu.Unlock()
	if len(batch) > 0 {
		if _, err := l.sink.w.Write(batch); err != nil {
			l.dropped.Add(uint64(bytes.Count(batch, []byte{'\n'}))) //nolint:gosec // G115: a count
		}
	}
	if cap(batch) > 1<<20 {
		batch = nil
	}
	l.out = batch
}

// setOutput changes where lines go. It doesn't wait for a write that hangs.
func (l *accessLog) setOutput(w io.Writer, closer io.Closer) {
	if skipped := l.next.Swap(&logSink{w, closer}); skipped != nil && skipped.close != nil {
		_ = skipped.close.Close()
	}
}

func (l *accessLog) change(to logSink) {
	if l.sink.close != nil {
		_ = l.sink.close.Close()
	}
	l.sink = to
}

// openLog opens what access_log.output names.
func openLog(dir string, c *AccessLogConfig, format string) (io.Writer, io.Closer, error) {
	if !c.Enabled {
		return io.Discard, nil, nil
	}
	var file *os.File
	switch c.Output {
	case "stdout":
		file = os.Stdout
	case "stderr":
		file = os.Stderr
	default:
		path := filepath.Clean(inDir(dir, c.Output))
		opened, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640) //nolint:gosec // G302, G304: the operator's file and group
		if err != nil {
			return nil, nil, fmt.Errorf("cannot open access_log.output: %w", err)
		}
		return opened, opened, nil
	}
	if IsConsole(format, file) {
		return lineWriter{zerolog.ConsoleWriter{Out: file, TimeFormat: time.TimeOnly}}, nil, nil
	}
	return file, nil, nil
}

// lineWriter passes a batch on line by line, as ConsoleWriter wants it.
type lineWriter struct{ w io.Writer }

func (l lineWriter) Write(p []byte) (int, error) {
	for line := range bytes.Lines(p) {
		if _, err := l.w.Write(line); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// account counts the request and logs it.
func (x *exchange) account() {
	elapsed := x.elapsed
	if x.tenant != nil {
		x.tenant.stats.count(x, elapsed)
	} else {
		x.server.unrouted.count(x, elapsed)
	}
	if !x.snap.logs(x) {
		return
	}
	e := x.server.access.logger.Log()
	var now, client [64]byte
	e.Bytes("time", x.began.UTC().AppendFormat(now[:0], "2006-01-02T15:04:05.000Z")).Bytes("request_id", x.id)
	if x.tenant != nil {
		e.Str("tenant", x.tenant.name).Str("route", x.tenant.route)
	}
	if x.script.request.Route != "" {
		e.Str("script_route", x.script.request.Route)
	}
	if x.tenant != nil && x.tenant.scripts != nil && x.call.Attempts == 0 && x.code == "" {
		e.Str("answered_by", "script")
	}
	if x.call.Target != nil {
		e.Str("target", x.call.Target.Name())
	}
	e.Bytes("method", x.req.Method).Bytes("host", x.host).Bytes("path", x.loggedPath()).Int("status", x.status).
		Int64("bytes_in", x.bytesIn).Int64("bytes_out", x.bytesOut).
		Float64("duration_ms", milliseconds(elapsed)).
		Float64("upstream_header_ms", milliseconds(x.headerTime)).
		Float64("connect_ms", milliseconds(x.call.ConnectTime)).
		Int("attempts", x.call.Attempts).Bytes("peer", x.client.ip)
	if x.clientIP.IsValid() {
		e.Bytes("client", x.clientIP.AppendTo(client[:0]))
	}
	e.Uint8("http_minor", x.req.Minor)
	if x.code != "" {
		e.Str("error", x.code)
		if x.cause != nil {
			e.Str("cause", x.cause.Error())
		}
	}
	e.Send()
}

// loggedPath is the path that was judged, or the raw target where there is none.
func (x *exchange) loggedPath() []byte {
	if x.path != nil {
		return x.path
	}
	target, _, _ := bytes.Cut(x.req.Target, []byte{'?'})
	if at := bytes.LastIndexByte(target, '@'); at >= 0 && target[0] != '/' { // credentials, perhaps
		target = target[at:]
	}
	return target
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Microseconds()) / 1000
}

// logs decides about sampling. Failures are always logged.
func (s *snapshot) logs(x *exchange) bool {
	return s.logging && (s.sample >= 1 || x.status >= 500 || x.code != "" || rand.Float64() < s.sample) //nolint:gosec // G404: sampling is no secret
}
