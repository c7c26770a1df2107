package admin

import (
	"sync/atomic"

	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// resilience is what has become of requests at targets, and what was done about it.
func (m *scrape) resilience() {
	m.family("keystone_retries_refused_total", counter, "Retries that a tenant's retry.budget had nothing left for.")
	for _, p := range m.pools {
		m.uint(p.pool.RetriesRefused(), p.labels)
	}
	m.family("keystone_target_responses_total", counter, "Final answers of a target, whole or not, by the first digit of their status.")
	classes := [len(upstream.Target{}.Classes)]string{}
	for class := range classes {
		classes[class] = label("class", className(class))
	}
	for _, t := range m.targets {
		for class := 1; class < len(classes); class++ {
			m.uint(t.target.Classes[class].Load(), t.labels, classes[class])
		}
	}
	for _, family := range []struct {
		name, help string
		value      func(*upstream.Target) *atomic.Uint64
	}{
		{"cut_responses", "Answers of a target that were not whole; they are failures too.", func(t *upstream.Target) *atomic.Uint64 { return &t.Cuts }},
		{"connect_errors", "Requests for which a target could not be connected to; they are failures too.", func(t *upstream.Target) *atomic.Uint64 { return &t.Unreachable }},
		{"overflows", "Requests that found no connection to a target in time; they are no failures of it.", func(t *upstream.Target) *atomic.Uint64 { return &t.Overflows }},
		{"ejections", "Times that a target was ejected because of how it had answered.", func(t *upstream.Target) *atomic.Uint64 { return &t.Ejections }},
	} {
		m.family("keystone_target_"+family.name+"_total", counter, family.help)
		for _, t := range m.targets {
			m.uint(family.value(t.target).Load(), t.labels)
		}
	}
}
