package lua

import (
	"fmt"
	"strconv"
	"strings"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/pattern"
	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// declarer implements the chi_ functions of one VM while it loads scripts.
type declarer struct {
	declarations
	scope    *scope  // the innermost one open
	script   *script // the one being loaded
	getHead  *glua.LFunction
	bytes    int64   // what the declarations take
	steps    int     // middlewares
	refused  []error // declarations that can't be used; loading goes on to find more
	first    bool    // the scripts aren't accepted yet: what is doubtful is noted
	warnings []warning
}

// methods are those that have a function of their own in the table chi.
var methods = []string{"get", "post", "put", "patch", "delete", "head", "options"}

// Bounds of what one tenant's scripts declare.
const (
	maxScopes   = 1000
	maxRoutes   = 10_000
	maxSteps    = 2000   // middlewares
	maxChained  = 50_000 // middlewares of groups, with those of the groups around each
	maxRefused  = 20
	maxWarnings = 100
)

// open registers the functions in globals.
func (d *declarer) open(L *glua.LState, globals *glua.LTable, freeze func(string, *glua.LTable) *glua.LTable) {
	for name, f := range map[string]glua.LGFunction{
		"chi_middleware": d.middleware(nil), "chi_route": d.method(nil), "chi_group": d.group, "chi_route_group": d.group,
		"chi_mount": d.mount(nil), "chi_not_found": d.notFound, "chi_method_not_allowed": d.methodNotAllowed, "chi_tls_ask": d.tlsAsk,
	} {
		globals.RawSetString(name, L.NewFunction(d.loading(name, f)))
	}
	chi := d.table(L, nil)
	for name, f := range map[string]glua.LGFunction{
		"group": d.group, "not_found": d.notFound, "method_not_allowed": d.methodNotAllowed, "tls_ask": d.tlsAsk,
	} {
		chi.RawSetString(name, L.NewFunction(d.loading("chi."+name, f)))
	}
	d.getHead = L.NewFunction(getHead)
	chi.RawSetString("get_head", d.getHead)
	globals.RawSetString("chi", freeze("chi", chi))
}

// table makes chi itself, or what chi.with returns: the functions that
// declare in a scope; nil is whichever is open when they are called.
func (d *declarer) table(L *glua.LState, at *scope) *glua.LTable {
	t := L.CreateTable(0, 1)
	set := func(name string, f glua.LGFunction) { t.RawSetString(name, L.NewFunction(d.loading("chi."+name, f))) }
	for _, method := range methods {
		set(method, d.verb(at, strings.ToUpper(method)))
	}
	set("method", d.method(at))
	set("handle", d.verb(at, ""))
	set("mount", d.mount(at))
	set("use", d.middleware(at))
	set("with", d.with(at))
	set("route", d.within(at))
	return t
}

// loading refuses a declaration at request time: it would hold in one VM only.
func (d *declarer) loading(name string, f glua.LGFunction) glua.LGFunction {
	return func(L *glua.LState) int {
		if d.closed {
			L.RaiseError("%s can only be called while the script is loaded, not while a request runs", name)
		}
		if _, ok := L.Get(1).(*glua.LTable); ok { // chi:get(…) is as good as chi.get(…)
			vm.DropSelf(L)
		}
		return f(L)
	}
}

// refuse keeps why a declaration can't be used, with where it stands. The
// scripts can't be used then, but what else is wrong with them is found too.
func (d *declarer) refuse(L *glua.LState, err error) {
	if len(d.refused) >= maxRefused {
		L.RaiseError("%s", err.Error())
	}
	d.refused = append(d.refused, fmt.Errorf("%s %w", d.where(L), err))
}

// where is the place of the declaration under way. Called by other than a
// script's own code, through pcall say, it has only the script's name.
func (d *declarer) where(L *glua.LState) string {
	if place := L.Where(1); hasPosition(place) {
		return place
	}
	return d.script.name + ":"
}

func (d *declarer) at(s *scope) *scope {
	if s != nil {
		return s
	}
	return d.scope
}

// getHead stands for chi's middleware of that name; it is never called.
func getHead(L *glua.LState) int {
	L.RaiseError("chi.get_head is for chi.use")
	return 0
}

// middleware declares ([pattern,] function…).
func (d *declarer) middleware(at *scope) glua.LGFunction {
	return func(L *glua.LState) int {
		s := d.at(at)
		first := 1
		var covers *pattern.Pattern
		if text, ok := L.Get(1).(glua.LString); ok {
			var err error
			if covers, err = d.covered(L, s, string(text)); err != nil {
				d.refuse(L, err)
			} else if covers != nil {
				d.charge(L, covers.Size())
			}
			first = 2
		}
		if L.GetTop() < first {
			vm.ArgError(L, first, "function(request, response, next) expected")
		}
		for i := first; i <= L.GetTop(); i++ {
			if vm.CheckFunction(L, i) == d.getHead {
				d.covering().getHead = true
				continue
			}
			made := d.middle(L, i)
			made.covers = covers
			s.own = append(s.own, made)
		}
		return 0
	}
}

// covered parses the pattern of a middleware: it covers the path and all
// below. "/" and "/*" are the whole scope.
func (d *declarer) covered(L *glua.LState, s *scope, text string) (*pattern.Pattern, error) {
	trimmed := strings.TrimSuffix(strings.TrimSuffix(text, "*"), "/")
	if strings.HasPrefix(text, "/") && trimmed == "" || text == "*" {
		return nil, nil //nolint:nilnil // it covers all
	}
	d.doubt(L, trimmed)
	return pattern.Parse(pattern.Join(s.path, trimmed)[0])
}

// doubt notes that a pattern is probably not what its text means here.
func (d *declarer) doubt(L *glua.LState, text string) {
	meant := ""
	if d.first && len(d.warnings) < maxWarnings {
		meant = pattern.Meant(text)
	}
	if meant == "" {
		return
	}
	place, _, _ := strings.Cut(strings.TrimPrefix(d.where(L), d.script.name+":"), ":")
	line, _ := strconv.Atoi(place) // 0 is none
	d.warnings = append(d.warnings, warning{d.script.name, line, fmt.Sprintf("the pattern %q matches just that text: did you mean %q?", text, meant)})
}

// middle makes a step of the middleware that is the n-th argument.
func (d *declarer) middle(L *glua.LState, n int) *step {
	if d.steps++; d.steps > maxSteps {
		L.RaiseError("too many middlewares, expected at most %d", maxSteps)
	}
	return d.step(L, n)
}

// charge counts what a declaration takes: on the run, and with what the VM
// holds.
func (d *declarer) charge(L *glua.LState, bytes int) {
	vm.RunOf(L).Charge(L, bytes)
	d.bytes += int64(bytes)
}

// What declarations take, in bytes: a step, a group, and the table that
// chi.with returns.
const (
	stepBytes  = 300
	scopeBytes = 500
	withBytes  = 8 << 10
)

// step makes a step of the function that is the n-th argument.
func (d *declarer) step(L *glua.LState, n int) *step {
	fn := vm.CheckFunction(L, n)
	d.charge(L, stepBytes)
	line := 0
	if fn.Proto != nil {
		line = fn.Proto.LineDefined
	}
	return &step{
		fn: fn, script: d.script, line: line, place: d.script.name + ":" + strconv.Itoa(line),
		keeps: vm.Keeps(fn, 3, "headers"), // request, response and next; a headers object is got from the first two
	}
}

// verb declares (pattern, function) for one method; "" is any.
func (d *declarer) verb(at *scope, method string) glua.LGFunction {
	return func(L *glua.LState) int {
		d.add(L, d.at(at), method, vm.CheckString(L, 1), d.step(L, 2))
		return 0
	}
}

// method declares (method, pattern, function).
func (d *declarer) method(at *scope) glua.LGFunction {
	return func(L *glua.LState) int {
		method := strings.ToUpper(vm.CheckString(L, 1))
		if method == "ANY" || method == "*" {
			method = ""
		} else if !isToken(method) {
			vm.ArgError(L, 1, "expected a method such as GET, or ANY")
		}
		d.add(L, d.at(at), method, vm.CheckString(L, 2), d.step(L, 3))
		return 0
	}
}

func (d *declarer) add(L *glua.LState, s *scope, method, text string, handler *step) {
	if len(d.routes) >= maxRoutes {
		L.RaiseError("too many routes, expected at most %d", maxRoutes)
	}
	d.doubt(L, strings.TrimSuffix(text, "/*"))
	for _, joined := range pattern.Join(s.path, text) {
		parsed, err := pattern.Parse(joined)
		if err != nil {
			d.refuse(L, err)
			return
		}
		d.charge(L, parsed.Size()+stepBytes)
		d.routes = append(d.routes, declaration{scope: s, method: method, pattern: joined, handler: handler, where: d.where(L)})
	}
}

// group declares ([prefix,] function).
func (d *declarer) group(L *glua.LState) int {
	if text, ok := L.Get(1).(glua.LString); ok {
		d.run(L, d.prefixed(L, d.scope, string(text)), vm.CheckFunction(L, 2))
		return 0
	}
	d.run(L, d.child(L, d.scope), vm.CheckFunction(L, 1))
	return 0
}

// within is chi.route(prefix, function).
func (d *declarer) within(at *scope) glua.LGFunction {
	return func(L *glua.LState) int {
		d.run(L, d.prefixed(L, d.at(at), vm.CheckString(L, 1)), vm.CheckFunction(L, 2))
		return 0
	}
}

// with is chi.with(function…): it returns a table whose routes have these
// middlewares too.
func (d *declarer) with(at *scope) glua.LGFunction {
	return func(L *glua.LState) int {
		s := d.child(L, d.at(at))
		for i := 1; i <= L.GetTop(); i++ {
			s.own = append(s.own, d.middle(L, i))
		}
		d.charge(L, withBytes)
		L.Push(d.table(L, s))
		return 1
	}
}

// mount declares (pattern, function) for the path and all below.
func (d *declarer) mount(at *scope) glua.LGFunction {
	return func(L *glua.LState) int {
		text := strings.TrimSuffix(strings.TrimSuffix(vm.CheckString(L, 1), "*"), "/")
		handler := d.step(L, 2)
		s := d.at(at)
		if text != "" {
			d.add(L, s, "", text, handler)
		}
		d.add(L, s, "", text+"/*", handler)
		return 0
	}
}

func (d *declarer) notFound(L *glua.LState) int {
	handler := ending{d.step(L, 1), d.scope}
	d.covering().notFound = handler
	return 0
}

func (d *declarer) methodNotAllowed(L *glua.LState) int {
	handler := ending{d.step(L, 1), d.scope}
	d.covering().disallow = handler
	return 0
}

// covering returns the innermost open scope that has paths of its own: a group
// without a prefix shares those of the scope around it, as in chi.
func (d *declarer) covering() *scope {
	s := d.scope
	for s.prefix == nil && s.parent != nil {
		s = s.parent
	}
	return s
}

func (d *declarer) child(L *glua.LState, parent *scope) *scope {
	if len(d.scopes) >= maxScopes {
		L.RaiseError("too many groups, expected at most %d", maxScopes)
	}
	d.charge(L, scopeBytes)
	s := &scope{parent: parent, path: parent.path, script: d.script}
	d.scopes = append(d.scopes, s)
	return s
}

// prefixed makes a scope with a prefix; nil is one that was refused.
func (d *declarer) prefixed(L *glua.LState, parent *scope, text string) *scope {
	s := d.child(L, parent)
	trimmed := strings.TrimSuffix(strings.TrimSuffix(text, "*"), "/")
	if trimmed == "" {
		return s
	}
	d.doubt(L, trimmed)
	path := pattern.Join(parent.path, trimmed)[0]
	parsed, err := pattern.Parse(path)
	if err != nil {
		d.refuse(L, err)
		return nil
	}
	d.charge(L, parsed.Size())
	s.path, s.prefix = path, parsed
	return s
}

// run calls the function of a group with its scope open, if there is one.
func (d *declarer) run(L *glua.LState, s *scope, fn *glua.LFunction) {
	if s == nil {
		return
	}
	outer := d.scope
	d.scope = s
	defer func() { d.scope = outer }()
	L.Push(fn)
	L.Call(0, 0)
}
