package lua

import (
	"context"
	"errors"
	"strings"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// aside calls a function of the VM outside of requests, within the budgets of one, and
// returns its result, if it is to have one. It ends with ctx. An error of the script's
// is an *Error. The lock is held before and after.
func (sh *shard) aside(ctx context.Context, owner any, fn *glua.LFunction, results int, arguments ...glua.LValue) (glua.LValue, error) {
	thread, _ := sh.main.NewThread()
	defer vm.Discard(thread)
	run := &vm.Run{Owner: owner}
	run.Begin(ctx, sh.lock, &sh.owner.limits)
	run.EndWith(ctx)
	defer run.End()
	thread.SetContext(run)
	sh.main.G.CurrentThread = thread
	defer func() { sh.main.G.CurrentThread = sh.main }()
	thread.Push(fn)
	for _, argument := range arguments {
		thread.Push(argument)
	}
	if err := vm.Call(thread, len(arguments), results); err != nil {
		return nil, failure(err, run.Exhausted())
	}
	if results == 0 {
		return nil, nil
	}
	return thread.Get(-1), nil
}

// noteAside counts a failure of a script's outside of requests, and keeps it as one of a
// request is; nil is that it is none. what says where the stack begins.
func (s *Scripts) noteAside(script, what string, err error) *Error {
	failed, ok := errors.AsType[*Error](err)
	if !ok {
		return nil
	}
	failed.Script, _, _ = strings.Cut(script, ":")
	if name, _, ok := strings.Cut(failed.Message, ".lua:"); ok && !failed.Limited() && hasPosition(failed.Message) {
		failed.Script = name + ".lua"
	}
	if above, ok := strings.CutSuffix(failed.Stack, bottom); ok {
		failed.Stack = above + ": in " + what
	}
	s.stats.Failures.Add(1)
	if failed.Limited() {
		s.stats.Exhausted.Add(1)
	}
	s.record(failed)
	return failed
}
