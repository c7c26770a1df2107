package lua

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// judge looks for what functions of a tenant's scripts do that is probably a
// mistake, by their code.
type judge struct {
	sh    *shard
	L     *glua.LState
	steps int // that may still be taken
	list  []warning
	seen  map[judged]bool
}

type judged struct {
	proto   *glua.FunctionProto
	handler bool
}

// Bounds of the work for one tenant: steps on the paths through functions, of
// which one function may take a part, and values that are looked at.
const (
	maxJudged    = 300_000
	maxFollowing = 30_000
	maxReached   = 20_000
	maxSilent    = 3 // places of one function
)

// judged returns what is found. The VM's lock is held.
func (sh *shard) judge(L *glua.LState) []warning {
	j := &judge{sh: sh, L: L, steps: maxJudged, seen: map[judged]bool{}}
	var roots []*glua.LFunction
	each := func(handler bool, steps ...*step) {
		for _, s := range steps {
			if s != nil {
				roots = append(roots, s.fn)
				j.function(s, handler)
			}
		}
	}
	d := sh.declarer
	for _, s := range append([]*scope{d.root}, d.scopes...) {
		each(false, s.own...)
		each(true, s.notFound.step, s.disallow.step)
	}
	for i := range d.routes {
		each(true, d.routes[i].handler)
	}
	for _, s := range d.tlsAsks {
		roots = append(roots, s.fn)
	}
	for i := range d.timers {
		roots = append(roots, d.timers[i].step.fn)
	}
	j.reach(roots)
	return j.list
}

func (j *judge) add(script string, line int, format string, args ...any) {
	if len(j.list) < maxWarnings {
		j.list = append(j.list, warning{script, line, fmt.Sprintf(format, args...)})
	}
}

// function judges a middleware or a handler.
func (j *judge) function(s *step, handler bool) {
	p := s.fn.Proto
	if p == nil || j.seen[judged{p, handler}] || j.steps <= 0 {
		return
	}
	j.seen[judged{p, handler}] = true
	steps := min(maxFollowing, j.steps)
	objects, of := 3, []*kind{requestKind(), responseKind()}
	if handler {
		objects = 2
	}
	left := steps
	paths := vm.Follow(j.L, s.fn, objects, &left, func(object int, u vm.Use, name string, line int) vm.Effect {
		if object < len(of) {
			j.field(p.SourceName, of[object], u, name, line)
		}
		return effect(object, u, name)
	})
	j.steps -= steps - max(left, 0)
	j.returned(p, handler, paths.Returned)
	if paths.Known && len(p.Code) > 1 && !asksPolicy(p) {
		j.silent(p, handler, paths)
	}
}

// field finds names that request and response don't have.
func (j *judge) field(script string, k *kind, u vm.Use, name string, line int) {
	switch {
	case name == "?":
	case u == vm.Read && !k.has(name):
		j.add(script, line, "%s", k.noField(name))
	case u == vm.Assigned && !slices.Contains(k.assignable, name):
		j.add(script, line, "%s", k.refusal(name))
	}
}

// effect is what a use of request, response or next does for the client.
func effect(object int, u vm.Use, name string) vm.Effect {
	switch {
	case object == 0:
		return vm.NoEffect
	case object == 2:
		return vm.Answers
	case u == vm.Read:
		return vm.NoEffect
	}
	switch name {
	case "header", "set_header", "add_header", "remove_header", "headers", "cookie":
		return vm.Prepares
	case "status_code", "body", "headers_all":
		if u != vm.Assigned { // read and handed on
			return vm.NoEffect
		}
	}
	return vm.Answers
}

func (j *judge) returned(p *glua.FunctionProto, handler bool, returned map[int]string) {
	for _, line := range slices.Sorted(maps.Keys(returned)) {
		switch kind := returned[line]; {
		case handler && kind == "table":
			j.add(p.SourceName, line, "the handler returns a table, which nobody reads: write it with response:json(…), or status, header and body with response:status, :header and :write")
		case handler:
			j.add(p.SourceName, line, "the handler returns a %s, which nobody reads: write with response:write(…)", kind)
		case kind == "function":
			j.add(p.SourceName, line, "the middleware returns a function, which is never called: it is itself called for each request, as function(request, response, next), and calls next()")
		case kind == "table":
			j.add(p.SourceName, line, "the middleware returns a table, which nobody reads: answer with response:status(…) and response:write(…)")
		}
	}
}

// asksPolicy reports whether a function asks a policy of keystone.policy, which may have
// answered where nothing else does.
func asksPolicy(p *glua.FunctionProto) bool {
	return slices.Contains(p.Constants, glua.LValue(glua.LString("judge")))
}

// silent finds paths on which nothing is done for the client.
func (j *judge) silent(p *glua.FunctionProto, handler bool, paths vm.Paths) {
	const nothing = "clients get an empty 200"
	if !handler && !paths.Answered {
		if len(paths.Returned) == 0 {
			j.add(p.SourceName, p.LineDefined, "the middleware neither calls next() nor answers: %s", nothing)
		}
		return
	}
	lines := slices.Clone(paths.Silent)
	slices.Sort(lines)
	lines = slices.DeleteFunc(slices.Compact(lines), func(line int) bool { return paths.Returned[line] != "" })
	for _, line := range lines[:min(len(lines), maxSilent)] {
		if handler {
			j.add(p.SourceName, line, "the handler of line %d can end here without an answer: %s (response:status(204) says that this is meant)", p.LineDefined, nothing)
		} else {
			j.add(p.SourceName, line, "the middleware of line %d can end here without next() and without an answer: %s", p.LineDefined, nothing)
		}
	}
}

// reach finds globals that are assigned to while requests are served, and
// functions that libraries don't have.
func (j *judge) reach(roots []*glua.LFunction) {
	found := vm.Reach(j.L, roots, maxReached)
	for _, name := range slices.Sorted(maps.Keys(found.Written)) {
		place := found.Written[name]
		if strings.HasSuffix(place.Script, ".lua") {
			j.add(place.Script, place.Line, "the global %q is assigned to while requests are served: each VM has its own, and requests that run at once share it; use local, request:set(key, value), or the module shared", vm.Clip(name))
		}
	}
	for _, place := range slices.SortedFunc(maps.Keys(found.Missing), comparePlaces) {
		j.add(place.Script, place.Line, "%s", found.Missing[place])
	}
}

func comparePlaces(a, b vm.Place) int {
	return cmp.Or(cmp.Compare(a.Script, b.Script), cmp.Compare(a.Line, b.Line))
}

// secrets finds what scripts ask get_env for and may not have.
func (s *Scripts) secrets() (list []warning) {
	known := append(slices.Sorted(maps.Keys(s.options.Config.Secrets)), s.options.Config.Env...)
	for _, name := range slices.Sorted(maps.Keys(s.files)) {
		for place, asked := range s.files[name].program.LiteralCalls("get_env") {
			if !slices.Contains(known, asked) {
				if len(list) >= maxWarnings {
					return list
				}
				list = append(list, warning{place.Script, place.Line, fmt.Sprintf(
					"get_env(%q) is always \"\": neither lua.env nor lua.secrets names it%s", vm.Clip(asked), vm.Suggestion(asked, known),
				)})
			}
		}
	}
	return list
}
