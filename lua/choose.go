package lua

import (
	"github.com/keystone-gateway/keystone-gateway/lua/pattern"
	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

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
	for _, step := range steps {
		if step.planned != c.shard.planned {
			step.planned = c.shard.planned
			c.scratch = append(c.scratch, step)
		}
	}
}
