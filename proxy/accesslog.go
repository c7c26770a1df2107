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

	"github.com/keystone-gateway/keystone-gateway/proxy/files"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
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
	// wall is what socket.Nanotime lacks to be nanoseconds since 1970; it is
	// set anew with every flush, so that lines follow the system's clock.
	wall atomic.Int64

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
	l.lookAtClock()
	return l
}

func (l *accessLog) lookAtClock() { l.wall.Store(time.Now().UnixNano() - socket.Nanotime()) }

// add queues a line. It never blocks and never fails.
func (l *accessLog) add(p []byte) {
	l.mu.Lock()
	if len(l.waiting)+len(p) > logBuffer {
		l.mu.Unlock()
		l.dropped.Add(1)
		return
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
	l.lookAtClock()
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
		opened, err := files.OpenLog(path, true)
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
	l := &x.line
	l.begin(x.start + x.server.access.wall.Load())
	l.bytes(`,"request_id":"`, x.id)
	x.logTenant(l)
	l.bytes(`,"method":"`, x.req.Method)
	l.bytes(`,"host":"`, x.host)
	l.bytes(`,"path":"`, x.loggedPath())
	l.number(`,"status":`, int64(x.status))
	l.number(`,"bytes_in":`, x.bytesIn)
	l.number(`,"bytes_out":`, x.bytesOut)
	l.milliseconds(`,"duration_ms":`, elapsed)
	l.milliseconds(`,"upstream_header_ms":`, x.headerTime)
	l.milliseconds(`,"connect_ms":`, x.call.ConnectTime)
	l.number(`,"attempts":`, int64(x.call.Attempts))
	l.bytes(`,"peer":"`, x.client.ip)
	if x.clientIP.IsValid() {
		var client [64]byte
		l.bytes(`,"client":"`, x.clientIP.AppendTo(client[:0]))
	}
	l.number(`,"http_minor":`, int64(x.req.Minor))
	switch {
	case x.code != "":
		l.text(`,"error":"`, x.code)
		if x.cause != nil {
			l.text(`,"cause":"`, x.cause.Error())
		}
	case x.script.skipped != nil:
		l.text(`,"error":"`, codeSkipped)
		l.text(`,"cause":"`, x.script.skipped.Error())
	}
	x.server.access.add(l.end())
}

// logTenant logs who the request was for, and who answered it.
func (x *exchange) logTenant(l *logLine) {
	if x.tenant != nil {
		l.text(`,"tenant":"`, x.tenant.name)
		l.text(`,"route":"`, x.tenant.route)
	}
	if x.script.request.Route != "" {
		l.text(`,"script_route":"`, x.script.request.Route)
	}
	if x.tenant != nil && x.tenant.scripts != nil && x.call.Attempts == 0 && x.code == "" {
		l.text(`,"answered_by":"`, "script")
		if x.script.request.Step != "" {
			l.text(`,"script":"`, x.script.request.Step)
		}
	}
	if x.call.Target != nil {
		l.text(`,"target":"`, x.call.Target.Name())
	}
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

// codeSkipped is the error of a request that has gone on without its scripts
// (on_error: continue). Its client isn't told.
const codeSkipped = "script_skipped"

// logs decides about sampling. Failures are always logged.
func (s *snapshot) logs(x *exchange) bool {
	return s.logging && (s.sample >= 1 || x.status >= 500 || x.code != "" || x.script.skipped != nil || rand.Float64() < s.sample) //nolint:gosec // G404: sampling is no secret
}
