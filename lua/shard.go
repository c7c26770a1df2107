package lua

import (
	"fmt"
	"slices"
	"sync/atomic"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/modules"
	"github.com/keystone-gateway/keystone-gateway/lua/stdlib"
	"github.com/keystone-gateway/keystone-gateway/lua/vm"
)

// shard is one VM of a tenant with its lock, which guards everything in it
// but chain.
type shard struct {
	owner *Scripts
	lock  *vm.Lock
	main  *glua.LState
	chain *chain

	planned uint64 // the number of the last plan, which its steps have too

	free     []*call
	served   handle // the number of the last request
	interned map[string]glua.LValue

	requestMeta, responseMeta, keptRequestMeta, keptResponseMeta *glua.LTable
	headersMeta, responseHeadersMeta, errorMeta                  *glua.LTable

	functions vm.Functions
	builtin   map[string]*glua.LTable // the gateway's modules that have been opened
	packages  *stdlib.Packages        // modules of the tenant's directory
	declarer  *declarer

	inFlight int          // requests
	replaced bool         // it takes no new ones
	pace     int64        // after how many quarters of lua.max_vm_memory it is measured
	held     atomic.Int64 // bytes, when they were counted last
}

// vmOptions make threads small: a request holds one while it waits.
var vmOptions = glua.Options{
	SkipOpenLibs: true, RegistrySize: 128, RegistryMaxSize: 64 << 10, RegistryGrowStep: 1024,
	CallStackSize: 512, MinimizeStackMemory: true,
}

// newShard makes a VM and loads the tenant's scripts into it. The error is of
// the type BrokenScripts.
func (s *Scripts) newShard(l *loading) (*shard, error) {
	main := glua.NewState(vmOptions)
	sh := &shard{
		owner: s, main: main, lock: vm.NewLock(main, s.ledger, s.turns),
		interned: map[string]glua.LValue{}, builtin: map[string]*glua.LTable{},
		functions: vm.Functions{SetIndex: stdlib.SetIndex, Names: fieldNames, Property: isProperty, Line: s.options.Cover},
	}
	l.adopt(sh.lock)
	sh.functions.Loading = sh.openGlobals
	sh.lock.Lock()
	defer sh.lock.Unlock()
	if err := sh.load(l); err != nil {
		main.Close()
		return nil, err
	}
	sh.held.Store(vmBytes)
	if limit := s.options.Config.MaxVMMemory.Int64(); limit > 0 && sh.lock.Allocated() > limit/16 {
		s.measure(sh, limit) // much of what it was charged is garbage by now
	}
	return sh, nil
}

// vmBytes is what a VM takes in which a small script has been loaded.
const vmBytes = 64 << 10

func (sh *shard) load(l *loading) error {
	run := &vm.Run{Owner: l}
	limits := sh.owner.loadLimits(l)
	run.Begin(l.ctx, sh.lock, &limits)
	defer run.End()
	thread, _ := sh.main.NewThread()
	thread.SetContext(run)
	sh.main.G.CurrentThread = thread
	sh.openLibraries()
	l.declarer = sh.declarer
	defer func() { l.declarer = nil }() // whoever knows the load must not keep what it held
	var failed error                    // of the script that ended the loading
	for _, name := range sh.owner.names {
		l.script.Store(&name)
		if failed = sh.runScript(thread, run, name); failed != nil {
			break
		}
	}
	sh.declarer.closed = true
	var conflicts []error
	sh.chain, conflicts = sh.declarer.compose(newClaimed(sh.owner.options.Claims))
	wrong := slices.Concat(sh.declarer.refused, conflicts)
	if failed != nil {
		wrong = append(wrong, failed)
	}
	if len(wrong) > 0 {
		return sh.owner.broken(wrong)
	}
	if sh.owner.options.Config.StrictGlobals {
		vm.FreezeInPlace(sh.main, "the globals' table (lua.strict_globals)", sh.main.G.Global)
		sh.lock.Seal()
	}
	return nil
}

// runScript runs the body of a script, which declares.
func (sh *shard) runScript(thread *glua.LState, run *vm.Run, name string) error {
	f, err := sh.owner.file(name)
	if err != nil {
		return err
	}
	main := sh.instantiate(f.program)
	sh.declarer.scope, sh.declarer.script = sh.declarer.root, sh.owner.scripts[name]
	sh.main.G.CurrentThread = thread
	thread.Push(main)
	if err := vm.Call(thread, 0, 0); err != nil {
		return &LoadError{Script: name, Err: failure(err, run.Exhausted())}
	}
	return nil
}

