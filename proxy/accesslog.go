package proxy

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
	"github.com/keystone-gateway/keystone-gateway/proxy/files"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// accessLog writes one line for each request.
type accessLog struct {
	// wall is what socket.Nanotime lacks to be nanoseconds since 1970; it is
	// set anew with every flush, so that lines follow the system's clock.
	wall atomic.Int64

	own *logQueue
	to  atomic.Pointer[logQueue] // own, or that of the gateway's log where both have one output
}

func newAccessLog(log zerolog.Logger) *accessLog {
	l := &accessLog{own: newLogQueue(io.Discard)}
	l.own.flushing = l.lookAtClock
	l.own.tell = func(lines uint64, err error) {
		reasoned(log.Warn(), err).Uint64("lines", lines).Msg("lines of the access log were lost: its output took them too slowly, or not at all")
	}
	l.to.Store(l.own)
	l.lookAtClock()
	return l
}

func (l *accessLog) lookAtClock() { l.wall.Store(time.Now().UnixNano() - socket.Nanotime()) }

// add queues a line. It never blocks and never fails.
func (l *accessLog) add(p []byte) { l.to.Load().add(p, false) }

// setOutput changes where lines go.
func (l *accessLog) setOutput(o accessOutput) {
	l.own.setOutput(o.sink)
	if o.queue == nil {
		o.queue = l.own
	}
	l.to.Store(o.queue)
}

// accessOutput is what access_log.output names: a queue, or a sink.
type accessOutput struct {
	queue *logQueue
	sink  logSink
}

// openAccessLog opens what access_log.output names.
func (s *Server) openAccessLog(c *Config) (accessOutput, error) {
	discarded := accessOutput{sink: logSink{w: io.Discard}}
	if !c.AccessLog.Enabled {
		return discarded, nil
	}
	switch c.AccessLog.Output {
	case "stdout":
		return accessOutput{sink: logSink{w: formatted(c.Log.Format, os.Stdout)}}, nil
	case "stderr":
		if s.logWriter != nil { // in order with the gateway's own lines
			discarded.queue = s.logWriter.queue
			return discarded, nil
		}
		return accessOutput{sink: logSink{w: formatted(c.Log.Format, os.Stderr)}}, nil
	}
	file, err := files.OpenLog(filepath.Clean(inDir(s.dir, c.AccessLog.Output)), true)
	if err != nil {
		return accessOutput{}, fmt.Errorf("cannot open access_log.output: %w", err)
	}
	return accessOutput{sink: logSink{w: file, close: file}}, nil
}

// ReopenLog opens the access log's file anew, as after it has been renamed, and
// reads no configuration.
func (s *Server) ReopenLog() {
	s.reloadMu.Lock()
	defer s.reloadMu.Unlock()
	if s.reopenLog() {
		s.log.Info().Msg("the access log was opened again")
	}
}

// reopenLog needs reloadMu. If it fails, lines go on to where they went.
func (s *Server) reopenLog() bool {
	out, err := s.openAccessLog(s.current.Load().config)
	if err != nil {
		s.log.Error().Str("error", cause.Text(err)).Msg("the access log can't be opened again, its lines go on to the file that is open")
		return false
	}
	s.access.setOutput(out)
	return true
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
	l.bytes(`,"peer":"`, x.client.Address)
	if x.origin.ip.IsValid() {
		var client [64]byte
		l.bytes(`,"client":"`, x.origin.ip.AppendTo(client[:0]))
	}
	l.buf = append(l.buf, x.client.Introduction...)
	l.number(`,"http_minor":`, minorOf(x.req.Version))
	switch {
	case x.code != "":
		l.text(`,"error":"`, x.code)
		if x.cause != nil {
			l.text(`,"cause":"`, clipCause(x.cause))
		}
	case x.script.skipped != nil:
		l.text(`,"error":"`, codeSkipped)
		l.text(`,"cause":"`, clipCause(x.script.skipped))
	}
	x.server.access.add(l.end())
}

// minorOf is the part of a version after the dot; 0 where there is none.
func minorOf(version string) int64 {
	if len(version) < len("1.1") {
		return 0
	}
	return int64(version[len(version)-1] - '0')
}

// maxCause bounds what lies beneath a fault: scripts choose what they raise.
const maxCause = 512

func clipCause(err error) string {
	return clipped(cause.Text(err), maxCause)
}

// clipped returns at most so many bytes of a text that others have chosen.
func clipped(text string, most int) string {
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
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
	if x.policed.by != "" {
		l.text(`,"answered_by":"`, "policy")
		l.text(`,"policy":"`, x.policed.by)
	} else if x.tenant != nil && x.tenant.scripts != nil && x.call.Attempts == 0 && x.code == "" {
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
