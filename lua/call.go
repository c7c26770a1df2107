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
	shard *shard
	L     *glua.LState
	run   vm.Run

	exchange Exchange
	req      *Request
	resp     *Response

	request, response, headers, responseHeaders *glua.LUserData
	frames                                      []frame
	nexts                                       []*glua.LFunction // of the frames

	plan      []*step // of the route, or of the scopes that the path is in
	scratch   []*step
	final     *step
	missing   error // what to answer if there is neither final nor a pool
	depth     int
	blamed    *step // the one that was running when the budget was exhausted
	forwarded bool
	params    pattern.Params         // of the route
	scope     pattern.Params         // of middleware and groups
	values    map[string]glua.LValue // request:set
	body      glua.LValue            // request.body, once read
	logged    int
}

// frame is one middleware under way.
type frame struct {
	step   *step
	after  position
	open   bool // it has been called and has not returned
	called bool // it has called next
	trial  bool // its script was in quarantine until it began
}

// position is a place in the chain: among the tenant's middleware, or after
// routing.
type position struct {
	routed bool
	ended  bool // after the handler
	index  int
}

// maxFrames bounds how many middlewares a request goes through.
const maxFrames = 100

func (sh *shard) newCall() *call {
	thread, _ := sh.main.NewThread()
	c := &call{shard: sh, L: thread}
	c.run.Owner = c
	thread.SetContext(&c.run)
	object := func(meta *glua.LTable) *glua.LUserData {
		return &glua.LUserData{Value: c, Metatable: meta, Env: sh.main.Env}
	}
	c.request, c.response = object(sh.requestMeta), object(sh.responseMeta)
	c.headers, c.responseHeaders = object(sh.headersMeta), object(sh.responseHeadersMeta)
	return c
}

