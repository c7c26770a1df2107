package lua

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/lua/modules"
	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/tenants/fetch"
	"github.com/keystone-gateway/keystone-gateway/tenants/store"
)

// Options are what Load needs.
type Options struct {
	Tenant  string
	Dir     string   // the scripts directory
	Scripts []string // names of files in it, in the order of loading
	Global  int      // so many of them, the first, are for all tenants
	Config  Config
	// StripSlashes says that a slash at the end of a path makes no difference to
	// the routes.
	StripSlashes bool
	Claims       []Claim // of the configuration's routes
	Log          zerolog.Logger
	Cache        *Cache
	Store        store.Store // of the module shared; the owner keeps it over reloads
	Env          func(name string) (string, bool)
	Clock        modules.Clock
	Random       interface{ Read(p []byte) (int, error) }
	// Stats are the counters to use, so that they can outlive the scripts; nil
	// is new ones.
	Stats *Stats
	// Lazy drops the VM in which Load has run the scripts, so that tenants
	// without requests take little memory. The first request then waits for a
	// VM, about a millisecond.
	Lazy bool
	// Loads bounds what loads hold together; nil is no bound.
	Loads *Loads
	// Waiting, if not nil, is called when loading begins to wait for something,
	// and its result when that is over.
	Waiting func() (end func())
	// Yield, if not nil, is called when loading takes long, the first time at level
	// 1. It may wait until ctx is done, while others are to load first; that time
	// doesn't count.
	Yield func(ctx context.Context, level int)
	// Shards is how many VMs there may be; 0 is one for each processor.
	Shards int
	// LogWriter is Log's output, of which the scripts get so much as their
	// configuration says; nil is an output without bounds.
	LogWriter io.Writer
	// Own says which addresses this process listens on: scripts can't reach
	// them. nil is none.
	Own func(netip.AddrPort) fetch.Ownership
	// Places takes a place for a connection of the tenant's scripts; nil is no
	// bound.
	Places func(tenant string) (giveBack func(), err error)
	// Hops is what requests of scripts carry that no client has caused; nil is
	// nothing.
	Hops func() string
	// Policies builds what scripts ask the module policy for; nil is no policies.
	Policies modules.Policies
	// Shares says that its policies count in a store that others share.
	Shares bool
	// Cover, if not nil, is called before each statement that runs.
	Cover func(name string, line int)
}

// Scripts are the scripts of one tenant, loaded. Its methods may be called by
// many goroutines at once.
type Scripts struct {
	options Options
	tenant  *modules.Tenant
	limits  vm.Limits
	turns   *vm.Turns
	ledger  *vm.Ledger
	loading *loading // until the scripts are accepted

	names   []string // of the scripts' files
	scripts map[string]*script
	files   map[string]*file // all that were loaded, modules too; fixed once accepted
	missing []string         // modules that were asked for in vain, and done without
	located []located        // scripts that were found below the directory
	sealed  bool             // files is complete
	code    int64            // bytes of files, compiled

	shards []atomic.Pointer[shard]
	maker  maker
	queued atomic.Int32 // requests that wait for the first VM

	warnings    warnings
	tlsAskAt    string // where chi_tls_ask is declared; "" is nowhere
	timers      []*timer
	timersBegun sync.Once
	errors      errorLog
	stats       *Stats
	budget      *modules.LogBudget // of lines in the gateway's log; nil is none
	retiring    retiring
}

// Stats counts what became of requests.
type Stats struct {
	Runs, Failures, Exhausted, Quarantined, Recycled atomic.Uint64
	LogDropped                                       atomic.Uint64 // lines
	// LoadFailures are VMs that could not be made of scripts that had been
	// accepted.
	LoadFailures atomic.Uint64
	// Metrics are the scripts' own.
	Metrics modules.Metrics
}

// OwnMetrics calls f with the counters and gauges of the scripts' own, sorted by
// name and labels, which are in Prometheus's text format without braces.
func (s *Stats) OwnMetrics(f func(name, labels string, value float64)) {
	for _, sample := range s.Metrics.Samples() {
		f(sample.Name, sample.Labels, sample.Value)
	}
}

