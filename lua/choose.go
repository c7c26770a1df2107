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

// choice is what answers a request.
type choice struct {
	plan    []*step // of the route, or of the scopes that the path is in
	final   *step   // the handler; nil is the pool
	missing error   // what to answer if there is neither handler nor pool
}

// choose finds what answers the path: a route, else the pool behind the
// middleware of all the groups that the path is in.
func (c *call) choose() choice {
	r, found := c.match(c.req.Method)
	if (found == pattern.NotFound || found == pattern.WrongMethod) && string(c.req.Method) == "HEAD" && c.getHead() {
		if get, outcome := c.match([]byte("GET")); outcome == pattern.Found || outcome == pattern.Exhausted {
			r, found = get, outcome
		}
	}
	if found == pattern.Found {
		c.req.Route = r.pattern
		return choice{plan: r.chain, final: r.handler}
	}
	c.scratch = c.scratch[:0]
	c.shard.planned++
	notFound, disallow := c.enterGroups()
	var ends choice
	switch wrong := found == pattern.WrongMethod; {
	case found == pattern.Exhausted: // who is to answer isn't known
		ends.missing = gaveUp()
	case wrong && disallow.step != nil:
		ends.final = c.endWith(disallow)
	case notFound.step != nil && !wrong:
		ends.final = c.endWith(notFound)
	case c.exchange.HasPool():
		if wrong {
			ends.missing = c.addNeighbours()
		}
	case wrong:
		ends.missing = &MethodError{Allow: c.allow()}
	default:
		ends.missing = ErrNotFound
	}
	ends.plan = c.scratch
	return ends
}

// enterGroups adds the middleware of all the groups that the path is in, and
// returns the innermost handlers for paths and methods without a route.
func (c *call) enterGroups() (notFound, disallow ending) {
	notFound, disallow = c.shard.chain.notFound, c.shard.chain.disallow
	if c.exchange.HasPool() {
		notFound = ending{} // it is the pool that knows
	}
	for _, s := range c.shard.chain.prefixes {
		if !c.below(s.prefix) {
			continue
		}
		c.addSteps(s.steps)
		if s.notFound.step != nil {
			notFound = s.notFound
		}
		if s.disallow.step != nil {
			disallow = s.disallow
		}
	}
	return notFound, disallow
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
// other methods: what guards GET must guard a POST to the pool too. An error is
// that those aren't known, since a match, also with a group's pattern, was given up.
func (c *call) addNeighbours() error {
	routes := c.shard.chain.routes
	f := c.forms()
	for _, path := range f.paths[:f.n] {
		for _, method := range routes.Allow(path) {
			switch r, _, outcome := routes.Match([]byte(method), path, &c.scope); outcome {
			case pattern.Found:
				c.addSteps(r.chain)
			case pattern.Exhausted:
				return gaveUp()
			default:
			}
		}
	}
	return nil
}

// endWith makes a handler the end of the plan, behind the middleware of the group
// that it is declared in.
func (c *call) endWith(e ending) *step {
	c.addSteps(e.scope.steps)
	return e.step
}

// match looks for a route by the path's forms, one after the other. Where none
// has one, a match that was given up counts before a wrong method.
func (c *call) match(method []byte) (*route, pattern.Outcome) {
	f, last := c.forms(), pattern.NotFound
	for _, path := range f.paths[:f.n] {
		switch r, _, outcome := c.shard.chain.routes.Match(method, path, &c.params); outcome {
		case pattern.Found:
			return r, outcome
		case pattern.NotFound:
		default:
			if last != pattern.Exhausted {
				last = outcome
			}
		}
	}
	return nil, last
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

// addSteps adds middleware to the plan, each once.
func (c *call) addSteps(steps []*step) {
	for _, step := range steps {
		if step.planned != c.shard.planned {
			step.planned = c.shard.planned
			c.scratch = append(c.scratch, step)
		}
	}
}
