package proxy

import "time"

// startPatience is how long a start waits for the scripts of slow tenants, where
// others could be served meanwhile.
const startPatience = time.Second

// await waits for so many loads, which tell of their end. With patience, it
// leaves those that are under way when all have been begun for so long, as soon
// as there is somebody to serve: one that has loaded well, or others without
// scripts. So a start waits for many tenants, and not for a slow one.
func await(loads int, begun <-chan struct{}, ended <-chan *scriptsLoad, patience time.Duration, others bool) {
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

// takeLate waits for the loads that a start has not waited for, and then puts
// them into use. It ends when the last lua.load_timeout does.
func (s *Server) takeLate(config *Config, loads []*scriptsLoad) {
	late := map[string]*scriptsLoad{}
	for _, l := range loads {
		<-l.done
		late[l.of.asked.Name] = l
	}
	s.reloadMu.Lock()
	defer s.reloadMu.Unlock()
	if !s.draining.Load() && s.current.Load().asked == config { // else a reload was faster
		s.late = late
		s.counters.reloads.Add(1)
		result := ReloadResult{At: time.Now()}
		s.conclude(s.use(config, &result), &result)
		s.late = nil
	}
	s.discardLate(loads)
}

// discardLate frees what late loads have brought that is not in use.
func (s *Server) discardLate(loads []*scriptsLoad) {
	for _, l := range loads {
		if <-l.done; l.scripts != nil && l.scripts != s.scriptsOf(l.of.asked.Name) {
			l.scripts.Close()
		}
	}
}
