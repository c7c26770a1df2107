package proxy

import (
	"context"
	"crypto/rand"
	"os"
	"slices"
	"time"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/lua/modules"
	"github.com/keystone-gateway/keystone-gateway/tenants"
	"github.com/keystone-gateway/keystone-gateway/tenants/store"
)

// scriptsOptions are what the scripts of all tenants have in common.
type scriptsOptions struct {
	cache *lua.Cache
	clock modules.Clock
	cover func(script string, line int)
}

func newScriptsOptions(o *Options) scriptsOptions {
	clock := o.Clock
	if clock == nil {
		clock = systemClock{}
	}
	return scriptsOptions{cache: lua.NewCache(), clock: clock, cover: o.Cover}
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

// loadScripts loads a tenant's scripts, or takes over those in use if nothing
// about them has changed. closed says that there are some that may not run.
func (s *Server) loadScripts(c *Config, t *tenants.Config) (scripts *lua.Scripts, closed bool, err error) {
	if !c.LuaRouting.Enabled {
		return nil, len(t.LuaRoutes) > 0, nil
	}
	names := slices.Concat(c.LuaRouting.GlobalScripts, t.LuaRoutes)
	if len(names) == 0 {
		return nil, false, nil
	}
	options := lua.Options{
		Tenant: t.Name, Dir: inDir(s.dir, c.LuaRouting.ScriptsDir), Scripts: names, Config: t.Lua,
		Log:   s.log.With().Str("tenant", t.Name).Logger(),
		Cache: s.scripts.cache, Store: s.storeOf(t), Env: os.LookupEnv,
		Clock: s.scripts.clock, Random: rand.Reader, Cover: s.scripts.cover,
	}
	if have := s.scriptsOf(t.Name); have != nil && have.Current(&options) {
		return have, false, nil
	}
	scripts, err = lua.Load(options)
	return scripts, false, err
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
func (s *Server) discardScripts(snap *snapshot) {
	for name, scripts := range snap.scripts {
		if s.scriptsOf(name) != scripts {
			scripts.Close()
		}
	}
}

// retireScripts frees what only the old snapshot used, and gives those that
// go on a fresh start.
func (s *Server) retireScripts(old, fresh *snapshot) {
	for i := range fresh.config.Tenants {
		t := &fresh.config.Tenants[i]
		if have := s.stores[t.Name]; have != nil {
			have.SetBudget(t.Lua.SharedMemory.Int64())
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
