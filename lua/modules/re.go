package modules

import (
	"regexp"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// reVM is what the re module keeps in each VM.
type reVM struct {
	cache reCache
	meta  *glua.LTable // of what re.compile returns
}

func reOf(L *glua.LState) *reVM { return perVM(L, "keystone.re", newREVM) }

// reOps are the functions that are methods of compiled patterns too. rest is
// the number of the argument after the subject and the pattern.
var reOps = map[string]func(L *glua.LState, s *reSubject, rest int) int{
	"match": reMatch, "find": reFind, "test": reTest, "gsub": reGsub, "split": reSplit, "gmatch": reGmatch,
}

func newREVM(L *glua.LState) *reVM {
	state := &reVM{meta: L.CreateTable(0, 1)}
	methods := L.CreateTable(0, 1)
	for name, op := range reOps {
		methods.RawSetString(name, L.NewFunction(func(L *glua.LState) int {
			return op(L, newRESubject(L, vm.CheckString(L, 2), reCompiled(L, 1)), 3)
		}))
	}
	state.meta.RawSetString("__index", vm.Freeze(L, "a compiled pattern", methods))
	state.meta.RawSetString("__metatable", glua.LFalse)
	state.meta.RawSetString("__tostring", L.NewFunction(func(L *glua.LState) int {
		L.Push(glua.LString(reCompiled(L, 1).re.String()))
		return 1
	}))
	return state
}

// openRE makes the re module. A pattern is a string in the syntax of RE2 (Go's
// regexp), of at most 4 KiB, or what re.compile returned. Strings are compiled
// once: each VM keeps those that were used last. A bad pattern is raised as an
// error. Positions count bytes from 1. Captures that took no part are nil.
func openRE(L *glua.LState, _ *Tenant) *glua.LTable {
	t := L.CreateTable(0, 1)
	for name, op := range reOps {
		t.RawSetString(name, L.NewFunction(func(L *glua.LState) int {
			return op(L, newRESubject(L, vm.CheckString(L, 1), rePatternArg(L, 2)), 3)
		}))
	}
	return L.SetFuncs(t, map[string]glua.LGFunction{"compile": reCompile, "escape": reEscape})
}

// reCompiled is the argument n, which must be a compiled pattern.
func reCompiled(L *glua.LState, n int) *rePattern {
	if ud, ok := L.Get(n).(*glua.LUserData); ok {
		if p, ok := ud.Value.(*rePattern); ok {
			return p
		}
	}
	vm.ArgError(L, n, "compiled pattern expected")
	return nil
}

// rePatternArg is the argument n: a pattern as a string, or a compiled one.
func rePatternArg(L *glua.LState, n int) *rePattern {
	if L.Get(n).Type() == glua.LTUserData {
		return reCompiled(L, n)
	}
	p, err := reOf(L).cache.get(L, vm.CheckString(L, n))
	if err != nil {
		vm.ArgError(L, n, err.Error())
	}
	return p
}

// re.compile(pattern) -> compiled: a pattern with the other functions as
// methods, without their pattern argument: compiled:match(s).
func reCompile(L *glua.LState) int {
	p := rePatternArg(L, 1)
	vm.RunOf(L).Charge(L, 64)
	ud := L.NewUserData()
	ud.Value, ud.Metatable = p, reOf(L).meta
	L.Push(ud)
	return 1
}

// re.escape(s) -> string: a pattern that matches s itself.
func reEscape(L *glua.LState) int {
	s := vm.CheckString(L, 1)
	run := vm.RunOf(L)
	if len(s) > reMaxPattern {
		vm.ArgError(L, 1, "longer than a pattern may be")
	}
	run.Charge(L, 2*len(s))
	run.Spend(L, len(s)/8)
	L.Push(glua.LString(regexp.QuoteMeta(s)))
	return 1
}

// re.test(s, pattern) -> boolean: whether the pattern matches anywhere in s.
func reTest(L *glua.LState, s *reSubject, _ int) int {
	L.Push(glua.LBool(s.search(0) != nil))
	return 1
}

// re.match(s, pattern) -> captures… | nil: the captures of the first match, or
// the whole match if the pattern has none.
func reMatch(L *glua.LState, s *reSubject, _ int) int {
	m := s.search(0)
	if m == nil {
		L.Push(glua.LNil)
		return 1
	}
	return s.pushCaptures(m)
}

// re.find(s, pattern, init?) -> start, end, captures… | nil: where the first
// match from init on (1; negative counts from the end) begins and ends, and
// its captures.
func reFind(L *glua.LState, s *reSubject, rest int) int {
	init := vm.OptInt(L, rest, 1)
	if init < 0 {
		init = max(len(s.s)+init+1, 1)
	}
	var m []int
	if init = max(init, 1); init <= len(s.s)+1 {
		m = s.search(init - 1)
	}
	if m == nil {
		L.Push(glua.LNil)
		return 1
	}
	L.Push(glua.LNumber(m[0] + 1))
	L.Push(glua.LNumber(m[1]))
	if len(m) == 2 {
		return 2
	}
	return 2 + s.pushCaptures(m)
}

// re.gmatch(s, pattern) -> function: an iterator over the matches; each call
// returns the captures of the next one, or the whole match.
func reGmatch(L *glua.LState, s *reSubject, _ int) int {
	s.run.Charge(L, 256)
	text, pattern, pos, end := s.s, s.p, 0, -1
	step := func(L *glua.LState) int {
		// Its own, because another thread or another run may be calling, even
		// while this one is paused; it isn't kept, because it has the thread.
		local := reMatches{subject: newRESubject(L, text, pattern), pos: pos, end: end}
		m := local.next()
		pos, end = local.pos, local.end
		if m == nil {
			L.Push(glua.LNil)
			return 1
		}
		return local.subject.pushCaptures(m)
	}
	// What it holds stands in upvalues too, where vm.Live sees it.
	L.Push(L.NewClosure(step, glua.LString(text), &glua.LUserData{Value: pattern, Metatable: glua.LNil}))
	return 1
}

// re.split(s, pattern, n?) -> array of strings: the parts of s between the
// matches; at most n, of which the last is the rest.
func reSplit(L *glua.LState, s *reSubject, rest int) int {
	n := vm.OptInt(L, rest, -1)
	if n == 0 {
		vm.ArgError(L, rest, "0 parts")
	}
	s.run.Charge(L, jsonTableBytes)
	parts := L.CreateTable(0, 0)
	count, begin := 0, 0
	add := func(part string) {
		vm.Add(L, parts, vm.Part(L, s.s, part))
		count++
	}
	end := -1
	matches := reMatches{subject: s, end: -1}
	for n < 0 || count < n-1 {
		m := matches.next()
		if m == nil {
			break
		}
		if end = m[0]; m[1] != 0 {
			add(s.s[begin:end])
		}
		begin = m[1]
	}
	// An empty match at the end is not followed by one more part.
	if end != len(s.s) || len(s.s) == 0 {
		add(s.s[begin:])
	}
	L.Push(parts)
	return 1
}
