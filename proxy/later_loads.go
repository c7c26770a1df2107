package proxy

import (
	"maps"
	"time"
)

// startPatience is how long a start waits for the scripts of slow tenants, where
// others could be served meanwhile.
const startPatience = time.Second

// awaitLoads waits for so many loads, which tell of their end. With patience, it
// leaves those that are under way when all have been begun for so long, as soon
// as there is somebody to serve: one that has loaded well, or others without
// scripts. So a start waits for many tenants, and not for a slow one.
func awaitLoads(loads int, begun <-chan struct{}, ended <-chan *scriptsLoad, patience time.Duration, others bool) {
	if patience == 0 {
		begun = nil
	}
	var over <-chan time.Time
	served, impatient := others, false
	for left := loads; left > 0 && (!served || !impatient); {
		select {
		case l := <-ended:
			left--
			served = served || l.err == nil
		case <-begun:
			begun, over = nil, time.After(patience)
		case <-over:
			impatient = true
		}
	}
}

// loadRound is for how long loads are gathered that end one after the other.
const loadRound = time.Second

// useLaterLoads puts loads into use that nobody has waited for, as they end, those of
// a while at once. It ends when the last of them does.
func (s *Server) useLaterLoads(config *Config, loads []*scriptsLoad) {
	ended := make(chan *scriptsLoad, len(loads))
	for _, l := range loads {
		go func() {
			<-l.done
			ended <- l
		}()
	}
	for left := len(loads); left > 0; {
		round := []*scriptsLoad{<-ended}
		for over := time.After(loadRound); over != nil && len(round) < left; {
			select {
			case l := <-ended:
				round = append(round, l)
			case <-over:
				over = nil
			}
		}
		left -= len(round)
		s.useRound(config, loads, round)
	}
	s.discardLaterLoads(loads)
}

// useRound puts those of a round into use, if the configuration is still the one
// that they are for. What the others are is known, or is waited for.
func (s *Server) useRound(config *Config, loads, round []*scriptsLoad) {
	s.reloadMu.Lock()
	defer s.reloadMu.Unlock()
	snap := s.current.Load()
	if s.draining.Load() || snap.asked != config { // a reload was faster
		return
	}
	known, news, first := maps.Clone(snap.failed), false, false
	for _, l := range loads {
		if r := s.retries.list[l.of.asked.Name]; r != nil && (r.begun == l || r.of == l) {
			known[l.of.asked.Name] = l
		}
	}
	waiting := snap.problems()
	for _, l := range round {
		name := l.of.asked.Name
		if problem := waiting[name]; problem != nil && known[name] == l { // else a reload has found something newer
			news = news || l.err == nil
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
func (s *Server) discardLaterLoads(loads []*scriptsLoad) {
	for _, l := range loads {
		if <-l.done; l.scripts != nil && l.scripts != s.scriptsOf(l.of.asked.Name) {
			l.scripts.Close()
		}
	}
}
