package proxy

import (
	"maps"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/loads"
)

// startPatience is how long a start waits for the scripts of slow tenants, where
// others could be served meanwhile.
const startPatience = time.Second

// loadRound is for how long loads are gathered that end one after the other.
const loadRound = time.Second

// useLaterLoads puts loads into use that nobody has waited for, as they end, those of
// a while at once. It ends when the last of them does.
func (s *Server) useLaterLoads(config *Config, all []*loads.Load) {
	ended := make(chan *loads.Load, len(all))
	for _, l := range all {
		go func() {
			l.Wait()
			ended <- l
		}()
	}
	for left := len(all); left > 0; {
		round := []*loads.Load{<-ended}
		for over := time.After(loadRound); over != nil && len(round) < left; {
			select {
			case l := <-ended:
				round = append(round, l)
			case <-over:
				over = nil
			}
		}
		left -= len(round)
		s.useRound(config, all, round)
	}
	s.discardLaterLoads(all)
}

// useRound puts those of a round into use, if the configuration is still the one
// that they are for. What the others are is known, or is waited for.
func (s *Server) useRound(config *Config, all, round []*loads.Load) {
	s.reloadMu.Lock()
	defer s.reloadMu.Unlock()
	snap := s.current.Load()
	if s.draining.Load() || snap.asked != config { // a reload was faster
		return
	}
	known, news, first := maps.Clone(snap.failed), false, false
	for _, l := range all {
		if s.retries.Know(l) {
			known[l.Options.Tenant] = l
		}
	}
	waiting := snap.problems()
	for _, l := range round {
		name := l.Options.Tenant
		if problem := waiting[name]; problem != nil && known[name] == l { // else a reload has found something newer
			news = news || l.Err == nil
			first = first || problem.late
		}
	}
	if !news && !first {
		s.planRetries(known)
		return
	}
	s.late = known
	s.counters.reloads.Add(1)
	result := ReloadResult{At: time.Now()}
	err := s.use(config, &result)
	s.late = nil
	if err != nil || first {
		s.finishReload(err, &result)
		return
	}
	result.note(s.current.Load())
	s.lastLoad.Store(&result)
	s.log.Info().Uint64("generation", result.Generation).Strs("changes", result.Changes).Int("broken", len(result.Failed)).
		Msg("scripts that could not be loaded for want of time or memory have been loaded")
}

// problems are those of a snapshot's tenants, by name.
func (s *snapshot) problems() map[string]*Problem {
	list := map[string]*Problem{}
	for _, t := range s.tenants {
		if t.problem != nil {
			list[t.Name] = t.problem
		}
	}
	return list
}

// discardLaterLoads frees what late loads have brought that is not in use.
func (s *Server) discardLaterLoads(all []*loads.Load) {
	for _, l := range all {
		if l.Wait(); l.Scripts != nil && l.Scripts != s.scriptsOf(l.Options.Tenant) {
			l.Scripts.Close()
		}
	}
}
