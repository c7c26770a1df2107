package migrate

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
)

// Result is what a file has become.
type Result struct {
	Text []byte
	// Changes are what was changed in the text, Notes what is different now that
	// the text doesn't show; a sentence each.
	Changes, Notes []string
	// Left is what keeps the text from being used; nil is nothing.
	Left []string
}

// fresh is what errors call the new file, which lies beside the old one.
const fresh = "NEW"

// File makes a configuration of this version of src, the text of the
// configuration file of an earlier one. It looks at the scripts that it names. The
// error is why there is no text.
func File(file string, src []byte) (*Result, error) {
	if len(bytes.TrimSpace(src)) == 0 {
		return nil, fmt.Errorf("%s is empty: a shell empties a file that output goes to before anything is read, so NEW must be another file than OLD", file)
	}
	m := newMigration(file, src)
	if m.config.Compatibility != "" {
		return nil, fmt.Errorf("%s has the key compatibility: it is a file of this version already", file)
	}
	m.dropForeign()
	m.completeTenants()
	m.moveAdmin()
	m.addKey()
	config, left := m.parse()
	if config != nil && m.allowVariables(config) {
		config, left = m.parse()
	}
	m.noteDifferences(config)
	if config != nil {
		left = append(left, m.check(config)...)
	}
	return &Result{Text: m.text.bytes(), Changes: m.changes, Notes: m.notes, Left: unique(append(m.kept, left...))}, nil
}

// unique leaves out what has been said before.
func unique(list []string) []string {
	said := map[string]bool{}
	return slices.DeleteFunc(list, func(words string) bool {
		before := said[words]
		said[words] = true
		return before
	})
}

// migration is one file on its way.
type migration struct {
	file     string
	text     *text
	config   proxy.Config // of the old file, as far as it can be read
	document *settings.Document

	changes, notes, kept []string
	hadHost              map[string]bool // tenants, by their section, with the key host
}

func newMigration(file string, src []byte) *migration {
	m := &migration{file: file, text: newText(src), config: proxy.DefaultConfig()}
	m.document = settings.Decode(file, src, &m.config, anything)
	return m
}

// anything is the environment of a file that knew of none.
func anything(string) (string, bool) { return "", true }

func (m *migration) change(format string, args ...any) {
	m.changes = append(m.changes, fmt.Sprintf(format, args...))
}

func (m *migration) note(format string, args ...any) {
	m.notes = append(m.notes, fmt.Sprintf(format, args...))
}

// guarding are keys of tenants that may have decided who is let in: without them
// the tenant would be open.
var guarding = []string{"route_groups", "lua_script", "middleware", "pattern", "handler", "method"}

// dropForeign makes comments of the keys that are none here. The earlier Keystone
// Gateway passed over what it didn't know.
func (m *migration) dropForeign() {
	hosts, done := m.hosts(), map[place]bool{} // an alias repeats what stands in one place
	for _, key := range m.document.Unknown() {
		where, inTenant, at := key.Key, strings.HasPrefix(key.Section, "tenants["), place{key.Line, key.Column}
		if key.Section != "" {
			where = key.Section + "." + key.Key
		}
		says := cmp.Or(key.Instead, "the earlier Keystone Gateway passed it over")
		switch {
		case done[at]:
		case hosts[at] && m.text.rename(key.Line, key.Column, "host", "domains"):
			m.change("line %d: %s is domains now", key.Line, where)
		case hosts[at]:
			m.kept = append(m.kept, fmt.Sprintf("line %d of OLD: %s stays, since without it the tenant is served on every host; write it as domains: [NAME]", key.Line, where))
			continue
		case inTenant && slices.Contains(guarding, key.Key):
			m.kept = append(m.kept, fmt.Sprintf("line %d of OLD: %s stays, since without it the tenant may be open to everybody; %s", key.Line, where, says))
		case m.text.comment(key.Line, key.Column):
			m.change("line %d: %s is a comment now; %s", key.Line, where, says)
		default:
			m.kept = append(m.kept, fmt.Sprintf("line %d of OLD: take out %s, which stands within other things; %s", key.Line, where, says))
		}
		done[at] = !slices.Contains(guarding, key.Key)
	}
}

