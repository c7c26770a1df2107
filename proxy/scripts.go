package proxy

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/lua/modules"
	"github.com/keystone-gateway/keystone-gateway/tenants"
	"github.com/keystone-gateway/keystone-gateway/tenants/store"
)

// scriptsOptions are what the scripts of all tenants have in common.
type scriptsOptions struct {
	cache *lua.Cache
	clock modules.Clock
	env   func(name string) (value string, ok bool)
	cover func(script string, line int)
	stats map[string]*lua.Stats // by tenant, over reloads; guarded by Server.reloadMu
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
	return scriptsOptions{cache: lua.NewCache(), clock: clock, env: env, cover: o.Cover, stats: map[string]*lua.Stats{}}
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

// loadScripts loads the scripts of all tenants, or takes over those in use
// where nothing about them has changed. It changes nothing that is in use. The
// error is settings.Errors: every script that is broken, of every tenant.
func (s *Server) loadScripts(c *Config) (map[string]*lua.Scripts, error) {
	all := map[string]*lua.Scripts{}
	if !c.LuaRouting.Enabled {
		return all, nil
	}
	loads := make([]scriptsLoad, 0, len(c.Tenants))
	for i := range c.Tenants {
		if names := slices.Concat(c.LuaRouting.GlobalScripts, c.Tenants[i].LuaRoutes); len(names) > 0 {
			loads = append(loads, s.newLoad(c, &c.Tenants[i], names))
		}
	}
	names := make([]string, len(c.Tenants))
	for i := range c.Tenants {
		names[i] = c.Tenants[i].Name
	}
	s.scripts.cache.Begin(names)
	s.runLoads(loads)
	s.scripts.cache.Sweep()
	broken := brokenScripts{config: c}
	for i := range loads {
		l := &loads[i]
		if l.err != nil {
			broken.add(l.tenant, l.err)
		} else {
			all[l.tenant.Name] = l.scripts
		}
	}
	if err := broken.err(); err != nil {
		s.closeFresh(all)
		return nil, err
	}
	return all, nil
}

// eagerTenants is up to how many tenants have a VM before their first request.
const eagerTenants = 200

// scriptsLoad is the loading of one tenant's scripts.
type scriptsLoad struct {
	tenant  *tenants.Config
	options lua.Options
	have    *lua.Scripts // in use; nil for none
	scripts *lua.Scripts
	err     error
}

func (s *Server) newLoad(c *Config, t *tenants.Config, names []string) scriptsLoad {
	stats := s.scripts.stats[t.Name]
	if stats == nil {
		stats = &lua.Stats{}
		s.scripts.stats[t.Name] = stats
	}
	return scriptsLoad{tenant: t, have: s.scriptsOf(t.Name), options: lua.Options{
		Tenant: t.Name, Dir: inDir(s.dir, c.LuaRouting.ScriptsDir), Scripts: names, Config: t.Lua,
		Log:   s.log.With().Str("tenant", t.Name).Logger(),
		Cache: s.scripts.cache, Store: s.storeOf(t), Env: s.scripts.env,
		Clock: s.scripts.clock, Random: rand.Reader, Cover: s.scripts.cover, Stats: stats,
		Lazy: len(c.Tenants) > eagerTenants, Shards: processors(), Own: s.owns, Hops: s.hops.first,
	}}
}

// runLoads loads on all processors; on half of them while there are requests
// to serve. Those that wait for something take none.
func (s *Server) runLoads(loads []scriptsLoad) {
	running := processors()
	if s.current.Load() != nil {
		running = (running + 1) / 2
	}
	free := newSlots(running)
	var wait sync.WaitGroup
	for i := range loads {
		slot := free.acquire()
		wait.Go(func() {
			defer slot.release()
			loads[i].run(slot)
		})
	}
	wait.Wait()
}

// run ends when the tenant's lua.load_timeout does, whatever the scripts do.
func (l *scriptsLoad) run(slot *slot) {
	if l.have != nil && l.have.Current(&l.options) {
		l.scripts = l.have
		return
	}
	options := l.options
	options.Waiting = slot.wait
	l.scripts, l.err = lua.Load(options)
}

// scriptsOf returns the scripts that a tenant has in use.
func (s *Server) scriptsOf(tenant string) *lua.Scripts {
	if snap := s.current.Load(); snap != nil {
		return snap.scripts[tenant]
	}
	return nil
}

// storeOf returns the dictionary of a tenant, which survives reloads.
func (s *Server) storeOf(t *tenants.Config) *store.Memory {
	have := s.stores[t.Name]
	if have == nil {
		have = store.NewMemory(t.Lua.SharedMemory.Int64(), s.scripts.clock.Now)
		s.stores[t.Name] = have
	}
	return have
}

// discardScripts frees the scripts of a snapshot that will not be used.
func (s *Server) discardScripts(snap *snapshot) { s.closeFresh(snap.scripts) }

// closeFresh frees scripts that are not in use.
func (s *Server) closeFresh(all map[string]*lua.Scripts) {
	for name, scripts := range all {
		if s.scriptsOf(name) != scripts {
			scripts.Close()
		}
	}
}

// retireScripts frees what only the old snapshot used, and gives those that
// go on a fresh start.
func (s *Server) retireScripts(old, fresh *snapshot) {
	if old == nil || old.config != fresh.config {
		for i := range fresh.config.Tenants {
			t := &fresh.config.Tenants[i]
			if have := s.stores[t.Name]; have != nil {
				have.SetBudget(t.Lua.SharedMemory.Int64())
			}
		}
	}
	for name := range s.stores {
		if _, ok := fresh.scripts[name]; !ok {
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

// Warnings says what the configuration in use and its scripts ask for in vain,
// a line each.
func (s *Server) Warnings() []string {
	snap := s.current.Load()
	return append(snap.config.Warnings(), scriptWarnings(snap.config, snap.scripts, nil)...)
}

// scriptWarnings are those of the scripts that are not in known.
func scriptWarnings(c *Config, all, known map[string]*lua.Scripts) []string {
	var found findings
	for i := range c.Tenants {
		t := &c.Tenants[i]
		scripts := all[t.Name]
		if scripts == nil || known[t.Name] == scripts {
			continue
		}
		for _, warning := range scripts.Warnings(len(t.Services) > 0) {
			found.add(place{}, t.Name, warning)
		}
	}
	return found.lines()
}

// CheckScripts loads the scripts as New does, and frees them again. The error
// is settings.Errors; warnings are what a good configuration and its scripts
// ask for in vain.
func CheckScripts(file string, config *Config) (warnings []string, err error) {
	s := &Server{
		file: file, dir: filepath.Dir(file), log: zerolog.Nop(), started: config,
		stores: map[string]*store.Memory{}, scripts: newScriptsOptions(&Options{}), hops: newHops(),
	}
	s.reserve(config)
	all, err := s.loadScripts(config)
	if err != nil {
		return nil, err
	}
	defer s.closeFresh(all)
	warnings = append(config.Warnings(), scriptWarnings(config, all, nil)...)
	return append(warnings, unusedFiles(inDir(s.dir, config.LuaRouting.ScriptsDir), all)...), nil
}
