package proxy

import (
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants/store/redis"
)

// storePatience bounds how long a start, and a reload that names another store, wait for
// it: so that the first requests find it, if it is there.
const storePatience = 500 * time.Millisecond

func (c *Config) checkStore(r settings.Reporter) {
	if c.Store.Redis != nil {
		c.Store.Redis.Check(r)
	}
}

// logStore tells that the store is away, or back.
func (s *Server) logStore(address string, err error, away time.Duration) {
	if err != nil {
		s.log.Error().Str("store", address).Str("error", cause.Text(err)).
			Msg("the store is away: limits hold by their on_store_error until it is back")
		return
	}
	s.log.Info().Str("store", address).Dur("away", away).Msg("the store is here: gateways count together")
}

// SharedStore says how the store is that gateways share; ok is false if there is none.
func (s *Server) SharedStore() (status redis.Status, ok bool) { return s.shared.Status() }
