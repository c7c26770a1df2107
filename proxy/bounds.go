package proxy

import (
	"reflect"
	"time"

	"github.com/keystone-gateway/keystone-gateway/tenants"
)

// bounds are what clients are held to, and whether they get compressed responses:
// the server's until a request's tenant is known, and the tenant's from then on.
type bounds struct {
	maxBody             int64
	maxURL, maxHeader   int
	bodyIdle, writeIdle time.Duration
	minRate             int64 // bytes a second
	compression         compression

	limits   tenants.RequestLimitsConfig // as configured, for errors
	timeouts tenants.ClientTimeoutsConfig
	own      bool // timeouts are the tenant's own
}

func newBounds(limits *tenants.RequestLimitsConfig, timeouts tenants.ClientTimeoutsConfig) bounds {
	return bounds{
		maxBody: limits.MaxBodySize.Int64(), maxURL: int(limits.MaxURLSize), maxHeader: int(limits.MaxHeaderSize),
		bodyIdle: timeouts.BodyIdle.Std(), writeIdle: timeouts.WriteIdle.Std(), minRate: timeouts.MinRate.Int64(),
		limits: *limits, timeouts: timeouts,
	}
}

// boundsOf are those of the server.
func boundsOf(c *Config) bounds {
	b := newBounds(&c.RequestLimits, c.serverTimeouts())
	b.compression = newCompression(&c.Compression)
	return b
}

// boundsWithin are those of a tenant. What it has inherited is shared with the
// server's.
func boundsWithin(server *bounds, config *Config, c *tenants.Config) bounds {
	b := newBounds(&c.RequestLimits, c.ClientTimeouts)
	b.own = c.ClientTimeouts != server.timeouts
	if reflect.DeepEqual(c.Compression, config.Compression) {
		b.compression = server.compression
	} else {
		b.compression = newCompression(&c.Compression)
	}
	return b
}

// key is the name of a time-out in the configuration.
func (b *bounds) key(name string) string {
	switch {
	case b.own:
		return "client_timeouts." + name
	case name == "min_rate":
		return "server." + name
	}
	return "server.timeouts." + name
}

// holdToTenant judges the head anew when the tenant is known, whose bounds may
// be narrower.
func (x *exchange) holdToTenant(t *tenant) error {
	x.bound(&t.bounds)
	switch {
	case x.stream.HeadSize() > t.bounds.maxHeader:
		return faultHeaderTooLarge
	case len(x.req.Target) > t.bounds.maxURL:
		return faultURLTooLong
	}
	return nil
}
