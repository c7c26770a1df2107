package lua

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/pattern"
	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// warning is a finding with its place.
type warning struct {
	script string
	line   int
	text   string
}

// Warnings returns what the scripts do in vain or probably by mistake, as
// "file.lua:line: …" in the order of the files. hasPool says whether the tenant
// has services.
//
// There is none about patterns outside of the tenant's path_prefix: a pattern
// is compared with the path below the prefix too, so each can match.
func (s *Scripts) Warnings(hasPool bool) []string {
	if hasPool {
		return s.warnings.withPool
	}
	return s.warnings.without
}

// warnings are what Load has found; the VM that it was found in may be gone.
type warnings struct{ withPool, without []string }

// findWarnings looks at the first VM, and notes who is asked about names and what runs
// by itself.
func (s *Scripts) findWarnings(sh *shard) warnings {
	if asked := sh.declarer.tlsAsks; len(asked) > 0 {
		s.tlsAskAt = asked[0].place
	}
	s.timers = newTimers(sh.declarer.timers)
	sh.lock.Lock()
	found := slices.Concat(s.undefined(sh.names()), sh.unreachable(), sh.shadowed(), sh.declarer.warnings, sh.judge(sh.main), s.secrets())
	sh.lock.Unlock()
	return warnings{withPool: s.warningsOf(sh, found, true), without: s.warningsOf(sh, found, false)}
}

func (s *Scripts) warningsOf(sh *shard, found []warning, hasPool bool) []string {
	list := slices.Concat(found, sh.declarer.unused(hasPool))
	if sh.chain.idle() && len(sh.declarer.tlsAsks)+len(sh.declarer.timers) == 0 && len(s.names) > 0 {
		list = append(list, warning{s.names[len(s.names)-1], 0, "the tenant's scripts declare no routes and no middleware"})
	}
	slices.SortStableFunc(list, func(a, b warning) int {
		return cmp.Or(cmp.Compare(a.script, b.script), cmp.Compare(a.line, b.line), cmp.Compare(a.text, b.text))
	})
	lines := make([]string, 0, len(list))
	for _, w := range list {
		if w.line > 0 {
			lines = append(lines, fmt.Sprintf("%s:%d: %s", w.script, w.line, w.text))
		} else {
			lines = append(lines, w.script+": "+w.text)
		}
	}
	return slices.Compact(lines)
}

// maxUndefined bounds the undefined globals that one tenant is warned of.
const maxUndefined = 100

// names are the globals of a VM, also where lua.strict_globals has frozen them.
// The lock is held.
func (sh *shard) names() map[string]bool {
	names := map[string]bool{"arg": true}
	for name := range globalModules {
		names[name] = true
	}
	sh.main.G.Global.ForEach(func(k, _ glua.LValue) { names[k.String()] = true })
	if content := vm.Frozen(sh.main.G.Global); content != nil {
		content.ForEach(func(k, _ glua.LValue) { names[k.String()] = true })
	}
	return names
}

// elsewhere are globals of other Luas (LuaJIT, Lua 5.2 and later, OpenResty). A
// script that asks for one first does without it here.
var elsewhere = map[string]bool{"jit": true, "ffi": true, "bit": true, "bit32": true, "utf8": true, "ngx": true, "_ENV": true}

// undefined finds globals that are read and that nothing defines.
func (s *Scripts) undefined(known map[string]bool) (list []warning) {
	var programs []*vm.Program
	for _, name := range slices.Sorted(maps.Keys(s.files)) {
		programs = append(programs, s.files[name].program)
	}
	names := slices.Sorted(maps.Keys(known))
	for program, globals := range vm.Undefined(programs, func(name string) bool { return known[name] }) {
		var near []string
		if len(globals) > 0 {
			near = append(program.Variables(), names...)
		}
		for _, g := range globals {
			if elsewhere[g.Name] && slices.Contains(program.Tests, g.Name) {
				continue
			}
			text := fmt.Sprintf("the global %q is not defined anywhere", g.Name)
			text += vm.GlobalSuggestion(g.Name, near)
			if list = append(list, warning{program.Name, g.Line, text}); len(list) == maxUndefined {
				return list
			}
		}
	}
	return list
}

// unreachable finds routes that others take the place of.
func (sh *shard) unreachable() (list []warning) {
	shadows := sh.chain.routes.Unreachable()
	if shadows == nil {
		return nil
	}
	routes := map[[2]string]*route{}
	sh.chain.routes.Walk(func(method, pattern string, r *route) { routes[[2]string{method, pattern}] = r })
	for _, shadow := range shadows {
		if r := routes[[2]string{shadow.Method, shadow.Pattern}]; r != nil {
			list = append(list, warning{r.handler.script.name, r.line, fmt.Sprintf(
				"the route %q is never reached: %q is tried before it and matches the same paths", shadow.Pattern, shadow.By,
			)})
		}
	}
	return list
}

// mostCompared bounds the work of shadowed.
const mostCompared = 1 << 20

// shadowed finds routes of the configuration all of whose requests a wider one of a
// script's takes; the same pattern in both is an error already.
func (sh *shard) shadowed() (list []warning) {
	claims := sh.owner.options.Claims
	if len(claims) == 0 || len(claims)*sh.chain.routes.Len() > mostCompared {
		return nil
	}
	type wide struct {
		*route
		method  string
		pattern *pattern.Pattern
	}
	var routes []wide
	sh.chain.routes.Walk(func(method, text string, r *route) {
		if parsed, err := pattern.Parse(text); err == nil {
			routes = append(routes, wide{r, method, parsed})
		}
	})
	for _, claim := range claims {
		claimed, err := pattern.Parse(claim.Pattern)
		if err != nil {
			continue
		}
		// over finds what takes the requests of a method; "" is any.
		over := func(method string) int {
			return slices.IndexFunc(routes, func(r wide) bool {
				return (r.method == "" || r.method == method) && r.pattern.Covers(claimed)
			})
		}
		by, first := over(""), true
		for _, method := range claim.Methods {
			if method == "HEAD" && slices.Contains(claim.Methods, "GET") {
				continue // it goes with GET
			}
			if at := over(method); first || at < 0 {
				by, first = at, false
			}
			if by < 0 {
				break
			}
		}
		if by >= 0 {
			r := routes[by]
			list = append(list, warning{r.handler.script.name, r.line, fmt.Sprintf(
				"the route %q takes all requests of that for %q at %s, which is never reached: scripts' routes are asked first", r.route.pattern, claim.Pattern, claim.Place,
			)})
		}
	}
	return list
}

// unused finds functions that were declared where they are never called.
func (d *declarer) unused(hasPool bool) (list []warning) {
	add := func(s *step, text string) {
		if s != nil {
			list = append(list, warning{s.script.name, s.line, text})
		}
	}
	if hasPool {
		add(d.root.notFound.step, "chi_not_found is never called here: what no route matches goes to the tenant's services")
	}
	used := map[*scope]bool{}
	use := func(s *scope) {
		for ; s != nil; s = s.parent {
			used[s] = true
		}
	}
	for i := range d.routes {
		use(d.routes[i].scope)
	}
	for _, s := range append([]*scope{d.root}, d.scopes...) {
		if s.prefix != nil {
			use(s)
		}
		if s != d.root || !hasPool {
			use(s.notFound.scope)
		}
		use(s.disallow.scope)
	}
	for _, s := range d.scopes {
		if !used[s] {
			for _, step := range s.own {
				add(step, "the middleware is never called: its group has neither a prefix nor routes")
			}
		}
	}
	return list
}
