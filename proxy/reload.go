package proxy

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
)

// ReloadResult is the outcome of reading the configuration.
type ReloadResult struct {
	OK         bool      `json:"ok"`
	Generation uint64    `json:"generation"` // the one in use after it
	At         time.Time `json:"at"`
	// Changes says what is different now, a line each.
	Changes []string `json:"changes,omitempty"`
	// Warnings says what takes effect only at the next start, and what the
	// scripts that have changed do in vain.
	Warnings []string `json:"warnings,omitempty"`
	// Errors says why nothing has changed: "file:line:column: …".
	Errors []string `json:"errors,omitempty"`
}

// Reload reads the configuration again. If it is good, it is in use when
// Reload returns; if not, nothing has changed. Reloads wait for each other.
func (s *Server) Reload() ReloadResult {
	s.reloadMu.Lock()
	defer s.reloadMu.Unlock()
	s.counters.reloads.Add(1)
	takeSpare()
	defer returnSpare()
	result := ReloadResult{At: time.Now()}
	if err := s.reload(&result); err != nil {
		s.counters.failed.Add(1)
		result.Errors = errorLines(err)
		s.log.Error().Strs("errors", result.Errors).Msg("reload refused, the last good configuration stays")
	} else {
		result.OK = true
		s.log.Info().Uint64("generation", s.current.Load().number).Strs("changes", result.Changes).
			Strs("warnings", result.Warnings).Msg("reloaded")
	}
	result.Generation = s.current.Load().number
	s.lastLoad.Store(&result)
	return result
}

// reload does all that can fail before anything changes.
func (s *Server) reload(result *ReloadResult) error {
	src, err := readConfig(s.file)
	if err != nil {
		return err
	}
	// A text that has not changed means what it did: where only scripts have,
	// reading a thousand tenants would take longer than all the rest.
	config := s.current.Load().config
	if sha256.Sum256(src) == config.sum {
		err = s.use(config, result)
		if _, placed := errors.AsType[settings.Errors](err); err == nil || placed {
			return err
		} // else something around the file has changed, and Parse says where it is named
	}
	if config, err = Parse(s.file, src); err != nil {
		return err
	}
	config.pending = needRestart(s.started, config)
	keepUntilRestart(s.started, config)
	return s.use(config, result)
}

// use builds a snapshot and puts it into use.
func (s *Server) use(config *Config, result *ReloadResult) error {
	snap, err := s.build(config)
	if err != nil {
		return err
	}
	out, closer, err := openLog(s.dir, &config.AccessLog, config.Log.Format)
	if err != nil {
		s.registry.Discard(snap.pools)
		s.discardScripts(snap)
		return err
	}
	s.access.setOutput(out, closer)
	old := s.current.Load()
	s.swap(snap)
	result.Changes = changes(old, snap)
	result.Warnings = append(slices.Clone(config.pending), scriptWarnings(config, snap.scripts, old.scripts)...)
	return nil
}

// swap puts a snapshot into use, and then retires what only the old one used.
func (s *Server) swap(snap *snapshot) {
	old := s.current.Load()
	if old != nil {
		snap.number = old.number
	}
	snap.number++
	s.limits.Store(newLimits(snap.config))
	s.current.Store(snap)
	s.limitMemory(snap)
	s.registry.Activate(snap.pools)
	s.retireScripts(old, snap)
}

func errorLines(err error) []string {
	if list, ok := errors.AsType[settings.Errors](err); ok {
		lines := make([]string, 0, len(list))
		for _, e := range list {
			lines = append(lines, e.Error())
		}
		return lines
	}
	return []string{err.Error()}
}

// changes compares two snapshots.
func changes(from, to *snapshot) []string {
	before, after := from.config, to.config
	var list []string
	if before == after { // Reload has found the same text
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
		case !reflect.DeepEqual(before.Tenants[at], after.Tenants[i]):
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
	a, b := *before, *after
	a.Tenants, b.Tenants = nil, nil
	a.sum, a.places, a.pending = b.sum, b.places, b.pending
	if !reflect.DeepEqual(a, b) {
		list = append(list, "settings outside tenants changed")
	}
	return list
}

// keepUntilRestart puts the values that are in use in the place of those that
// a reload can't change, so that nobody is shown what isn't so.
func keepUntilRestart(started, config *Config) {
	config.Server.Address, config.Server.Port = started.Server.Address, started.Server.Port
	config.Server.MaxConnections = started.Server.MaxConnections
	config.Server.MaxConnectionsPerAddress = started.Server.MaxConnectionsPerAddress
	config.Admin.Address, config.Admin.Enabled = started.Admin.Address, started.Admin.Enabled
	config.AdminBasePath, config.Log = started.AdminBasePath, started.Log
	if config.TLS.Enabled != started.TLS.Enabled {
		config.TLS = started.TLS
	}
}

// needRestart lists what a reload can't change.
func needRestart(before, after *Config) []string {
	var list []string
	for _, setting := range []struct {
		name string
		same bool
	}{
		{"server.address", before.Server.Address == after.Server.Address},
		{"server.max_connections", before.Server.MaxConnections == after.Server.MaxConnections},
		{"server.max_connections_per_address", before.Server.MaxConnectionsPerAddress == after.Server.MaxConnectionsPerAddress},
		{"tls.enabled", before.TLS.Enabled == after.TLS.Enabled},
		{"admin.address", before.Admin.Address == after.Admin.Address},
		{"admin_base_path", before.AdminBasePath == after.AdminBasePath},
		{"admin.enabled", before.Admin.Enabled == after.Admin.Enabled},
		{"log", before.Log == after.Log},
	} {
		if !setting.same {
			list = append(list, setting.name+" takes effect at the next start")
		}
	}
	return list
}