// Broken is a script that can't be loaded. Its message begins with file and
// line where they are known.
type Broken struct {
	Script  string // its file below the scripts directory
	Err     error
	Passing bool // there was not enough time or memory, as there may be the next time
	Memory  bool // it was memory
}

func (b *Broken) Error() string { return b.Err.Error() }

// Unwrap returns the cause.
func (b *Broken) Unwrap() error { return b.Err }

// BrokenScripts are why Load has refused a tenant's scripts.
type BrokenScripts []*Broken

// Passing reports whether loading may succeed the next time, since there was not
// enough time or memory.
func (list BrokenScripts) Passing() bool { return len(list) > 0 && list[0].Passing }

// Memory reports whether there was not enough memory.
func (list BrokenScripts) Memory() bool { return len(list) > 0 && list[0].Memory }

func (list BrokenScripts) Error() string {
	lines := make([]string, len(list))
	for i, b := range list {
		lines[i] = b.Error()
	}
	return strings.Join(lines, "\n")
}

// Load reads, compiles and runs the scripts once; one that is named twice runs
// where it is named first. The error is of the type BrokenScripts: all that
// can't be read or compiled, or else what is wrong with the declarations until
// the first script that fails when it runs: those after it may need what it has
// not defined. It returns when lua.load_timeout is used up, whatever the scripts
// do.
func Load(o Options) (*Scripts, error) {
	if o.Shards == 0 {
		o.Shards = runtime.GOMAXPROCS(0)
	}
	return load(&o, false, loadScripts, (*Scripts).Close)
}

func loadScripts(l *loading) (*Scripts, error) {
	o := *l.options
	s := &Scripts{
		options: o, loading: l, scripts: map[string]*script{}, files: map[string]*file{},
		turns: vm.NewTurns(max(1, o.Shards/2), maxLong), ledger: vm.NewLedger(o.Config.MaxVMMemory.Int64(), o.Config.MaxMemoryRate.Int64()), shards: make([]atomic.Pointer[shard], o.Shards),
	}
	c := &o.Config
	s.limits = vm.Limits{
		Instructions: c.MaxInstructions, Memory: c.MaxMemory.Int64(), Timeout: c.Timeout.Std(),
		String:       max(maxString, c.MaxBody.Int64(), c.HTTP.MaxResponse.Int64()),
		TotalTimeout: c.TotalTimeout.Std(), Coroutines: c.MaxCoroutines,
	}
	if s.stats = o.Stats; s.stats == nil {
		s.stats = &Stats{}
	}
	s.tenant = &modules.Tenant{
		Name: o.Tenant, Log: s.boundLog(), Budget: s.budget, Clock: o.Clock, Random: o.Random, Store: o.Store, Env: s.env, Metrics: &s.stats.Metrics,
		Policies: o.Policies,
		HTTP: fetch.New(fetch.Config{
			Timeout: c.HTTP.Timeout.Std(), MaxResponse: c.HTTP.MaxResponse.Int64(),
			Allow: permissions(c.HTTP.Allow), Deny: networks(c.HTTP.Deny), Own: o.Own, Hops: o.Hops, Place: s.place,
		}),
	}
	if broken := s.read(); broken != nil {
		s.forgetCode()
		return nil, broken
	}
	first, err := s.newShard(l)
	if err != nil {
		s.tenant.HTTP.Close()
		s.forgetCode()
		return nil, err
	}
	s.sealed, s.loading = true, nil
	s.warnings = s.findWarnings(first)
	if !o.Lazy && o.Loads.keep(first.memory()) {
		s.shards[0].Store(first)
	}
	o.Loads.hold(s)
	return s, nil
}

// InUse says that requests can have these scripts from now on, so that the owner
// counts their Memory, and begins the time of their timers.
func (s *Scripts) InUse() {
	s.options.Loads.forget(s)
	s.beginTimers()
}

// maxString is how many bytes strings may have that are made by scripts, if no
// larger ones may come from outside: comparing two of 4 MiB takes 6 ms, during
// which a run can't be interrupted.
const maxString = 4 << 20

// maxLong is how many long runs of a tenant may wait for their turn.
const maxLong = 16

