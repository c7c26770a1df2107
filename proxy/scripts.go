package proxy

import (
	"cmp"
	"context"
	"crypto/rand"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/lua/modules"
	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/loads"
	"github.com/keystone-gateway/keystone-gateway/tenants"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

// scriptsOptions are what the scripts of all tenants have in common.
type scriptsOptions struct {
	cache *lua.Cache
	clock modules.Clock
	env   func(name string) (value string, ok bool)
	cover func(script string, line int)
	stats map[string]*lua.Stats // by tenant, over reloads; guarded by Server.reloadMu
	own   bool                  // the clock is the system's, by which timers run
}

func newScriptsOptions(o *Options) scriptsOptions {
	clock := o.Clock
	if clock == nil {
		clock = systemClock{}
	}
	env := o.Env
	if env == nil {
		env = os.LookupEnv
	}
	return scriptsOptions{cache: lua.NewCache(), clock: clock, env: env, cover: o.Cover, stats: map[string]*lua.Stats{}, own: o.Clock == nil}
}

// systemClock is the time as it is.
type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

func (systemClock) Sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// loadScripts loads the scripts of all candidates that are good so far, or takes
// over those in use where nothing about them has changed. It changes nothing
// that is in use. With patience, it leaves those that take longer, if there is
// anybody who needn't wait for them; it returns what has them loaded.
func (s *Server) loadScripts(c *Config, list []candidate, patience time.Duration) (late []*loads.Load) {
	if !c.LuaRouting.Enabled {
		return nil
	}
	of, all, dir := make([]*candidate, 0, len(list)), make([]*loads.Load, 0, len(list)), c.scriptsDir(s.dir)
	for i := range list {
		if list[i].good() && len(c.LuaRouting.GlobalScripts)+len(list[i].asked.LuaRoutes) > 0 {
			of, all = append(of, &list[i]), append(all, s.newLoad(c, list[i].asked, dir))
		}
	}
	s.scripts.cache.Begin(c.names())
	s.beginLoads(all).Await(patience, len(all) < len(list))
	s.scripts.cache.Sweep()
	for i, l := range all {
		switch {
		case !l.HasEnded():
			of[i].late, of[i].failed = true, l
			late = append(late, l)
		case l.Pending:
			of[i].late, of[i].failed = true, l.Known // somebody waits for it already
		default:
			if of[i].scripts, of[i].failure = l.Scripts, l.Err; l.Err != nil {
				of[i].failed = cmp.Or(l.Known, l)
			}
		}
	}
	return late
}

// beginLoads begins to load on all processors; on half of them while there are
// requests to serve.
func (s *Server) beginLoads(list []*loads.Load) *loads.Round {
	running := processors()
	if s.current.Load() != nil {
		running = (running + 1) / 2
	}
	return loads.Begin(list, running)
}

// eagerTenants is up to how many tenants have a VM before their first request.
const eagerTenants = 200

func (s *Server) newLoad(c *Config, t *tenants.Config, dir string) *loads.Load {
	names := slices.Concat(c.LuaRouting.GlobalScripts, t.LuaRoutes)
	stats := s.scripts.stats[t.Name]
	if stats == nil {
		stats = &lua.Stats{}
		s.scripts.stats[t.Name] = stats
	}
	deps, counter := s.policyDeps(c, t)
	return loads.New(lua.Options{
		Policies: t.NewScriptPolicies(deps, counter), Shares: deps.WillShare,
		Tenant: t.Name, Dir: dir, Scripts: names, Global: len(c.LuaRouting.GlobalScripts), Config: t.Lua, StripSlashes: t.StripSlashes, Claims: c.claimsOf(t),
		Log:   s.log.With().Str("tenant", t.Name).Logger(),
		Cache: s.scripts.cache, Store: s.storeOf(t), Env: s.scripts.env,
		Clock: s.scripts.clock, Random: rand.Reader, Cover: s.scripts.cover, Stats: stats,
		Lazy: len(c.Tenants) > eagerTenants || s.checking, Shards: processors(), Own: s.owns, Places: s.places.Take, LogWriter: s.scriptLog(), Hops: s.hops.First, Loads: s.loads,
	}, s.scriptsOf(t.Name), s.late[t.Name])
}

// scriptsOf returns the scripts that a tenant has in use.
func (s *Server) scriptsOf(tenant string) *lua.Scripts {
	if snap := s.current.Load(); snap != nil {
		return snap.scripts[tenant]
	}
	return nil
}

// storeOf returns the dictionary of a tenant, which survives reloads.
func (s *Server) storeOf(t *tenants.Config) *dictionary {
	have := s.stores[t.Name]
	if have == nil {
		have = s.newDictionary(t)
		s.stores[t.Name] = have
	}
	return have
}

// keptOf returns what a tenant's policies keep across reloads.
func (s *Server) keptOf(tenant string) *policy.Kept {
	if s.keeps[tenant] == nil {
		s.keeps[tenant] = &policy.Kept{}
	}
	return s.keeps[tenant]
}

// discardSnapshot frees the scripts of one that will not be used.
func (s *Server) discardSnapshot(snap *snapshot) {
	for name, scripts := range snap.scripts {
		if s.scriptsOf(name) != scripts {
			scripts.Close()
		}
	}
}

// retireScripts frees what only the old snapshot used, the counters and the store of
// tenants that are gone included, and gives scripts that go on a fresh start.
func (s *Server) retireScripts(old, fresh *snapshot) {
	stays, policed := map[string]bool{}, map[string]bool{}
	for _, t := range fresh.tenants {
		stays[t.Name], policed[t.Name] = true, t.Config.HasPolicies()
	}
	s.statsMu.Lock()
	maps.DeleteFunc(s.stats, func(name string, _ *exchange.Stats) bool { return !stays[name] })
	s.statsMu.Unlock()
	maps.DeleteFunc(s.keeps, func(name string, _ *policy.Kept) bool { return !stays[name] })
	maps.DeleteFunc(s.scripts.stats, func(name string, _ *lua.Stats) bool { return !stays[name] })
	for _, t := range fresh.tenants {
		if have := s.stores[t.Name]; have != nil {
			have.configure(&t.Config.Lua)
		}
	}
	for name := range s.stores {
		if _, ok := fresh.scripts[name]; !ok && !policed[name] {
			delete(s.stores, name)
		}
	}
	if old == nil {
		return
	}
	for name, scripts := range old.scripts {
		if fresh.scripts[name] == scripts {
			scripts.Release()
		} else {
			scripts.Close()
		}
	}
}

// CheckScripts loads the scripts as New does, and frees them again. The error
// is settings.Errors: everything that is wrong with any tenant; warnings are what
// the configuration, and the scripts that could be loaded, ask for in vain.
func CheckScripts(file string, config *Config) (warnings []string, err error) {
	s, list := loadAside(file, config)
	defer s.closeUnused(list, nil)
	arrange(list)
	all := map[string]*lua.Scripts{}
	for i := range list {
		if list[i].scripts != nil {
			all[list[i].asked.Name] = list[i].scripts
		}
	}
	warnings = append(config.Warnings(), scriptWarnings(config, all, nil)...)
	if err := config.errorsOf(list); err != nil {
		return warnings, err // which files are used isn't known
	}
	return append(warnings, unusedFiles(config.scriptsDir(s.dir), all)...), nil
}

// loadAside loads the scripts of a configuration without serving anything; the
// caller closes them with closeUnused.
func loadAside(file string, config *Config) (*Server, []candidate) {
	s := newServer(&Options{File: file, Config: config, Log: zerolog.Nop()})
	s.checking = true
	s.reserve(config)
	list := s.candidates(config)
	s.loadScripts(config, list, 0)
	return s, list
}

// ScriptFiles lists the files of the scripts of each tenant whose scripts can be
// loaded, modules included.
func ScriptFiles(file string, config *Config) map[string][]string {
	s, list := loadAside(file, config)
	defer s.closeUnused(list, nil)
	all := map[string][]string{}
	for i := range list {
		if list[i].scripts != nil {
			all[list[i].asked.Name] = list[i].scripts.Files()
		}
	}
	return all
}

// scriptLog is what is logged for tenants goes to; nil is an output that is not
// known.
func (s *Server) scriptLog() io.Writer {
	if s.logWriter == nil {
		return nil // and not a nil pointer
	}
	return s.logWriter
}
