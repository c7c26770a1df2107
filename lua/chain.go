package lua

import (
	"fmt"
	"slices"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/pattern"
)

// chain is what the scripts of one VM have declared, composed when they have
// been loaded. It is immutable; its functions belong to the VM.
type chain struct {
	root     []*step // the tenant's middleware, in order of declaration
	routes   *pattern.Table[*route]
	prefixes []*scope // those with a prefix, in order of declaration
	notFound ending   // where there is no pool; none is the gateway's answer
	disallow ending   // for the wrong method; none is the gateway's answer
	getHead  bool     // whether HEAD falls back to GET
}

// step is one function of a chain.
type step struct {
	fn     *glua.LFunction
	script *script
	covers *pattern.Pattern // nil covers its whole scope
	line   int
	place  string // script:line
	keeps  bool   // it may keep what it is given: see vm.Keeps

	planned uint64 // the last plan that it is in; guarded by the VM's lock
}

// route is a pattern bound to a handler.
type route struct {
	method, pattern string
	chain           []*step // of the scopes around it, but for the root
	handler         *step
	line            int
}

// ending is a handler for what no route answers, and the scope that it is
// declared in.
type ending struct {
	step  *step
	scope *scope
}

// scope is what a chi_group or a chi_route_group has in it.
type scope struct {
	parent   *scope
	prefix   *pattern.Pattern // nil is the parent's
	path     string           // the prefix as patterns within are joined to it
	own      []*step          // middleware declared here
	steps    []*step          // with those of the scopes around, but for the root
	notFound ending
	disallow ending
	getHead  bool
	script   *script
}

// declaration is a route before its chain is composed.
type declaration struct {
	scope   *scope
	method  string
	pattern string
	handler *step
	where   string
}

// declarations collects what scripts declare while they are loaded.
type declarations struct {
	root   *scope
	scopes []*scope // but for the root, in order of declaration
	routes []declaration
	// tlsAsks are asked whether a name may have a certificate, in this order.
	tlsAsks []*step
	timers  []timed // in order of declaration
	closed  bool    // loading has ended
}

func newDeclarations() declarations { return declarations{root: &scope{}} }

// compose makes the chain. The errors name scripts and lines at fault.
func (d *declarations) compose(claims claimed) (c *chain, conflicts []error) {
	c = &chain{root: d.root.own, notFound: d.root.notFound, disallow: d.root.disallow, getHead: d.root.getHead}
	chained := 0
	for _, s := range d.scopes { // parents come before their children
		if s.parent != d.root {
			s.steps = s.parent.steps
		}
		if len(s.own) > 0 { // or they are the parent's, in the same memory
			if chained += len(s.steps) + len(s.own); chained > maxChained {
				return c, []error{fmt.Errorf("%s: too many middlewares in groups within groups, expected at most %d in all their chains together", s.script.name, maxChained)}
			}
			s.steps = slices.Concat(s.steps, s.own)
		}
		if s.prefix != nil {
			c.prefixes = append(c.prefixes, s)
		}
	}
	var builder pattern.Builder[*route]
	for i := range d.routes {
		r := &d.routes[i]
		if err := claims.conflict(r); err != nil {
			if conflicts = append(conflicts, err); len(conflicts) == maxRefused {
				break
			}
			continue
		}
		compiled := &route{method: r.method, pattern: r.pattern, chain: r.scope.steps, handler: r.handler, line: r.handler.line}
		if err := builder.Add(r.method, r.pattern, compiled); err != nil {
			conflicts = append(conflicts, fmt.Errorf("%s %w", r.where, err))
			if len(conflicts) == maxRefused {
				break
			}
		}
	}
	c.routes = builder.Build()
	return c, conflicts
}

// idle reports whether a request needs no Lua at all.
func (c *chain) idle() bool {
	return len(c.root) == 0 && c.routes.Len() == 0 && len(c.prefixes) == 0 && c.notFound.step == nil
}