// place is where a key stands.
type place struct{ line, column int }

// hosts are the places of the keys host by which a tenant is told apart: it has
// no domains.
func (m *migration) hosts() map[place]bool {
	found := map[place]bool{}
	m.hadHost = map[string]bool{}
	domains := map[string]bool{}
	for i := range m.config.Tenants {
		domains[section(i)] = len(m.config.Tenants[i].Domains) > 0
	}
	for _, key := range m.document.Unknown() {
		if has, inTenant := domains[key.Section]; key.Key == "host" && inTenant {
			m.hadHost[key.Section] = true
			if !has {
				found[place{key.Line, key.Column}] = true
			}
		}
	}
	return found
}

// section is what errors call a tenant's.
func section(tenant int) string { return fmt.Sprintf("tenants[%d]", tenant) }

// completeTenants gives tenants without a match the one that they had: all that
// no other has.
func (m *migration) completeTenants() {
	for i := range m.config.Tenants {
		t := &m.config.Tenants[i]
		if t.PathPrefix != "" || len(t.Domains) > 0 || m.document.Has(&t.Domains) || m.hadHost[section(i)] {
			continue
		}
		if m.insert(i, `path_prefix: "/"`) {
			m.change("tenant %q, which has neither domains nor path_prefix, has the path_prefix \"/\": all requests that no other tenant has", t.Name)
		}
	}
}

// insert adds a line to a tenant, behind its name.
func (m *migration) insert(tenant int, line string) bool {
	at, _ := m.document.Position(&m.config.Tenants[tenant].Name)
	return m.text.insert(at, "name", line)
}

// moveAdmin leaves the admin API's paths to the default where they were everybody's.
func (m *migration) moveAdmin() {
	base := &m.config.AdminBasePath
	if *base != "/" {
		return
	}
	at, _ := m.document.Position(base)
	if m.text.comment(at, 1) {
		*base = proxy.DefaultConfig().AdminBasePath
		m.change("line %d: admin_base_path is a comment now: health is at %s/health, for / is the tenants'", at, *base)
	}
}

// addKey adds what makes it a file of this version.
func (m *migration) addKey() {
	m.text.begin(
		"# Made of "+oneLine(filepath.Base(m.file))+" by keystone-gateway migrate; docs/migration.md says what differs.",
		"compatibility: "+proxy.Keystone1,
	)
	m.change("compatibility: %s keeps what the file relied on: responses are compressed where it doesn't say otherwise, /health/ is /health, and %s/health answers on the public port", proxy.Keystone1, m.config.AdminBasePath)
}

// parse checks the text as it is now. config is nil where none of it can be used.
func (m *migration) parse() (config *proxy.Config, left []string) {
	config, err := proxy.Parse(filepath.Join(filepath.Dir(m.file), fresh), m.text.bytes())
	if err == nil {
		err = config.Err()
	}
	return config, lines(err)
}

// check looks at the scripts.
func (m *migration) check(config *proxy.Config) (left []string) {
	warnings, err := proxy.CheckScripts(filepath.Join(filepath.Dir(m.file), fresh), config)
	for _, warning := range warnings {
		switch {
		case strings.Contains(warning, "returns a function") || strings.Contains(warning, "returns a table"):
			left = append(left, warning) // what it was to guard is open
		case !strings.HasSuffix(warning, "no tenant uses this script"):
			m.note("%s", warning)
		case strings.HasPrefix(filepath.Base(warning), "global-"):
			m.note("%s: name it in lua_routing.global_scripts, if it is for all", warning)
		}
	}
	return append(left, lines(err)...)
}

// lines words an error, but for the keys that dropForeign has said something of.
func lines(err error) []string {
	list, ok := errors.AsType[settings.Errors](err)
	switch {
	case err == nil:
		return nil
	case !ok:
		return []string{err.Error()}
	}
	var words []string
	for i := range list {
		if !list[i].Migrates {
			words = append(words, list[i].Error())
		}
	}
	return words
}

// oneLine keeps a file's name within a comment.
func oneLine(name string) string { return strings.NewReplacer("\n", " ", "\r", " ").Replace(name) }

// exists reports whether there is a file.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
