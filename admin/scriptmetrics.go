package admin

import (
	"slices"
	"strings"
)

// ownSample is a series of a tenant's scripts.
type ownSample struct {
	tenant       string // its label
	name, labels string
	value        float64
}

// ownMetrics are the counters and gauges of the scripts' own. Each name is one
// family of all tenants: a counter if it ends with _total, which the module sees
// to, else a gauge.
func (m *scrape) ownMetrics() {
	m.family("keystone_lua_metrics_dropped_total", counter, "Updates of the scripts' own metrics (keystone.metrics) that were dropped because the tenant has as many as it may.")
	var all []ownSample
	for i := range m.scripts {
		s := &m.scripts[i]
		m.uint(s.stats.Metrics.Dropped.Load(), s.label)
		s.stats.OwnMetrics(func(name, labels string, value float64) {
			all = append(all, ownSample{s.label, name, labels, value})
		})
	}
	slices.SortStableFunc(all, func(a, b ownSample) int { return strings.Compare(a.name, b.name) })
	for i, sample := range all {
		if i == 0 || all[i-1].name != sample.name {
			kind := gauge
			if strings.HasSuffix(sample.name, "_total") {
				kind = counter
			}
			m.family("script_"+sample.name, kind, "Of the scripts that say keystone.metrics.")
		}
		m.float(sample.value, sample.tenant, sample.labels)
	}
}
