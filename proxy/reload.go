package proxy

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
)

// ReloadResult is the outcome of reading the configuration.
type ReloadResult struct {
	OK bool `json:"ok"` // all that it asks for is in use
	// Applied says that a new generation is in use: all that it asks for, but for
	// what Failed lists. If not, nothing has changed.
	Applied    bool      `json:"applied"`
	Generation uint64    `json:"generation"` // the one in use after it
	At         time.Time `json:"at"`
	// Changes says what is different now, a line each.
	Changes []string `json:"changes,omitempty"`
	// Warnings says what takes effect only at the next start, and what the
	// scripts that have changed do in vain.
	Warnings []string `json:"warnings,omitempty"`
	// Errors says why nothing has changed, or why not all: "file:line:column: …".
	Errors []string `json:"errors,omitempty"`
	// Failed are the tenants that are not served as the configuration asks for.
	Failed []*Problem `json:"tenants_failed,omitempty"`
}

// Reload reads the configuration again. When it returns, what is good of it is
// in use; if its own sections are not, or none of its tenants is, nothing has
// changed. Reloads wait for each other.
func (s *Server) Reload() ReloadResult {
	s.reloadMu.Lock()
	defer s.reloadMu.Unlock()
	s.counters.reloads.Add(1)
	AcquireProcessor()
	defer ReleaseProcessor()
	result := ReloadResult{At: time.Now()}
	s.finishReload(s.reload(&result), &result)
	return result
}

// finishReload counts, logs and keeps the outcome of a reload.
func (s *Server) finishReload(err error, result *ReloadResult) {
	switch {
	case err != nil:
		s.counters.failed.Add(1)
		result.Errors = errorLines(err)
		result.Generation = s.current.Load().number
		s.log.Error().Strs("errors", result.Errors).Msg("reload refused, the last good configuration stays")
		s.reopenLog() // whoever has renamed the file needs it, however the configuration is
	default:
		result.note(s.current.Load())
		if !result.OK {
			s.counters.partial.Add(1)
		}
		s.log.Info().Uint64("generation", result.Generation).Strs("changes", result.Changes).
			Strs("warnings", result.Warnings).Msg("reloaded")
		s.logProblems(result, "reloaded")
	}
	s.lastLoad.Store(result)
}

// note says what has become of the tenants of a snapshot that is in use.
func (r *ReloadResult) note(snap *snapshot) {
	r.Applied, r.Generation = true, snap.number
	for _, t := range snap.tenants {
		if t.problem != nil {
			r.Failed = append(r.Failed, t.problem)
		}
	}
	r.OK = len(r.Failed) == 0
	if snap.wrong != nil {
		r.Errors = errorLines(snap.wrong)
	}
}

// loggedProblems bounds the tenants that are logged with their errors.
const loggedProblems = 20

// logProblems says loudly, once a generation, who isn't served as asked for.
func (s *Server) logProblems(result *ReloadResult, what string) {
	if result.OK {
		return
	}
	counts := map[string]int{}
	for i, p := range result.Failed {
		if counts[p.State]++; i < loggedProblems {
			s.log.Error().Str("tenant", p.Tenant).Str("state", p.State).Time("since", p.Since).Strs("errors", p.Errors).
				Msg(p.consequence())
		}
	}
	s.log.Error().Uint64("generation", result.Generation).Int(Outdated, counts[Outdated]).Int(Misconfigured, counts[Misconfigured]).
		Int(Loading, counts[Loading]).Int("tenants", len(s.current.Load().tenants)).
		Msg(what + ", but not every tenant is served as the configuration asks for")
}

// reload does all that can fail before anything changes.
func (s *Server) reload(result *ReloadResult) error {
	src, err := ReadConfig(s.file)
	if err != nil {
		return err
	}
	// A text that has not changed means what it did: where only scripts have,
	// reading a thousand tenants would take longer than all the rest.
	config := s.current.Load().asked
	if sha256.Sum256(src) == config.sum && config.inputs.unchanged() {
		err = s.use(config, result)
		if _, placed := errors.AsType[settings.Errors](err); err == nil || placed {
			return err
		} // else something around the file has changed, and Parse says where it is named
	}
	files := newInputs(filepath.Dir(s.file))
	if config, err = parse(s.file, src, files); err != nil {
		s.refused.Store(files)
		return err
	}
	s.refused.Store(nil)
	s.besides.addTo(config)
	for _, key := range settings.KeepUntilRestart(s.started, config) {
		config.pending = append(config.pending, key+" takes effect at the next start")
	}
	return s.use(config, result)
}

