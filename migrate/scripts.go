package migrate

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy"
	"github.com/keystone-gateway/keystone-gateway/proxy/files"
)

var (
	asked = regexp.MustCompile(`\bget_env\s*\(?\s*["']([A-Za-z_][A-Za-z0-9_]*)["']`)
	calls = regexp.MustCompile(`\bhttp_(get|post)\b`)
)

// maxScript bounds what is read of a script, in bytes; none that was loaded is
// longer.
const maxScript = 1 << 20

// allowVariables lets scripts read the variables of the environment that they
// read by name: all were open to them. It reports whether it has changed the text.
func (m *migration) allowVariables(config *proxy.Config) (changed bool) {
	for tenant, list := range proxy.ScriptFiles(filepath.Join(filepath.Dir(m.file), fresh), config) {
		var names []string
		reaches := false
		for _, file := range list {
			source, err := files.Read(filepath.Clean(file), maxScript)
			if err != nil {
				continue
			}
			for _, match := range asked.FindAllSubmatch(source, -1) {
				names = append(names, string(match[1]))
			}
			reaches = reaches || calls.Match(source)
		}
		slices.Sort(names)
		changed = m.allow(tenant, slices.Compact(names)) || changed
		if reaches {
			m.note("tenant %q: http_get and http_post reach nothing on this machine unless its lua.http.allow names the address, as in [\"127.0.0.1:9001\"]", tenant)
		}
	}
	return changed
}

func (m *migration) allow(tenant string, names []string) bool {
	for i := range m.config.Tenants {
		if t := &m.config.Tenants[i]; t.Name == tenant {
			names = slices.DeleteFunc(names, func(name string) bool { return slices.Contains(t.Lua.Env, name) || t.Lua.Secrets[name] != "" })
		}
	}
	if len(names) == 0 {
		return false
	}
	list := strings.Join(names, ", ")
	for i := range m.config.Tenants {
		if t := &m.config.Tenants[i]; t.Name == tenant && !m.document.Has(&t.Lua) && m.insert(i, "lua: {env: ["+list+"]}") {
			m.change("tenant %q: lua.env lets its scripts read the environment's %s, which they name; all others are closed to them", tenant, list)
			return true
		}
	}
	m.note("tenant %q: its scripts read the environment's %s, which its lua.env must name", tenant, list)
	return false
}
