package proxy

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/files"
	"github.com/keystone-gateway/keystone-gateway/proxy/logs"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
)

// accessLog writes one line for each request.
type accessLog struct {
	// wall is what socket.Nanotime lacks to be nanoseconds since 1970; it is
	// set anew with every flush, so that lines follow the system's clock.
	wall  atomic.Int64
	today atomic.Pointer[date]

	own *logs.Queue
	to  atomic.Pointer[logs.Queue] // own, or that of the gateway's log where both have one output
}

func newAccessLog(log zerolog.Logger) *accessLog {
	l := &accessLog{own: logs.NewQueue(io.Discard)}
	l.own.Flushing = l.lookAtClock
	l.own.Tell = func(lines uint64, err error) {
		logs.Reasoned(log.Warn(), err).Uint64("lines", lines).Msg("lines of the access log were lost: its output took them too slowly, or not at all")
	}
	l.to.Store(l.own)
	l.lookAtClock()
	return l
}

func (l *accessLog) lookAtClock() {
	now := time.Now().UnixNano()
	l.wall.Store(now - socket.Nanotime())
	if was := l.today.Load(); was == nil || was.day != now/dayLength {
		today := dateOf(now)
		l.today.Store(&today)
	}
}

// add queues a line. It never blocks and never fails.
func (l *accessLog) add(p []byte) { l.to.Load().Add(p, false) }

// setOutput changes where lines go.
func (l *accessLog) setOutput(o accessOutput) {
	l.own.SetOutput(o.sink)
	if o.queue == nil {
		o.queue = l.own
	}
	l.to.Store(o.queue)
}

// accessOutput is what access_log.output names: a queue, or a sink.
type accessOutput struct {
	queue *logs.Queue
	sink  logs.Sink
}

// openAccessLog opens what access_log.output names.
func (s *Server) openAccessLog(c *Config) (accessOutput, error) {
	discarded := accessOutput{sink: logs.Sink{Writer: io.Discard}}
	if !c.AccessLog.Enabled {
		return discarded, nil
	}
	switch c.AccessLog.Output {
	case "stdout":
		return accessOutput{sink: logs.Sink{Writer: logs.Formatted(c.Log.Format, os.Stdout)}}, nil
	case "stderr":
		if s.logWriter != nil { // in order with the gateway's own lines
			discarded.queue = s.logWriter.Queue()
			return discarded, nil
		}
		return accessOutput{sink: logs.Sink{Writer: logs.Formatted(c.Log.Format, os.Stderr)}}, nil
	}
	file, err := files.OpenLog(filepath.Clean(inDir(s.dir, c.AccessLog.Output)), true)
	if err != nil {
		return accessOutput{}, fmt.Errorf("cannot open access_log.output: %w", err)
	}
	return accessOutput{sink: logs.Sink{Writer: file, Close: file}}, nil
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
		s.log.Error().Str("error", cause.Text(err)).Msg("lines of the access log go on to the file that is open: it can't be opened again")
		return false
	}
	s.access.setOutput(out)
	return true
}

// End logs a request; it is exchange.Observer's.
func (l *accessLog) End(r *exchange.Record) {
	if !isLogged(r) {
		return
	}
	line := logLine{buf: r.Scratch[:0]}
	line.begin(r.Start+l.wall.Load(), l.today.Load())
	line.request(r)
	r.Scratch = line.end()
	l.add(r.Scratch)
}

// request adds what is known of a request.
func (l *logLine) request(r *exchange.Record) {
	l.buf = append(append(append(l.buf, `,"request_id":"`...), r.ID...), '"') // which needs no escape
	l.tenant(r)
	l.bytes(`,"method":"`, r.Message.Method)
	l.bytes(`,"host":"`, r.Host)
	l.bytes(`,"path":"`, exchange.LoggedPath(r))
	l.number(`,"status":`, int64(r.Status))
	l.number(`,"bytes_in":`, r.BytesIn)
	l.number(`,"bytes_out":`, r.BytesOut)
	l.milliseconds(`,"duration_ms":`, r.Elapsed)
	l.milliseconds(`,"upstream_header_ms":`, r.HeaderTime)
	l.milliseconds(`,"connect_ms":`, r.ConnectTime)
	l.number(`,"attempts":`, int64(r.Attempts))
	l.bytes(`,"peer":"`, r.Client.Address)
	if name := r.Entrance.Name; name != "" {
		l.text(`,"listener":"`, name)
	}
	switch {
	case !r.Origin.IsValid():
	case r.Origin == r.Client.Peer: // whose text is there
		l.bytes(`,"client":"`, r.Client.Address)
	default:
		var client [64]byte
		l.bytes(`,"client":"`, r.Origin.AppendTo(client[:0]))
	}
	l.buf = append(l.buf, r.Client.Introduction...)
	if r.User != nil {
		l.bytes(`,"user":"`, r.User)
	}
	if major, minor := versionOf(r.Message.Version); major == 1 {
		l.number(`,"http_minor":`, minor)
	} else {
		l.number(`,"http_major":`, major)
	}
	switch {
	case r.Code != "":
		l.text(`,"error":"`, r.Code)
		if r.Cause != nil {
			l.text(`,"cause":"`, cause.Short(r.Cause))
		}
	case r.Skipped != nil:
		l.text(`,"error":"`, exchange.CodeSkipped)
		l.text(`,"cause":"`, cause.Short(r.Skipped))
	}
}

// versionOf are the parts of a version before and after the dot; where there is none,
// it is 1.0.
func versionOf(version string) (major, minor int64) {
	if len(version) < len("1.1") {
		return 1, 0
	}
	return int64(version[0] - '0'), int64(version[len(version)-1] - '0')
}

// loggedTenant is exchange.Tenant's Logged.
func loggedTenant(name, match string) []byte {
	var l logLine
	l.text(`,"tenant":"`, name)
	l.text(`,"route":"`, match)
	return l.buf
}

// tenant logs who the request was for, and who answered it.
func (l *logLine) tenant(r *exchange.Record) {
	if r.Tenant != nil {
		l.buf = append(l.buf, r.Tenant.Logged...)
	}
	if r.ScriptRoute != "" {
		l.text(`,"script_route":"`, r.ScriptRoute)
	}
	if r.ConfigRoute != "" {
		l.text(`,"config_route":"`, r.ConfigRoute)
	}
	if r.Policy != "" {
		l.text(`,"answered_by":"`, "policy")
		l.text(`,"policy":"`, r.Policy)
	} else if r.ByRoute {
		l.text(`,"answered_by":"`, "route")
	} else if r.Tenant != nil && r.Tenant.Scripts != nil && r.Attempts == 0 && r.Code == "" {
		l.text(`,"answered_by":"`, "script")
		if r.ScriptStep != "" {
			l.text(`,"script":"`, r.ScriptStep)
		}
	}
	if r.Spared != "" {
		l.text(`,"would_answer":"`, r.Spared)
	}
	if r.Pool != "" {
		l.text(`,"pool":"`, r.Pool)
	}
	if r.Target != nil {
		l.text(`,"target":"`, r.Target.Name())
	}
}

// isLogged decides about sampling. Failures are always logged.
func isLogged(r *exchange.Record) bool {
	g := r.Generation
	return g.Logging && (g.Sample >= 1 || r.Status >= 500 || r.Code != "" || r.Skipped != nil || rand.Float64() < g.Sample) //nolint:gosec // G404: sampling is no secret
}