// Serve runs the chain for a request. When it returns nil, the exchange's
// response is complete but for a target's body. hint spreads requests over
// VMs. An error is *Error for a script's failure; *MethodError, ErrNotFound,
// *QuarantineError and ErrBusy are answers to give; others are the exchange's.
func (s *Scripts) Serve(x Exchange, hint uint64) error {
	s.stats.Runs.Add(1)
	sh, err := s.acquire(hint)
	if err != nil {
		return err
	}
	c := sh.takeCall()
	err = c.serve(x)
	if err == errNoScript {
		missing := c.missing
		c.end(nil)
		s.release(sh)
		x.Unbound()
		switch {
		case missing == nil:
			return x.Forward()
		case errors.As(missing, new(*QuarantineError)):
			return s.instead(x, missing, false)
		}
		x.Answer(missing)
		return nil
	}
	forwarded := c.forwarded
	var blamed *step
	if blamed = c.blamed; err != nil && blamed == nil && c.depth > 0 {
		blamed = c.frames[c.depth-1].step
	}
	exhausted := c.run.Exhausted()
	c.end(err)
	s.release(sh)
	x.Unbound()
	if err == nil {
		return nil
	}
	return s.failed(x, failure(err, exhausted), blamed, exhausted, forwarded)
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
func (c *call) serve(x Exchange) error {
	c.exchange, c.req, c.resp = x, x.Request(), x.Response()
	s, after := c.resolve(position{})
	if s == nil {
		return errNoScript
	}
	if c.missing = c.quarantined(s); c.missing != nil {
		return errNoScript
	}
	c.run.Begin(background, c.shard.lock, &c.shard.owner.limits)
	L := c.L
	L.G.CurrentThread = L
	err := L.PCall(c.prepare(L, s, after), 0, nil)
	L.G.CurrentThread = c.shard.main
	c.run.End()
	return err
}

// end forgets the request. A thread that failed is thrown away.
func (c *call) end(err error) {
	if err != nil {
		return
	}
	for i := range c.frames {
		f := &c.frames[i]
		if f.step != nil {
			f.step.script.succeeded(f.trial)
		}
		*f = frame{}
	}
	c.L.SetTop(0)
	c.exchange, c.req, c.resp, c.plan, c.final, c.missing, c.body = nil, nil, nil, nil, nil, nil, nil
	c.depth, c.forwarded, c.logged, c.blamed = 0, false, 0, nil
	if len(c.values) > maxValues {
		c.values = nil // a map keeps the memory of what it once had
	}
	c.scratch = c.scratch[:0]
	c.params.Reset()
	c.scope.Reset()
	if len(c.values) > 0 {
		clear(c.values)
	}
	if sh := c.shard; len(sh.free) < maxFree && vm.StackSlots(c.L) <= keptStack {
		sh.free = append(sh.free, c)
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

// callOf returns the request that L runs for.
func callOf(L *glua.LState) *call {
	c, ok := vm.RunOf(L).Owner.(*call)
	if !ok || c.exchange == nil {
		L.RaiseError("there is no request while the script is loaded")
	}
	return c
}

// AppendLog is modules.Logging's.
func (c *call) AppendLog(e *zerolog.Event) {
	if c.exchange != nil {
		c.exchange.AppendLog(e)
	}
}

// Watch is vm.Watcher's.
func (c *call) Watch(cancel func()) (end func()) { return c.exchange.Watch(cancel) }

// resolve finds the step that comes next, and the place after it. There is
// none at the end of the chain: then comes the pool, or c.missing.
func (c *call) resolve(at position) (s *step, after position) {
	if !at.routed {
		root := c.shard.chain.root
		for i := at.index; i < len(root); i++ {
			if c.covered(root[i]) {
				return root[i], position{index: i + 1}
			}
		}
		c.choose()
		at = position{routed: true}
	}
	for i := at.index; i < len(c.plan); i++ {
		if c.covered(c.plan[i]) {
			return c.plan[i], position{routed: true, index: i + 1}
		}
	}
	return c.final, position{ended: true}
}

// advance runs the rest of the chain from a position.
func (c *call) advance(L *glua.LState, at position) {
	s, after := c.resolve(at)
	switch {
	case s != nil:
		if err := c.quarantined(s); err != nil {
			c.shard.raise(L, err)
		}
		d := c.depth
		L.Call(c.prepare(L, s, after), 0)
		c.frames[d].open = false
	case c.missing != nil:
		c.exchange.Answer(c.missing)
	default:
		c.forward(L)
	}
}

// prepare opens a frame for a step and pushes its function and arguments, of
// which it returns the number.
func (c *call) prepare(L *glua.LState, s *step, after position) (arguments int) {
	d := c.depth
	if d >= maxFrames {
		L.RaiseError("too many middlewares, expected at most %d", maxFrames)
	}
	if d == len(c.frames) {
		c.frames = append(c.frames, frame{})
		c.nexts = append(c.nexts, c.shard.main.NewFunction(func(L *glua.LState) int { return c.next(L, d) }))
	}
	c.frames[d] = frame{step: s, after: after, open: true, trial: s.script.onTrial()}
	c.depth++
	c.req.Step = s.place
	L.Push(s.fn)
	L.Push(c.request)
	L.Push(c.response)
	if after.ended { // a handler has no next
		return 2
	}
	L.Push(c.nexts[d])
	return 3
}

// quarantined returns why a step must not run, or nil.
func (c *call) quarantined(s *step) error {
	left := s.script.quarantined(c.shard.owner.now)
	if left == 0 {
		return nil
	}
	c.shard.owner.stats.Quarantined.Add(1)
	return &QuarantineError{Script: s.script.name, Left: left}
}

// next is the function next of the frame d.
func (c *call) next(L *glua.LState, d int) int {
	if vm.RunOf(L) != &c.run || d >= c.depth || !c.frames[d].open {
		L.RaiseError("next was called after its middleware had ended")
	}
	f := &c.frames[d]
	if f.called {
		L.RaiseError("next was called twice")
	}
	if len(c.resp.Body) > 0 || c.resp.Begun {
		L.RaiseError("next was called after the response had been written")
	}
	f.called = true
	c.depth = d + 1
	defer func() { c.depth = d + 1 }() // also past what has failed
	c.advance(L, f.after)
	return 0
}

// Exhausted is vm.Blamer's.
func (c *call) Exhausted() {
	if c.depth > 0 {
		c.blamed = c.frames[c.depth-1].step
	}
}

// forward sends the request to the pool, and lays what scripts have set on
// the response so far over the target's.
func (c *call) forward(L *glua.LState) {
	c.forwarded = true
	var err error
	c.run.Yield(L, func() { err = c.exchange.Forward() })
	if err != nil {
		if errors.Is(err, ErrGone) {
			c.run.Fail(L, vm.Cancelled, err.Error())
		}
		c.shard.raise(L, err)
	}
	if !c.resp.Target {
		return
	}
	for i := range c.resp.Local {
		f := &c.resp.Local[i]
		if f.Added {
			c.resp.Header.Add(f.Name, f.Value)
		} else {
			c.resp.Header.Set(f.Name, f.Value)
		}
	}
	c.resp.Local = c.resp.Local[:0]
}

// covered reports whether a middleware's pattern covers the path.
func (c *call) covered(s *step) bool {
	return s.covers == nil || c.below(s.covers)
}

// below reports whether the path is in the scope of a pattern: the path below
// the tenant's prefix, or the whole path. A match that was given up counts as
// one, so that nothing gets past a middleware that way.
func (c *call) below(p *pattern.Pattern) bool {
	_, outcome := p.MatchPrefix(c.req.Below, &c.scope)
	if outcome == pattern.NotFound && c.req.prefixed() {
		_, outcome = p.MatchPrefix(c.req.Key, &c.scope)
	}
	return outcome != pattern.NotFound
}

// choose finds what answers the path: a route, else the pool behind the
// middleware of all the groups that the path is in.
func (c *call) choose() {
	chain := c.shard.chain
	c.plan, c.final, c.missing = nil, nil, nil
	r, wrong := c.match(c.req.Method)
	if r == nil && string(c.req.Method) == "HEAD" && c.getHead() {
		r, _ = c.match([]byte("GET"))
	}
	if r != nil {
		c.plan, c.final, c.req.Route = r.chain, r.handler, r.pattern
		return
	}
	notFound, disallow := chain.notFound, chain.disallow
	if c.exchange.HasPool() {
		notFound = ending{} // it is the pool that knows
	}
	c.scratch = c.scratch[:0]
	for _, s := range chain.prefixes {
		if !c.below(s.prefix) {
			continue
		}
		c.addScope(s)
		if s.notFound.step != nil {
			notFound = s.notFound
		}
		if s.disallow.step != nil {
			disallow = s.disallow
		}
	}
	switch {
	case c.missing != nil: // a match was given up: who is to answer isn't known
	case wrong && disallow.step != nil:
		c.endWith(disallow)
	case notFound.step != nil && !wrong:
		c.endWith(notFound)
	case c.exchange.HasPool():
		if wrong {
			c.addNeighbours()
		}
	case wrong:
		allow := chain.routes.AppendAllow(nil, c.req.Below)
		if len(allow) == 0 {
			allow = chain.routes.AppendAllow(nil, c.req.Key)
		}
		c.missing = &MethodError{Allow: string(allow)}
	default:
		c.missing = ErrNotFound
	}
	c.plan = c.scratch
}

// addNeighbours adds the middleware around the routes of the path that are for
// other methods: what guards GET must guard a POST to the pool too.
func (c *call) addNeighbours() {
	routes := c.shard.chain.routes
	for _, path := range [][]byte{c.req.Below, c.req.Key} {
		for _, method := range routes.Allow(path) {
			if r, _, outcome := routes.Match([]byte(method), path, &c.scope); outcome == pattern.Found {
				c.addSteps(r.chain)
			}
		}
	}
}

// endWith makes a handler the end of the plan, behind the middleware of the group
// that it is declared in.
func (c *call) endWith(e ending) {
	c.addScope(e.scope)
	c.final = e.step
}

// match looks for a route by the path below the tenant's prefix, then by the
// whole path.
func (c *call) match(method []byte) (r *route, wrongMethod bool) {
	routes := c.shard.chain.routes
	r, _, outcome := routes.Match(method, c.req.Below, &c.params)
	if outcome != pattern.Found && c.req.prefixed() {
		var whole pattern.Outcome
		if r, _, whole = routes.Match(method, c.req.Key, &c.params); whole != pattern.NotFound {
			outcome = whole
		}
	}
	if outcome == pattern.Exhausted {
		c.missing = &Error{Kind: string(vm.OutOfInstructions), Message: "matching the path with the routes' patterns took too long"}
		return nil, false
	}
	if outcome != pattern.Found {
		return nil, outcome == pattern.WrongMethod
	}
	return r, false
}

// getHead reports whether HEAD may be answered by the route for GET.
func (c *call) getHead() bool {
	if c.shard.chain.getHead {
		return true
	}
	for _, s := range c.shard.chain.prefixes {
		if s.getHead && c.below(s.prefix) {
			return true
		}
	}
	return false
}

// addScope adds the middleware of a scope to the plan, each once.
func (c *call) addScope(s *scope) { c.addSteps(s.steps) }

func (c *call) addSteps(steps []*step) {
next:
	for _, step := range steps {
		for _, have := range c.scratch {
			if have == step {
				continue next
			}
		}
		c.scratch = append(c.scratch, step)
	}
}

// background is the parent of every run: what ends a request's waits is its
// total_timeout, and the end of what it waits for.
var background = context.Background()
