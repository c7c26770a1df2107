package exchange

import (
	"reflect"
	"time"

	"github.com/keystone-gateway/keystone-gateway/tenants"
)

// Bounds are what clients are held to, and whether they get compressed responses:
// the server's until a request's tenant is known, and the tenant's from then on.
type Bounds struct {
	maxBody             int64
	maxURL, maxHeader   int
	bodyIdle, writeIdle time.Duration
	minRate             int64 // bytes a second
	compression         compression

	limits   tenants.RequestLimitsConfig // as configured, for errors
	timeouts tenants.ClientTimeoutsConfig
	own      bool // timeouts are the tenant's own
}

// NewBounds are those of the server.
func NewBounds(limits *tenants.RequestLimitsConfig, timeouts tenants.ClientTimeoutsConfig, coding *tenants.CompressionConfig) Bounds {
	return Bounds{
		maxBody: limits.MaxBodySize.Int64(), maxURL: int(limits.MaxURLSize), maxHeader: int(limits.MaxHeaderSize),
		bodyIdle: timeouts.BodyIdle.Std(), writeIdle: timeouts.WriteIdle.Std(), minRate: timeouts.MinRate.Int64(),
		compression: newCompression(coding), limits: *limits, timeouts: timeouts,
	}
}

// Within are those of a tenant of the server. What it has inherited is shared
// with the server's.
func (b *Bounds) Within(c *tenants.Config) Bounds {
	own := NewBounds(&c.RequestLimits, c.ClientTimeouts, &c.Compression)
	own.own = c.ClientTimeouts != b.timeouts
	if reflect.DeepEqual(c.Compression, b.compression.config) {
		own.compression = b.compression
	}
	return own
}

// key is the name of a time-out in the configuration.
func (b *Bounds) key(name string) string {
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
func (x *exchange) holdToTenant(t *Tenant) error {
	x.bound(&t.Bounds)
	switch {
	case x.stream.HeadSize() > t.Bounds.maxHeader:
		return faultHeaderTooLarge
	case len(x.Message.Target) > t.Bounds.maxURL:
		return faultURLTooLong
	}
	return nil
}
