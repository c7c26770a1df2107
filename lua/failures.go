package lua

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/lua/modules"
	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// keptErrors is how many of a tenant's last errors are kept, of keptBytes in
// all.
const (
	keptErrors = 20
	keptBytes  = 32 << 10
)

// errorLog keeps a tenant's last errors.
type errorLog struct {
	mu    sync.Mutex
	list  []*Error // the oldest first
	bytes int
}

func (l *errorLog) add(e *Error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list, l.bytes = append(l.list, e), l.bytes+e.size()
	for len(l.list) > keptErrors || len(l.list) > 1 && l.bytes > keptBytes {
		l.bytes -= l.list[0].size()
		l.list = slices.Delete(l.list, 0, 1)
	}
}

// newest returns the errors, the newest first.
func (l *errorLog) newest() []*Error {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := slices.AppendSeq([]*Error{}, slices.Values(l.list))
	slices.Reverse(list)
	return list
}

// size is how many bytes of text an error has.
func (e *Error) size() int {
	return len(e.ID) + len(e.Script) + len(e.Kind) + len(e.Message) + len(e.Stack)
}

// bottom is what gopher-lua calls the function at the end of a stack, which is
// a script itself only while that is loaded.
const bottom = ": in main chunk\n\t[G]: ?"

// failed makes sense of what ended a run before its time: it logs and keeps a
// script's failure, and puts the script in quarantine where that is due.
func (s *Scripts) failed(x Exchange, o outcome) error {
	exhausted := o.exhausted
	if exhausted != nil && exhausted.Reason == vm.Cancelled {
		return ErrGone
	}
	failed, ok := errors.AsType[*Error](o.err)
	if !ok {
		if errors.As(o.err, new(*QuarantineError)) {
			return s.instead(x, o.err, o.forwarded)
		}
		return o.err
	}
	s.stats.Failures.Add(1)
	if above, ok := strings.CutSuffix(failed.Stack, bottom); ok {
		failed.Stack = above + ": in the request's outermost function"
	}
	failed.ID = string(x.Request().ID)
	if o.blamed != nil {
		failed.Script = o.blamed.script.name
	}
	if name, _, ok := strings.Cut(failed.Message, ".lua:"); ok && exhausted == nil && hasPosition(failed.Message) {
		failed.Script = name + ".lua"
	}
	s.record(failed)
	if exhausted != nil {
		s.stats.Exhausted.Add(1)
		// Slow clients, other scripts and a busy machine can use up the others: that
		// is no fault of the script.
		switch exhausted.Reason {
		case vm.OutOfInstructions, vm.OutOfTime, vm.OutOfMemory:
			s.quarantine(o.blamed, x.Request().Remote)
		}
	}
	return s.instead(x, failed, o.forwarded)
}

// instead sends the request on without its scripts, if the tenant has asked
// for that and it can still be done.
func (s *Scripts) instead(x Exchange, err error, forwarded bool) error {
	r := x.Response()
	if s.options.Config.OnError != OnErrorContinue || forwarded || r.Begun || !x.HasPool() {
		return err
	}
	r.Reset()
	if restoring := x.Restore(err); restoring != nil {
		return restoring
	}
	return x.Forward()
}

// boundLog gives the scripts' log its budget: all that is logged of them goes
// through it.
func (s *Scripts) boundLog() zerolog.Logger {
	o := &s.options
	if o.LogWriter != nil {
		s.budget = modules.NewLogBudget(o.Tenant, o.LogWriter, o.Config.LogRate.Int64(), o.Config.LogBurst.Int64(), o.Clock, &s.stats.LogDropped)
		o.Log = o.Log.Output(s.budget)
	}
	return o.Log
}

