package admin

import (
	"github.com/keystone-gateway/keystone-gateway/proxy"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// poolSeries are a pool with its labels.
type poolSeries struct {
	labels string
	pool   *upstream.Pool
	named  bool // the tenant's section has pools
}

// collectTargets lists each target once, although several pools may have it: its
// figures are those of all of them. The label of its pool is there where the tenant's
// section has pools.
func (m *scrape) collectTargets(t *proxy.TenantView, tenant string) {
	for pool, target := range t.Targets() {
		labels := tenant
		if t.Named {
			labels += "," + label("pool", pool.Name())
		}
		m.targets = append(m.targets, targetSeries{labels + "," + label("target", target.Name()), target})
	}
	for _, p := range t.Pools {
		labels := tenant
		if t.Named {
			labels += "," + label("pool", p.Name())
		}
		m.pools = append(m.pools, poolSeries{labels, p.Pool, t.Named})
		m.named = m.named || t.Named
	}
}

// ofPools is what there is of the pools of tenants that have several, and of copies of
// requests.
func (m *scrape) ofPools() {
	if m.named {
		m.family("keystone_pool_healthy_targets", gauge, "Healthy targets of a pool, those of weight 0 apart, of tenants that have pools.")
		for _, p := range m.pools {
			if p.named {
				m.int(int64(p.pool.Healthy()), p.labels)
			}
		}
	}
	m.family("keystone_mirrored_requests_total", counter, "Copies of requests that a route's mirror has asked for: sent; failed, without a response; dropped, as there was no room for them or their body was streamed. Of tenants that have had some.")
	for _, t := range m.tenants {
		c := &t.stats.Mirrors
		sent, failed, dropped := c.Sent.Load(), c.Failed.Load(), c.Dropped.Load()
		if sent+failed+dropped == 0 {
			continue
		}
		m.uint(sent, t.label, label("result", "sent"))
		m.uint(failed, t.label, label("result", "failed"))
		m.uint(dropped, t.label, label("result", "dropped"))
	}
}
