package admin

// resilience is what pools have done about targets that fail.
func (m *scrape) resilience() {
	m.family("keystone_retries_refused_total", counter, "Retries that a tenant's retry.budget had nothing left for.")
	for _, p := range m.pools {
		m.uint(p.pool.RetriesRefused(), p.labels)
	}
}