// LoadError says which script could not be loaded.
type LoadError struct {
	Script string
	Err    error
}

func (e *LoadError) Error() string {
	if failed, ok := e.Err.(*Error); ok && hasPosition(failed.Message) { //nolint:errorlint // failure returns it unwrapped
		return failed.Message
	}
	return fmt.Sprintf("%s: %v", e.Script, e.Err)
}

func (e *LoadError) Unwrap() error { return e.Err }

// openLibraries fills the globals.
func (sh *shard) openLibraries() {
	L, o := sh.main, &sh.owner.options
	stdlib.Open(L, o.Clock.Now)
	sh.packages = stdlib.OpenPackages(L, packagePath)
	globals := L.G.Global
	freeze := func(name string, t *glua.LTable) *glua.LTable { return vm.Freeze(L, name, t) }
	sh.declarer = &declarer{declarations: newDeclarations(), first: sh.owner.loading != nil}
	sh.declarer.open(L, globals, freeze)
	globals.RawSetString("require", L.NewFunction(sh.require))
	globals.RawSetString("print", L.NewFunction(modules.Print(sh.owner.tenant)))
	for name, f := range flat(sh.owner.tenant) {
		globals.RawSetString(name, L.NewFunction(f))
	}
	sh.openObjects()
}

// module returns one of the gateway's modules, frozen, or nil.
func (sh *shard) module(name string) *glua.LTable {
	if t := sh.builtin[name]; t != nil {
		return t
	}
	t := modules.OpenOne(sh.main, sh.owner.tenant, name)
	if t == nil {
		return nil
	}
	t = vm.Freeze(sh.main, name, t)
	if name == "log" {
		t.Metatable.(*glua.LTable).RawSetString("__call", sh.main.NewFunction(modules.LogCall(sh.owner.tenant))) //nolint:forcetypeassert // Freeze makes it
	}
	sh.builtin[name] = t
	return t
}

// openGlobals opens the modules that a program uses without require.
func (sh *shard) openGlobals(p *vm.Program) {
	globals := sh.main.G.Global
	if content := vm.Frozen(globals); content != nil { // where the scripts' own are too
		globals = content
	}
	for _, g := range p.Reads {
		for name := range globalModules {
			if (g.Name == name || g.Name == "_G") && globals.RawGetString(name) == glua.LNil {
				globals.RawSetString(name, sh.module(name))
			}
		}
	}
}

// globalModules are there without require.
var globalModules = map[string]bool{"json": true, "log": true, "shared": true, "http": true, "limit": true}

// roots are the values that the VM keeps besides its globals.
func (sh *shard) roots() []glua.LValue {
	var list []glua.LValue
	add := func(steps ...*step) {
		for _, s := range steps {
			if s != nil {
				list = append(list, s.fn)
			}
		}
	}
	for _, s := range append(sh.declarer.scopes, sh.declarer.root) {
		add(s.own...)
		add(s.notFound.step, s.disallow.step)
	}
	for i := range sh.declarer.routes {
		add(sh.declarer.routes[i].handler)
	}
	add(sh.declarer.tlsAsks...)
	for i := range sh.declarer.timers {
		add(sh.declarer.timers[i].step)
	}
	if sh.packages != nil {
		list = append(list, sh.packages.Roots()...)
	}
	return list
}

// instantiate makes the function of a program.
func (sh *shard) instantiate(p *vm.Program) *glua.LFunction {
	sh.openGlobals(p)
	return p.Instantiate(sh.lock, &sh.functions)
}

// intern returns a Lua string. Short ones are kept, so that what every
// request has in common is not allocated again.
func (sh *shard) intern(b []byte) glua.LValue {
	if v, ok := sh.interned[string(b)]; ok {
		return v
	}
	v := glua.LValue(glua.LString(b))
	if len(b) <= maxInterned {
		if len(sh.interned) >= maxInternedCount {
			clear(sh.interned)
		}
		sh.interned[string(v.(glua.LString))] = v //nolint:forcetypeassert // made above
	}
	return v
}

// Bounds of intern: at most 128 KiB of text a VM.
const (
	maxInterned      = 64
	maxInternedCount = 2048
)
