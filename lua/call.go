package lua

import (
	"context"
	"errors"

	"github.com/rs/zerolog"
	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/pattern"
	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// call is one request on a VM: a small Lua thread with what its functions get.
// It is pooled by its shard, whose lock guards it.
type call struct {
	shard   *shard
	L       *glua.LState
	run     vm.Run
	objects *objects // for functions that can't keep them

	// Memory that is kept for the next request, empty.
	frames  []frame
	scratch []*step
	params  pattern.Params         // of the route
	scope   pattern.Params         // of middleware and groups
	values  map[string]glua.LValue // request:set

	served
}

// served is what a call knows of the request that it serves. It is forgotten as
// a whole when that ends.
type served struct {
	number   handle
	fresh    *objects // for functions that may keep them; nil is none yet
	exchange Exchange
	req      *Request
	resp     *Response

	choice    // once the tenant's own middleware has run
	depth     int
	blamed    *step // the one that was running when the budget was exhausted
	forwarded bool
	body      glua.LValue // request.body, once read
	raised    []error     // through Lua, as carried
}

func (sh *shard) newCall() *call {
	thread, _ := sh.main.NewThread()
	c := &call{shard: sh, L: thread, objects: sh.newObjects(false)}
	c.run.Owner = c
	thread.SetContext(&c.run)
	return c
}

// outcome is what became of the Lua part of a request.
type outcome struct {
	err       error // errNoScript is that there was none
	missing   error
	blamed    *step
	exhausted *vm.Exhausted
	forwarded bool
}

// Serve runs the chain for a request. When it returns nil, the exchange's
// response is complete but for a target's body. hint spreads requests over
// VMs. An error is *Error for a script's failure; *MethodError, ErrNotFound,
// *QuarantineError and ErrBusy are answers to give; others are the exchange's.
// When it returns, or panics, nothing that Lua holds leads to the exchange.
func (s *Scripts) Serve(x Exchange, hint uint64) error {
	s.stats.Runs.Add(1)
	sh, err := s.acquire(hint)
	if err != nil {
		return err
	}
	o := sh.serve(x)
	x.Unbound()
	switch {
	case o.err == nil:
		return nil
	case o.err != errNoScript:
		return s.failed(x, o)
	case o.missing == nil:
		return x.Forward()
	case errors.As(o.missing, new(*QuarantineError)):
		return s.instead(x, o.missing, false)
	}
	x.Answer(o.missing)
	return nil
}

// serve runs the scripts for a request. The lock is held before, and released
// whatever happens.
func (sh *shard) serve(x Exchange) (o outcome) {
	defer sh.owner.release(sh)
	c := sh.takeCall()
	whole := false // not if it panics
	defer func() { c.end(whole) }()
	sh.served++
	c.number, c.exchange, c.req, c.resp = sh.served, x, x.Request(), x.Response()
	o.err = c.serve()
	o.missing, o.blamed, o.exhausted, o.forwarded = c.missing, c.blamed, c.run.Exhausted(), c.forwarded
	if whole = o.err == nil || o.err == errNoScript; !whole {
		if o.blamed == nil && c.depth > 0 {
			o.blamed = c.frames[c.depth-1].step
		}
		o.err = c.cause(o.err, o.exhausted)
	}
	return o
}

func (sh *shard) takeCall() *call {
	if n := len(sh.free); n > 0 {
		c := sh.free[n-1]
		sh.free = sh.free[:n-1]
		return c
	}
	return sh.newCall()
}

// errNoScript is serve's answer for a request that runs no Lua: it needs none,
// or c.missing says why it may not.
var errNoScript = errors.New("no script takes part")

// serve runs Lua; the lock is held before and after.
func (c *call) serve() error {
	s, after := c.resolve(position{})
	if s == nil {
		return errNoScript
	}
	if err := c.quarantined(s); err != nil { // else what resolve says is missing stands
		c.missing = err
		return errNoScript
	}
	c.run.Begin(background, c.shard.lock, &c.shard.owner.limits)
	defer c.run.End()
	L := c.L
	L.G.CurrentThread = L
	defer func() { L.G.CurrentThread = c.shard.main }()
	return vm.Call(L, c.prepare(L, s, after), 0)
}

// end forgets the request, whatever became of it. A thread that failed is
// thrown away: closures may share its registers.
func (c *call) end(whole bool) {
	was := c.served
	c.served = served{} // before anything that could panic
	c.scratch = c.scratch[:0]
	c.params.Reset()
	c.scope.Reset()
	if len(c.values) > maxValues {
		c.values = nil // a map keeps the memory of what it once had
	}
	clear(c.values)
	if was.fresh != nil {
		c.shard.lock.Count(int64(was.fresh.Size()))
	}
	for i := range c.frames {
		f := c.frames[i]
		c.frames[i] = frame{}
		if f.step != nil && whole {
			f.step.script.succeeded(was.req.Remote, f.trial, c.shard.owner.now)
		}
	}
	if !whole {
		c.run.Owner, c.objects, c.values = nil, nil, nil
		vm.Discard(c.L)
		return
	}
	c.L.SetTop(0)
	if sh := c.shard; len(sh.free) < maxFree && vm.StackSlots(c.L) <= keptStack {
		sh.free = append(sh.free, c)
	} else {
		vm.Discard(c.L)
	}
}

// What a VM keeps of requests that have ended: threads, of about 4 KiB each
// unless their stack has grown beyond so many slots of 16 bytes, and tables of
// request:set of so many keys.
const (
	maxFree   = 1024
	keptStack = 2048
	maxValues = 32
)

// AppendLog is modules.Logging's.
func (c *call) AppendLog(e *zerolog.Event) {
	if c.exchange != nil {
		c.exchange.AppendLog(e)
	}
}

// Watch is vm.Watcher's.
func (c *call) Watch(cancel func()) (end func()) { return c.exchange.Watch(cancel) }

// Exhausted is vm.Blamer's.
func (c *call) Exhausted() {
	if c.depth > 0 {
		c.blamed = c.frames[c.depth-1].step
	}
}

// background is the parent of every run: what ends a request's waits is its
// total_timeout, and the end of what it waits for.
var background = context.Background()