// record logs a failure and keeps it for the admin API.
func (s *Scripts) record(e *Error) {
	e.At = s.options.Clock.Now().UTC()
	s.errors.add(e)
	if s.budget.Refuses() {
		return
	}
	s.options.Log.Error().Func(func(event *zerolog.Event) {
		if e.ID != "" {
			event.Str("request_id", e.ID)
		}
		if e.Stack != "" {
			event.Str("stack", e.Stack)
		}
	}).Str("script", e.Script).Str("kind", e.Kind).Str("error", e.Message).Msg("a script failed")
}

func (s *Scripts) quarantine(blamed *step, client netip.Addr) {
	if blamed == nil {
		return
	}
	length, whole := blamed.script.exhausted(s.options.Config.QuarantineAfter, client, s.now())
	if length == 0 {
		return
	}
	event := s.options.Log.Warn().Str("script", blamed.script.name).Str("for", length.String())
	if whole {
		event.Msg("the script isn't run for a while: it uses up its limits, whoever asks (quarantine)")
		return
	}
	event.Str("client", client.String()).Msg("the script isn't run for this client for a while: it uses up its limits for most of its requests (quarantine)")
}

// now is the monotonic clock of quarantines, in nanoseconds.
func (s *Scripts) now() int64 { return s.options.Clock.Now().UnixNano() }

// InQuarantine returns how many of the scripts are in quarantine now.
func (s *Scripts) InQuarantine() (n int) {
	for _, script := range s.scripts {
		if until, _, _ := script.state(s.now()); until > 0 {
			n++
		}
	}
	return n
}

// View is what the admin API shows of a tenant's scripts. All keys are always
// present.
type View struct {
	Scripts     []ScriptView `json:"scripts"` // in the order of loading
	VMs         int          `json:"vms"`
	Runs        uint64       `json:"runs"`
	Failures    uint64       `json:"failures"`
	Exhausted   uint64       `json:"exhausted"`   // failures for want of instructions, time or memory
	Quarantined uint64       `json:"quarantined"` // requests refused
	Recycled    uint64       `json:"recycled"`    // VMs replaced
	LogDropped  uint64       `json:"log_dropped"` // lines that were not logged for want of lua.log_rate
	LastErrors  []*Error     `json:"last_errors"` // the newest first
	Timers      []TimerView  `json:"timers"`      // in order of declaration
}

// ScriptView is one script.
type ScriptView struct {
	Name string `json:"name"`
	// QuarantinedUntil is the end of its quarantine; nil: it is in none.
	QuarantinedUntil *time.Time `json:"quarantined_until"`
	// QuarantinedForAll says that it isn't run for anybody; else it isn't for so
	// many clients.
	QuarantinedForAll  bool `json:"quarantined_for_all"`
	QuarantinedClients int  `json:"quarantined_clients"`
}

// Stats returns the counters, which go on counting.
func (s *Scripts) Stats() *Stats { return s.stats }

// VMs returns how many VMs there are.
func (s *Scripts) VMs() (n int) {
	for i := range s.shards {
		if s.shards[i].Load() != nil {
			n++
		}
	}
	return n
}

// View returns the state of the scripts.
func (s *Scripts) View() View {
	v := View{
		Scripts: make([]ScriptView, 0, len(s.names)), VMs: s.VMs(),
		Runs: s.stats.Runs.Load(), Failures: s.stats.Failures.Load(), Exhausted: s.stats.Exhausted.Load(),
		Quarantined: s.stats.Quarantined.Load(), Recycled: s.stats.Recycled.Load(), LogDropped: s.stats.LogDropped.Load(), LastErrors: s.errors.newest(), Timers: s.timerViews(),
	}
	for _, name := range s.names {
		view := ScriptView{Name: name}
		until, whole, clients := s.scripts[name].state(s.now())
		if until > 0 {
			at := time.Unix(0, until).UTC()
			view.QuarantinedUntil, view.QuarantinedForAll, view.QuarantinedClients = &at, whole, clients
		}
		v.Scripts = append(v.Scripts, view)
	}
	return v
}