// read reads and compiles all scripts.
func (s *Scripts) read() (broken BrokenScripts) {
	for i, named := range s.options.Scripts {
		name, err := ScriptName(named)
		if err == nil && s.scripts[name] == nil {
			s.loading.script.Store(&name)
			if name, err = s.script(name, s.options.owner(i)); s.scripts[name] == nil {
				s.names = append(s.names, name)
				s.scripts[name] = &script{name: name}
			}
		}
		if err != nil {
			broken = append(broken, &Broken{Script: cmp.Or(name, named), Err: err})
		}
	}
	return broken
}

// broken says which scripts errors of making a VM are about.
func (s *Scripts) broken(errs []error) (list BrokenScripts) {
	for _, err := range errs {
		one := &Broken{Err: err}
		if failed, ok := errors.AsType[*LoadError](err); ok {
			one.Script = failed.Script
		} else {
			i := slices.IndexFunc(s.names, func(name string) bool { return strings.HasPrefix(err.Error(), name+":") })
			if i >= 0 {
				one.Script = s.names[i]
			}
		}
		list = append(list, one)
	}
	return list
}

func (s *Scripts) env(name string) (string, bool) {
	if value, ok := s.options.Config.Secrets[name]; ok {
		return value, true
	}
	if !slices.Contains(s.options.Config.Env, name) || s.options.Env == nil {
		return "", false
	}
	return s.options.Env(name)
}

// file returns a script's file: while the first VM is loaded, from the
// directory; afterwards only what was accepted then.
func (s *Scripts) file(name string) (*file, error) {
	if f := s.files[name]; f != nil {
		return f, nil
	}
	if s.sealed {
		return nil, fmt.Errorf("file %q was not there when the scripts were accepted", name)
	}
	f, err := s.options.Cache.load(s.loading.ctx, s.options.key(name, len(s.files) >= uncounted))
	if err != nil {
		s.missing = append(s.missing, name)
		return nil, err
	}
	s.files[name] = f
	return f, s.addCode(f)
}

// Unchanged reports whether it is known already, without a look at any file, that
// loading with these options again would give the same scripts.
func (s *Scripts) Unchanged(o *Options) bool {
	if len(s.missing) > 0 || !s.sameOptions(o) {
		return false
	}
	for name, f := range s.files {
		if !o.Cache.unchanged(o.key(name, f.counted), f) {
			return false
		}
	}
	return true
}

func (o *Options) key(name string, counted bool) cacheKey {
	return cacheKey{o.Dir, name, o.Cover != nil, counted}
}

func (s *Scripts) sameOptions(o *Options) bool {
	have := &s.options
	return have.Tenant == o.Tenant && have.Dir == o.Dir && slices.Equal(have.Scripts, o.Scripts) && have.Global == o.Global && have.StripSlashes == o.StripSlashes && have.Shares == o.Shares && sameClaims(have.Claims, o.Claims) && reflect.DeepEqual(have.Config, o.Config)
}

// Current reports whether loading with these options again would give the
// same scripts.
func (s *Scripts) Current(o *Options) bool {
	ctx, cancel := context.WithTimeout(context.Background(), o.Config.loadTimeout())
	defer cancel()
	if !s.sameOptions(o) {
		return false
	}
	for name, f := range s.files {
		fresh, err := o.Cache.load(ctx, o.key(name, f.counted))
		if err != nil || fresh.sum != f.sum {
			return false
		}
	}
	for _, name := range s.missing {
		if _, err := o.Cache.load(ctx, o.key(name, false)); err == nil {
			return false
		}
	}
	return s.stillLocated(ctx, o)
}

// Policies is what builds the policies that the scripts ask for; nil is none.
func (s *Scripts) Policies() modules.Policies { return s.options.Policies }

// Release ends all quarantines.
func (s *Scripts) Release() {
	for _, script := range s.scripts {
		script.release()
	}
	for _, t := range s.timers {
		t.record.release()
	}
}

// Close frees what the scripts hold besides memory. Requests in flight go on.
func (s *Scripts) Close() {
	s.maker.mu.Lock()
	s.maker.closed = true
	s.maker.mu.Unlock()
	s.tenant.HTTP.Close()
	s.options.Loads.forget(s)
}

// Files lists what was loaded, as paths.
func (s *Scripts) Files() []string {
	var list []string
	for name := range s.files {
		list = append(list, filepath.Join(s.options.Dir, filepath.FromSlash(name)))
	}
	slices.Sort(list)
	return list
}
