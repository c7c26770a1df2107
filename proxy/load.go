package proxy

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/keystone-gateway/keystone-gateway/proxy/files"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

// maxConfig bounds a configuration file.
const maxConfig = 16 << 20

// Load reads and checks a configuration file. The error is why no tenant can be
// served by it: settings.Errors where the file could be read. What is wrong with
// single tenants is in the configuration's Err.
func Load(file string) (*Config, error) {
	src, err := ReadConfig(file)
	if err != nil {
		return nil, err
	}
	return Parse(file, src)
}

// Parse checks the text of a configuration file. file is named in errors, and
// relative paths in the text start from its directory. Scripts are loaded by New
// and Reload; here they are only read and compiled, and only if there is an
// error, so that theirs are reported with it.
func Parse(file string, src []byte) (*Config, error) {
	return parse(file, src, newInputs(filepath.Dir(file)))
}

// parse reads what the configuration names by way of named, which knows of it also
// if there is an error.
func parse(file string, src []byte, named *inputs) (*Config, error) {
	config := DefaultConfig()
	config.inputs = named
	defer named.forget()
	document := settings.DecodeWith(file, src, &config, settings.Variables{Env: os.LookupEnv, File: named.secret, Unset: ofRequests})
	config.beCompatible(filepath.Dir(file), document.Has)
	config.inherit(document)
	config.listListeners(document)
	config.Check(filepath.Dir(file), document, document.Has)
	config.loadNamed(document)
	own, rest := document.Split(tenantsKey)
	for i := range own {
		if config.nameless(i) { // nobody can say which tenant it is that would have to be kept
			rest = append(rest, own[i]...)
		}
	}
	if len(rest) > 0 || len(own) >= len(config.Tenants) && len(own) > 0 { // nothing will be built, so this is where the others are looked for
		tenants.CheckMatches(config.Tenants, document)
		config.checkSyntax(filepath.Dir(file), document, nil)
		return nil, document.Err()
	}
	config.notePlaces(file, document)
	config.noteFaults(own, document)
	config.noteWarnings(document)
	config.sum = sha256.Sum256(src)
	if most := config.Server.MaxConnections; most > 0 && !document.Has(&config.Server.MaxConnectionsPerAddress) {
		config.Server.MaxConnectionsPerAddress = shareOfOne(most)
	}
	if config.Server.Port != "" {
		config.Server.Address = ":" + config.Server.Port
	}
	return &config, nil
}

// ofRequests says of a name where it is a variable of each request.
func ofRequests(name string) string {
	if slices.Contains((*policy.Template)(nil).LaterVariables(), name) {
		return "; ${" + name + "} is known of each request, in the values that the policy headers sets and adds, and nowhere else"
	}
	return ""
}

// tenantsKey is the key of Config.Tenants.
const tenantsKey = "tenants"

// nameless reports whether a tenant can't be known by its name.
func (c *Config) nameless(index int) bool {
	return index >= len(c.Tenants) || !tenants.ValidName(c.Tenants[index].Name)
}

// noteFaults remembers what is wrong with single tenants, and looks at the
// scripts of those, which won't be loaded.
func (c *Config) noteFaults(own map[int]settings.Errors, document *settings.Document) {
	if len(own) == 0 {
		return
	}
	c.checkSyntax(filepath.Dir(c.file), document, own)
	c.faults, _ = document.Split(tenantsKey)
	c.unmatched = map[int]bool{}
	for i := range own {
		if t := &c.Tenants[i]; len(t.Domains) == 0 && document.Has(&t.Domains) {
			c.unmatched[i] = true
		}
	}
}

// Err returns what is wrong with single tenants, as far as it shows without
// loading their scripts: settings.Errors, or nil. Each such tenant is left with
// its last good generation, or refused.
func (c *Config) Err() error {
	var all settings.Errors
	for i := range c.Tenants {
		all = append(all, c.faults[i]...)
	}
	if len(all) == 0 {
		return nil
	}
	return all.Bounded(c.file)
}

// ReadConfig returns the text of a configuration file.
func ReadConfig(file string) ([]byte, error) {
	src, err := files.Read(filepath.Clean(file), maxConfig)
	if errors.Is(err, files.ErrTooLarge) {
		return nil, fmt.Errorf("configuration %q is too large, expected at most %d bytes", file, maxConfig)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open the configuration: %w", err)
	}
	return src, nil
}
