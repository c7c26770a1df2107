package lua

import (
	"errors"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

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
		c.choice = c.choose()
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
			c.raise(L, err)
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
	}
	c.frames[d] = frame{step: s, after: after, open: true, trial: s.script.onTrial(c.req.Remote)}
	c.depth++
	c.req.Step = s.place
	o := c.objectsFor(s)
	L.Push(s.fn)
	L.Push(&o.request)
	L.Push(&o.response)
	if after.ended { // a handler has no next
		return 2
	}
	L.Push(o.next(c.shard, d))
	return 3
}

// objectsFor returns what a step is given. Fresh objects take time and memory,
// but used again they would mean the request that runs then, if a script had
// kept them.
func (c *call) objectsFor(s *step) *objects {
	if !s.keeps {
		c.objects.of = c.number
		return c.objects
	}
	if c.fresh == nil {
		c.fresh = c.shard.newObjects(true)
		c.fresh.of = c.number
	}
	return c.fresh
}

// quarantined returns why a step must not run, or nil.
func (c *call) quarantined(s *step) error {
	left := s.script.quarantined(c.req.Remote, c.shard.owner.now)
	if left == 0 {
		return nil
	}
	c.shard.owner.stats.Quarantined.Add(1)
	return &QuarantineError{Script: s.script.name, Left: left}
}

// next is the function next of the frame d.
func (c *call) next(L *glua.LState, d int) int {
	if d >= c.depth || !c.frames[d].open {
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
		c.raise(L, err)
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
	clear(c.resp.Local) // a script's strings, of which the rest of the exchange has no need
	c.resp.Local = c.resp.Local[:0]
}
