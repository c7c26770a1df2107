package lua

import (
	"context"
	"errors"
	"fmt"

	"github.com/rs/zerolog"
	glua "github.com/yuin/gopher-lua"
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
	answer, err := sh.aside(ctx, &asking{ctx, name}, s.fn, 1, glua.LString(name))
	switch {
	case err != nil:
	case answer == glua.LTrue:
		return true, nil
	case answer == glua.LFalse:
		return false, nil
	default:
		err = &Error{Kind: KindError, Message: fmt.Sprintf("%s: the function of chi_tls_ask returned a %s value, expected true or false", s.place, answer.Type())}
	}
	if failed, ok := errors.AsType[*Error](err); ok && ctx.Err() != nil {
		failed.Message = s.place + ": " + context.Cause(ctx).Error()
	}
	if failed := sh.owner.noteAside(s.script.name, "the function of chi_tls_ask", err); failed != nil {
		return false, failed
	}
	return false, err
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
