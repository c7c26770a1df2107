package proxy

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
	"github.com/keystone-gateway/keystone-gateway/tenants"
	"github.com/keystone-gateway/keystone-gateway/tenants/route"
)

// warnOfSocketFiles tells of Unix sockets that can't be where they are to be, on this
// machine, as it is now: they may be meant for another one.
func (c *Config) warnOfSocketFiles(doubt func(field any, format string, args ...any)) {
	look := func(field any, address string) {
		path, ok := listener.SocketPath(address)
		if !ok {
			return
		}
		if info, err := os.Stat(filepath.Dir(path)); errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
			doubt(field, "%q can't be listened on: there is no directory %q", address, filepath.Dir(path))
			return
		}
		if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket == 0 {
			doubt(field, "%q can't be listened on: there is a file that is no socket", address)
		}
	}
	for i := range c.listeners {
		field := any(&c.Server.Address)
		if len(c.Listeners) > 0 {
			field = &c.Listeners[i].Address
		}
		look(field, c.listeners[i].Address)
	}
	if c.Admin.Enabled {
		look(&c.Admin.Address, c.Admin.Address)
	}
}

// warnOfNames tells, of each tenant that is reached over TLS, which names have no
// certificate, so that their clients get the default one, if there is any.
func (c *Config) warnOfNames(doubt func(field any, format string, args ...any)) {
	if c.loaded == nil && !c.orders() {
		return
	}
	for i := range c.Tenants {
		t := &c.Tenants[i]
		if len(c.faults[i]) > 0 || !c.reachedByTLS(t) {
			continue
		}
		var without []string
		for _, domain := range t.Domains {
			if name, err := route.CanonicalDomain(domain); err == nil && !c.certified(t, name) {
				without = append(without, domain)
			}
		}
		if len(without) == 0 {
			continue
		}
		more := ""
		if len(without) > shownNames {
			without, more = without[:shownNames], " and others"
		}
		doubt(&t.Domains, "there is no certificate for %q%s of tenant %q: clients get one for another name, or none; expected one in certificates, or tls: auto", strings.Join(without, ", "), more, t.Name)
	}
}

// shownNames bounds the names of a warning.
const shownNames = 3

// reachedByTLS reports whether a tenant has a listener that speaks it.
func (c *Config) reachedByTLS(t *tenants.Config) bool {
	for i := range c.listeners {
		if l := &c.listeners[i]; l.TLS && (len(t.Listeners) == 0 || slices.Contains(t.Listeners, l.Name)) {
			return true
		}
	}
	return false
}

// certified reports whether there is, or will be, a certificate for a name of a tenant.
func (c *Config) certified(t *tenants.Config, name string) bool {
	if c.loaded != nil && c.loaded.set.Has(name) {
		return true
	}
	return c.Certificates.ACME != nil && t.TLS == tenants.TLSAuto // noteACMEDoubts tells what will not come
}
