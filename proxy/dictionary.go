package proxy

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants"
	"github.com/keystone-gateway/keystone-gateway/tenants/store"
	"github.com/keystone-gateway/keystone-gateway/tenants/store/redis"
)

// dictionary is what a tenant's scripts remember: in the store that gateways share, where
// there is one, unless the tenant's are to remember it by themselves.
type dictionary struct {
	memory *store.Memory
	shared *redis.Dictionary
	local  atomic.Bool
}

var _ store.Store = (*dictionary)(nil)

func (s *Server) newDictionary(t *tenants.Config) *dictionary {
	budget := t.Lua.SharedMemory.Int64()
	d := &dictionary{memory: store.NewMemory(budget, s.scripts.clock.Now), shared: s.shared.Tenant(t.Name).Dictionary(budget)}
	d.configure(&t.Lua)
	return d
}

// configure takes up what a section says.
func (d *dictionary) configure(c *lua.Config) {
	d.memory.SetBudget(c.SharedMemory.Int64())
	d.shared.SetBudget(c.SharedMemory.Int64())
	d.local.Store(c.Store == lua.StoreLocal)
}

func (d *dictionary) at() store.Store {
	if d.local.Load() || !d.shared.Configured() {
		return d.memory
	}
	return d.shared
}

// Instant says that no method waits now.
func (d *dictionary) Instant() bool { return d.at() == store.Store(d.memory) }

// Get is store.Store's, as the others are.
func (d *dictionary) Get(ctx context.Context, key string) (value any, ok bool, err error) {
	return d.at().Get(ctx, key)
}

// Set is store.Store's.
func (d *dictionary) Set(ctx context.Context, key string, value any, ttl time.Duration) error {
	return d.at().Set(ctx, key, value, ttl)
}

// Add is store.Store's.
func (d *dictionary) Add(ctx context.Context, key string, value any, ttl time.Duration) (bool, error) {
	return d.at().Add(ctx, key, value, ttl)
}

// Incr is store.Store's.
func (d *dictionary) Incr(ctx context.Context, key string, by, start float64, ttl time.Duration) (float64, error) {
	return d.at().Incr(ctx, key, by, start, ttl)
}

// Delete is store.Store's.
func (d *dictionary) Delete(ctx context.Context, key string) (bool, error) {
	return d.at().Delete(ctx, key)
}

// TTL is store.Store's.
func (d *dictionary) TTL(ctx context.Context, key string) (time.Duration, bool, error) {
	return d.at().TTL(ctx, key)
}

// Take is store.Store's.
func (d *dictionary) Take(ctx context.Context, key string, q store.Quota) (store.Verdict, error) {
	return d.at().Take(ctx, key, q)
}

// checkScriptsStore finds a tenant whose scripts are to have a store that there isn't.
func (c *Config) checkScriptsStore(own func(index int) settings.Reporter) {
	for i := range c.Tenants {
		if at := &c.Tenants[i].Lua.Store; *at == lua.StoreRedis && c.Store.Redis == nil {
			own(i).Errorf(at, "lua.store of tenant %q is redis, and there is none, expected the section store with redis, or store: local", c.Tenants[i].Name)
		}
	}
}