// use builds a snapshot and puts it into use.
func (s *Server) use(config *Config, result *ReloadResult) error {
	snap, _, err := s.build(config, 0)
	if err != nil {
		return err
	}
	opened, err := s.openListeners(config)
	var out accessOutput
	if err == nil {
		if out, err = s.openAccessLog(config); err != nil {
			opened.discard()
		}
	}
	if err != nil {
		s.registry.Discard(snap.pools)
		s.discardSnapshot(snap)
		return err
	}
	s.access.setOutput(out)
	s.logWriter.Configure(&config.Log)
	old := s.current.Load()
	s.swap(snap, opened)
	result.Changes = changes(old, snap)
	result.Warnings = slices.Clone(config.pending)
	if known := old.config.Warnings(); old.asked != config {
		for _, warning := range snap.config.Warnings() {
			if !slices.Contains(known, warning) {
				result.Warnings = append(result.Warnings, warning)
			}
		}
	}
	result.Warnings = append(result.Warnings, scriptWarnings(snap.config, snap.scripts, old.scripts)...)
	return nil
}

// swap puts a snapshot and its listeners into use, and then retires what only the old
// one used.
func (s *Server) swap(snap *snapshot, opened *opened) {
	old := s.current.Load()
	elsewhere := s.shared.Use(snap.asked.Store.Redis, storePatience) // before a request is judged by who asks it
	if old != nil {
		snap.number = old.number
	}
	snap.number++
	s.clients.Limits.Store(limitsOf(snap.config))
	s.entrances(snap, opened)
	s.useCertificates(snap)
	s.useTickets(snap, elsewhere)
	s.acme.Use(snap.acme)
	s.current.Store(snap)
	s.useListeners(opened)
	for _, scripts := range snap.scripts {
		scripts.InUse()
	}
	s.timers.use(snap.scripts)
	s.limitMemory(snap)
	s.places.SetTenants(len(snap.tenants))
	s.registry.Activate(snap.pools)
	s.retireScripts(old, snap)
	s.planRetries(snap.failed)
}

func errorLines(err error) []string {
	if list, ok := errors.AsType[settings.Errors](err); ok {
		lines := make([]string, 0, len(list))
		for _, e := range list {
			lines = append(lines, e.Error())
		}
		return lines
	}
	return []string{cause.Text(err)}
}

// changes compares two snapshots.
func changes(from, to *snapshot) []string {
	before, after := from.config, to.config
	var list []string
	if from.asked == to.asked && from.wrong == nil && to.wrong == nil { // Reload has found the same text
		for i := range after.Tenants {
			if name := after.Tenants[i].Name; from.scripts[name] != to.scripts[name] {
				list = append(list, fmt.Sprintf("scripts of tenant %q changed", name))
			}
		}
		return list
	}
	old := map[string]int{}
	for i := range before.Tenants {
		old[before.Tenants[i].Name] = i
	}
	for i := range after.Tenants {
		name := after.Tenants[i].Name
		at, existed := old[name]
		delete(old, name)
		switch {
		case !existed:
			list = append(list, fmt.Sprintf("tenant %q added", name))
		case !reflect.DeepEqual(before.withoutInherited(at), after.withoutInherited(i)):
			list = append(list, fmt.Sprintf("tenant %q changed", name))
		case from.scripts[name] != to.scripts[name]:
			list = append(list, fmt.Sprintf("scripts of tenant %q changed", name))
		}
	}
	for i := range before.Tenants {
		if _, gone := old[before.Tenants[i].Name]; gone {
			list = append(list, fmt.Sprintf("tenant %q removed", before.Tenants[i].Name))
		}
	}
	list = append(list, listenerChanges(before.listeners, after.listeners)...)
	a, b := *before, *after
	a.Tenants, b.Tenants = nil, nil
	a.Listeners, a.listeners = b.Listeners, b.listeners
	a.sum, a.inputs, a.places, a.pending, a.faults, a.unmatched, a.redactor, a.warnings, a.unasked, a.loaded = b.sum, b.inputs, b.places, b.pending, b.faults, b.unmatched, b.redactor, b.warnings, b.unasked, b.loaded
	if !reflect.DeepEqual(a, b) { //nolint:govet // the errors in it are the same ones by now
		list = append(list, "settings outside tenants changed")
	}
	return list
}
