package exchange

import (
	"sync"
	"time"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/lua/pattern"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
	"github.com/keystone-gateway/keystone-gateway/tenants/route"
	"github.com/keystone-gateway/keystone-gateway/tenants/routing"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// routed is what the routes of the configuration make of an exchange. There is one only
// where the tenant has routes.
type routed struct {
	route   *routing.Route // that was taken last; nil is none
	request routing.Request
	params  pattern.Params // what the route's path has captured
	offset  int            // of that path in the key
	// rewritten is the path that services get; nil is the client's.
	rewritten []byte
	policed   policed // by the route's policies
}

var routeds = sync.Pool{New: func() any { return new(routed) }}

func (r *routed) reset() {
	r.route, r.offset, r.rewritten = nil, 0, nil
	r.request.Reset()
	r.params.Reset()
	r.policed.reset()
}

// findRoute finds the route that the request takes, as it is by now; found is false
// where there is none.
func (x *exchange) findRoute() (found bool, err error) {
	t := x.Tenant
	if t.Routes == nil {
		return false, nil
	}
	x.endRoute()
	x.ConfigRoute, x.ByRoute = "", false
	if x.routed == nil {
		x.routed = routeds.Get().(*routed) //nolint:forcetypeassert // the pool holds nothing else
	}
	if t.Scripts == nil {
		x.locateForScripts()
	}
	r := x.routed
	seen := &r.request
	seen.Method, seen.Key, seen.Below = x.method, x.script.request.Key, x.script.request.Below
	seen.Query, seen.Header = x.query, x.Message.Header
	if !x.Client.Unnamed && !x.origin.unreadable {
		seen.Client, seen.Unix = x.Origin, true
	}
	taken, offset, outcome := t.Routes.Match(seen, &r.params)
	switch outcome {
	case pattern.Found:
		r.route, r.offset, x.ConfigRoute = taken, offset, taken.Place
		return true, nil
	case pattern.Exhausted:
		return false, faultRoutesExhausted
	case pattern.WrongMethod:
		if x.upstreams() == nil {
			return false, &lua.MethodError{Allow: t.Routes.Allow(seen, &r.params)}
		}
	}
	return false, nil
}

// endRoute ends what has come of the route that was taken.
func (x *exchange) endRoute() {
	r := x.routed
	if r == nil || r.route == nil {
		return
	}
	if r.policed.begun {
		r.route.Policies.Done(&r.policed.request)
	}
	r.reset()
}

// forgetRoute gives back what routes have needed.
func (x *exchange) forgetRoute() {
	if x.routed != nil {
		x.routed.reset()
		routeds.Put(x.routed)
		x.routed = nil
	}
}

// takeRoute has a route of the configuration answer, if the request takes one that
// does. answered says that the response is there.
func (x *exchange) takeRoute() (answered bool, err error) {
	x.routePool(nil) // what an earlier route has said
	found, err := x.findRoute()
	switch {
	case err != nil:
		return false, err
	case !found && x.upstreams() == nil:
		return false, faultNoRoute
	case !found:
		return false, nil
	}
	if answered, err = x.judgeRoute(); answered || err != nil {
		return answered, err
	}
	r := x.routed.route
	if r.Plain {
		x.takes = identity
	}
	x.ByRoute = !r.Forwards()
	switch {
	case r.Redirect != nil:
		return true, x.leadAway(r.Redirect)
	case r.Files != nil:
		return true, x.serveFile(r.Files)
	case r.Answer != nil:
		if err := x.holdPage(r.Answer.Body); err != nil {
			return false, err
		}
		for i := range r.Answer.Header {
			x.response.Local.Set(r.Answer.Header[i].Name, r.Answer.Header[i].Value)
		}
		x.local(r.Answer.Status, "", r.Answer.Body)
	default:
		return false, x.prepareRoute(r)
	}
	return true, nil
}

// prepareRoute makes ready what a route says of the way to the services.
func (x *exchange) prepareRoute(r *routing.Route) error {
	if x.routePool(r); x.upstreams() == nil { // of a tenant without a default pool, which has refused the route
		return faultNoRoute
	}
	if r.Total > 0 && !x.upload.running() {
		x.boundCall()
	}
	if r.Rewrite == nil || x.Message.Form == message.AsteriskForm {
		return nil
	}
	written, err := r.Rewrite.Append(x.values, x.appendCaptured)
	if written = x.keepValue(written); err != nil {
		return err
	}
	if n := 3 * len(written); cap(x.sendBuf) < n {
		x.sendBuf = make([]byte, 0, n)
	}
	path, query, _, err := route.Canonical(x.sendBuf, written)
	if err != nil {
		return err
	}
	if x.routed.rewritten = path; len(query) > 0 {
		x.query = query
	}
	return nil
}

// taken is the route of the configuration that the request has taken; nil is none.
func (x *exchange) taken() *routing.Route {
	if x.routed == nil {
		return nil
	}
	return x.routed.route
}

// holdBody holds a body that was read before the route was known to the route's bound.
func (x *exchange) holdBody() error {
	if r := x.taken(); r != nil && r.MaxBody > 0 && int64(len(x.script.body)) > r.MaxBody {
		return message.BodyTooLarge
	}
	return nil
}

// mostBody bounds the request's body.
func (x *exchange) mostBody() int64 {
	if r := x.taken(); r != nil && r.MaxBody > 0 {
		return r.MaxBody
	}
	return x.bounds.maxBody
}

// total bounds the request as a whole, and is the name of the setting; 0 is no bound.
func (x *exchange) total() (limit time.Duration, key string) {
	if r := x.taken(); r != nil && r.Total > 0 {
		return r.Total, r.TotalKey
	}
	if x.pool != nil {
		return x.pool.Timeouts.Total, x.pool.Timeouts.TotalKey
	}
	return x.Tenant.Total, TotalKey
}

// narrow applies the route's time-outs.
func (x *exchange) narrow(t *upstream.Timeouts) {
	r := x.taken()
	if r == nil {
		return
	}
	if r.ResponseHeader > 0 {
		t.ResponseHeader = r.ResponseHeader
	}
	if r.Idle > 0 {
		t.Idle = r.Idle
	}
}

// judgeRoute asks the policies of the route.
func (x *exchange) judgeRoute() (answered bool, err error) {
	r := x.routed
	chain := r.route.Policies
	if chain == nil {
		return false, nil
	}
	x.show(&r.policed)
	r.policed.request.Outer = x.knownBefore()
	if len(x.plane.Observers.policy) > 0 {
		r.policed.request.Trace = x.traceRoute
	}
	chain.Begin(&r.policed.request)
	return x.ask(chain, &r.policed)
}

// traceRoute tells of a policy of the route that was asked.
func (x *exchange) traceRoute(s policy.Step) {
	s.Route = x.routed.route.Place
	x.tracePolicy(s)
}

// leadAway answers with the location of a redirect.
func (x *exchange) leadAway(to *routing.Redirect) error {
	location, err := to.Append(x.values, x.query, x.appendCaptured)
	if location = x.keepValue(location); err != nil {
		return err
	}
	x.local(to.Status, "", nil)
	x.response.Local.Set(locationName, location)
	return nil
}

// appendCaptured appends what the route's path has captured under a name: as it was
// written, so that an encoded slash stays one.
func (x *exchange) appendCaptured(dst []byte, name string) []byte {
	r := x.routed
	begin, end, ok := r.params.Span(name)
	if !ok {
		return dst
	}
	return append(dst, route.Spelled(x.Path, r.offset+begin, r.offset+end)...)
}

var faultRoutesExhausted = &Fault{Status: 500, Code: "route_limit", Message: "matching the path with the tenant's routes took too long"}
