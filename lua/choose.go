package lua

import (
	"github.com/keystone-gateway/keystone-gateway/lua/pattern"
	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// covered reports whether a middleware's pattern covers the path.
func (c *call) covered(s *step) bool {
	return s.covers == nil || c.below(s.covers)
}

// forms are what patterns are compared with.
type forms struct {
	paths [4][]byte
	n     int
}

// forms returns the path below the tenant's prefix, then the whole path. With
// strip_slashes each comes without a slash at its end before it comes with it, so
// that a route for it beats a catch-all.
func (c *call) forms() (f forms) {
	add := func(path []byte) {
		if n := len(path) - 1; c.shard.owner.options.StripSlashes && n > 0 && path[n] == '/' {
			f.paths[f.n] = path[:n]
			f.n++
		}
		f.paths[f.n] = path
		f.n++
	}
	add(c.req.Below)
	if c.req.prefixed() {
		add(c.req.Key)
	}
	return f
}

// below reports whether the path, in any of its forms, is in the scope of a
// pattern. A match that was given up counts as one, so that nothing gets past a
// middleware that way.
func (c *call) below(p *pattern.Pattern) bool {
	f := c.forms()
	for _, path := range f.paths[:f.n] {
		if _, outcome := p.MatchPrefix(path, &c.scope); outcome != pattern.NotFound {
			return true
		}
	}
	return false
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
	c.shard.planned++
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
		c.missing = &MethodError{Allow: c.allow()}
	default:
		c.missing = ErrNotFound
	}
	c.plan = c.scratch
}

// allow lists the methods of the routes for the path.
func (c *call) allow() string {
	f := c.forms()
	for _, path := range f.paths[:f.n] {
		if allow := c.shard.chain.routes.AppendAllow(nil, path); len(allow) > 0 {
			return string(allow)
		}
	}
	return ""
}

// addNeighbours adds the middleware around the routes of the path that are for
// other methods: what guards GET must guard a POST to the pool too.
func (c *call) addNeighbours() {
	routes := c.shard.chain.routes
	f := c.forms()
	for _, path := range f.paths[:f.n] {
		for _, method := range routes.Allow(path) {
			switch r, _, outcome := routes.Match([]byte(method), path, &c.scope); outcome {
			case pattern.Found:
				c.addSteps(r.chain)
			case pattern.Exhausted: // by the groups' patterns, too: what guards the path isn't known
				c.missing = gaveUp()
				return
			default:
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

// match looks for a route by the path's forms, one after the other.
func (c *call) match(method []byte) (r *route, wrongMethod bool) {
	f, last := c.forms(), pattern.NotFound
	for _, path := range f.paths[:f.n] {
		r, _, outcome := c.shard.chain.routes.Match(method, path, &c.params)
		switch outcome {
		case pattern.Found:
			return r, false
		case pattern.NotFound:
		default:
			last = outcome
		}
	}
	if last == pattern.Exhausted {
		c.missing = gaveUp()
		return nil, false
	}
	return nil, last == pattern.WrongMethod
}

// gaveUp is what is answered when a match was given up.
func gaveUp() error {
	return &Error{Kind: string(vm.OutOfInstructions), Message: "matching the path with the routes' patterns took too long"}
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
	for _, step := range steps {
		if step.planned != c.shard.planned {
			step.planned = c.shard.planned
			c.scratch = append(c.scratch, step)
		}
	}
}
