package lua

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/rs/zerolog"
	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// tlsAsk declares (function), which is asked whether a name may have a certificate.
func (d *declarer) tlsAsk(L *glua.LState) int {
	asked := d.middle(L, 1)
	if d.scope != d.root {
		d.refuse(L, errors.New("chi_tls_ask stands in a group, and is about the whole tenant, expected it outside of all groups"))
	}
	d.tlsAsks = append(d.tlsAsks, asked)
	return 0
}

// TLSAskAt is where the scripts declare who says which names may have a certificate
// ("script:line", the first of them); "" is nowhere.
func (s *Scripts) TLSAskAt() string { return s.tlsAskAt }

// TLSAsk asks the scripts whether a name may have a certificate: each function of
// chi_tls_ask, in the order of declaration, until one says no. Anything but true and
// false is an error, and an error is no yes. It runs on a VM within the budgets of a
// request, and waits no longer than ctx lasts, for a VM neither.
//
// What strangers ask for must not put scripts in quarantine, so runs that use up
// their budget count for none; how often it is called is for the caller to bound.
func (s *Scripts) TLSAsk(ctx context.Context, name string) (yes bool, err error) {
	if s.tlsAskAt == "" {
		return false, errors.New("no script declares chi_tls_ask")
	}
	s.stats.Runs.Add(1)
	sh, err := s.acquireWithin(ctx, uint64(len(name)))
	if err != nil {
		return false, err
	}
	defer s.release(sh)
	for _, step := range sh.declarer.tlsAsks {
		if yes, err = sh.ask(ctx, step, name); !yes {
			return false, err
		}
	}
	return yes, nil
}

// ask calls a function of chi_tls_ask. The lock is held before and after.
func (sh *shard) ask(ctx context.Context, s *step, name string) (yes bool, err error) {
	thread, _ := sh.main.NewThread()
	defer vm.Discard(thread)
	run := &vm.Run{Owner: &asking{ctx, name}}
	run.Begin(ctx, sh.lock, &sh.owner.limits)
	defer run.End()
	thread.SetContext(run)
	sh.main.G.CurrentThread = thread
	defer func() { sh.main.G.CurrentThread = sh.main }()
	thread.Push(s.fn)
	thread.Push(glua.LString(name))
	if err := vm.Call(thread, 1, 1); err != nil {
		return false, sh.owner.askFailed(ctx, s, failure(err, run.Exhausted()), run.Exhausted())
	}
	switch answer := thread.Get(-1); answer {
	case glua.LTrue:
		return true, nil
	case glua.LFalse:
		return false, nil
	default:
		wrong := &Error{Kind: KindError, Message: fmt.Sprintf("%s: the function of chi_tls_ask returned a %s value, expected true or false", s.place, answer.Type())}
		return false, sh.owner.askFailed(ctx, s, wrong, nil)
	}
}

// askFailed notes a failure as one of a request is, and words it.
func (s *Scripts) askFailed(ctx context.Context, asked *step, err error, exhausted *vm.Exhausted) error {
	failed, ok := errors.AsType[*Error](err)
	if !ok {
		return err
	}
	if ctx.Err() != nil {
		failed.Message = asked.place + ": " + context.Cause(ctx).Error()
	}
	failed.Script = asked.script.name
	if name, _, ok := strings.Cut(failed.Message, ".lua:"); ok && exhausted == nil && hasPosition(failed.Message) {
		failed.Script = name + ".lua"
	}
	if above, ok := strings.CutSuffix(failed.Stack, bottom); ok {
		failed.Stack = above + ": in the function of chi_tls_ask"
	}
	s.stats.Failures.Add(1)
	if exhausted != nil {
		s.stats.Exhausted.Add(1)
	}
	s.record(failed)
	return failed
}

// asking is the owner of a run that belongs to no request: a name is asked about.
type asking struct {
	ctx  context.Context //nolint:containedctx // as that of a call, it is its run's
	name string
}

// AppendLog is modules.Logging's.
func (a *asking) AppendLog(e *zerolog.Event) { e.Str("tls_name", a.name) }

// Watch is vm.Watcher's.
func (a *asking) Watch(cancel func()) (end func()) {
	stop := context.AfterFunc(a.ctx, cancel)
	return func() { stop() }
}
