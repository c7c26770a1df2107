package proxy

import (
	"github.com/keystone-gateway/keystone-gateway/proxy/loads"
	"github.com/keystone-gateway/keystone-gateway/tenants"
)

// planRetries decides when the loads that have failed are tried again.
// reloadMu is held.
func (s *Server) planRetries(failed map[string]*loads.Load) {
	again := s.retryLoads
	if s.draining.Load() {
		again = nil
	}
	s.retries.Plan(failed, again)
}

// retryLoads loads again what is due. Nobody waits for that: reloads go on meanwhile.
func (s *Server) retryLoads() {
	s.reloadMu.Lock()
	defer s.reloadMu.Unlock()
	if s.draining.Load() {
		return
	}
	snap := s.current.Load()
	asked, dir := map[string]*tenants.Config{}, snap.asked.scriptsDir(s.dir)
	for i := range snap.asked.Tenants {
		asked[snap.asked.Tenants[i].Name] = &snap.asked.Tenants[i]
	}
	var begun []*loads.Load
	for _, name := range s.retries.Due() {
		if t := asked[name]; t != nil {
			l := s.newLoad(snap.asked, t, dir)
			s.retries.Begun(l)
			begun = append(begun, l)
		}
	}
	s.planRetries(snap.failed)
	if len(begun) > 0 {
		s.beginLoads(begun)
		go s.useLaterLoads(snap.asked, begun)
	}
}
