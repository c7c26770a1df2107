package proxy

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
	"github.com/keystone-gateway/keystone-gateway/proxy/files"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener/acme"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants"
	"github.com/keystone-gateway/keystone-gateway/tenants/route"
)

// orders reports whether certificates are ordered for any tenant.
func (c *Config) orders() bool {
	if c.Certificates.ACME == nil {
		return false
	}
	for i := range c.Tenants {
		if c.Tenants[i].TLS == tenants.TLSAuto {
			return true
		}
	}
	return false
}

// maxRoots bounds the file of an authority's roots.
const maxRoots = 4 << 20

// checkACME reports what is wrong with the section and with the tenants that need
// it. Nobody is asked anything: the authority may be down.
func (c *Config) checkACME(dir string, r *settings.Document, own func(index int) settings.Reporter) {
	for i := range c.Tenants {
		t := &c.Tenants[i]
		switch {
		case t.TLS == "":
		case t.TLS != tenants.TLSAuto:
			own(i).Errorf(&t.TLS, "tls %q is unknown, expected auto", t.TLS)
		case c.Certificates.ACME == nil:
			own(i).Errorf(&t.TLS, "tls: auto of tenant %q needs certificates.acme, expected that section, with the authority's terms read: certificates: {acme: {email: you@example.com}}", t.Name)
		case !c.speaksTLS():
			own(i).Errorf(&t.TLS, "tls: auto of tenant %q is for a listener with TLS, and there is none, expected tls: {enabled: true}, or tls: true of one of listeners", t.Name)
		}
	}
	a := c.Certificates.ACME
	if a == nil {
		return
	}
	a.Check(r)
	if a.Shared && c.Store.Redis == nil {
		r.Errorf(&a.Shared, "shared is for gateways with a store, and there is none, expected the section store with redis")
	}
	if err := a.DNS.CheckCommand(dir); err != nil {
		r.Errorf(&a.DNS.Command, "%v", cause.Of(err))
	}
	if info, err := os.Stat(inDir(dir, a.Storage)); err == nil && !info.IsDir() {
		r.Errorf(&a.Storage, "storage %q is not a directory, expected one, or a path where one can be made", a.Storage)
	}
	if _, err := c.authorityRoots(dir); err != nil {
		r.Errorf(&a.CARootsFile, "%v", cause.Of(err))
	}
}

// noteACMEDoubts finds names for which no certificate will come.
func (c *Config) noteACMEDoubts(doubt func(field any, format string, args ...any)) {
	a := c.Certificates.ACME
	if a == nil {
		return
	}
	if !c.orders() {
		doubt(a, "certificates.acme is set, and no tenant has tls: auto, so that nothing is ordered")
	}
	asked := func(tenant string, scripted bool, field any, format string, args ...any) {
		at := len(c.warnings)
		if doubt(field, format, args...); scripted { // whether they have a say is known when they are loaded
			c.unasked[tenant] = append(c.unasked[tenant], c.warnings[at:]...)
			c.warnings = c.warnings[:at]
		}
	}
	var usual acme.Config
	if usual.SetDefaults(); a.OnDemand != usual.OnDemand && a.OnDemand.Ask == "" {
		asked("", slices.ContainsFunc(c.Tenants, func(t tenants.Config) bool { return c.scripted(&t) }), &a.OnDemand,
			"certificates.acme.on_demand orders nothing: it has no ask, and no script's chi_tls_ask says which names may have a certificate")
	}
	for i := range c.Tenants {
		t := &c.Tenants[i]
		if t.TLS != tenants.TLSAuto || len(c.faults[i]) > 0 {
			continue
		}
		if len(t.Domains) == 0 && a.OnDemand.Ask == "" {
			asked(t.Name, c.scripted(t), &t.TLS, "tls: auto of tenant %q gets no certificate: it has no domains, and neither certificates.acme.on_demand.ask nor a script's chi_tls_ask says which names may have one", t.Name)
		}
		for j, domain := range t.Domains {
			name, err := route.CanonicalDomain(domain)
			switch {
			case err != nil:
			case !acme.Certifiable(name):
				doubt(&t.Domains[j], "%q of tenant %q gets no certificate: it is no name of the DNS that an authority certifies", domain, t.Name)
			case strings.HasPrefix(name, "*.") && !a.Uses(acme.DNS01) && a.OnDemand.Ask == "":
				asked(t.Name, c.scripted(t), &t.Domains[j], "%q of tenant %q gets no certificate: a wildcard needs certificates.acme.dns.command, and a name below it certificates.acme.on_demand.ask or a script's chi_tls_ask", domain, t.Name)
			}
		}
	}
}

// names is the table of the hosts that the snapshot's tenants have.
func (s *snapshot) names() *acme.Names {
	list := make([]acme.Tenant, 0, len(s.tenants))
	for _, t := range s.tenants {
		one := acme.Tenant{Name: t.Name, Auto: t.Config.TLS == tenants.TLSAuto, Ask: s.askOf(t)}
		for _, domain := range t.Config.Domains {
			if name, err := route.CanonicalDomain(domain); err == nil { // else the tenant is refused, and for no host
				one.Domains = append(one.Domains, name)
			}
		}
		if len(one.Domains) > 0 || len(t.Config.Domains) == 0 {
			list = append(list, one)
		}
	}
	return acme.NewNames(list)
}

// askOf is how a tenant's scripts say which names may have a certificate; nil is not
// at all.
func (s *snapshot) askOf(t *tenant) acme.Ask {
	switch {
	case t.Scripts != nil && t.Scripts.TLSAskAt() != "":
		return t.Scripts.TLSAsk
	case t.Scripts == nil && s.config.scripted(t.Config): // what they would say isn't known
		return func(context.Context, string) (bool, error) {
			return false, errors.New("the tenant's scripts are not in use, which may have a say")
		}
	}
	return nil
}

// scripted reports whether a tenant is to have scripts.
func (c *Config) scripted(t *tenants.Config) bool {
	return len(t.LuaRoutes) > 0 || c.LuaRouting.Enabled && len(c.LuaRouting.GlobalScripts) > 0
}

// askedInVain says why nobody will ask what a tenant's scripts declare; "" is that
// somebody may, or that they declare nothing.
func (c *Config) askedInVain(t *tenants.Config, scripts *lua.Scripts) string {
	wild := func(domain string) bool { return strings.HasPrefix(domain, "*.") }
	switch at := scripts.TLSAskAt(); {
	case at == "":
	case c.Certificates.ACME == nil || t.TLS != tenants.TLSAuto:
		return at + ": chi_tls_ask is never asked here: no certificates are ordered for the tenant, which has no tls: auto"
	case len(t.Domains) > 0 && !slices.ContainsFunc(t.Domains, wild):
		return at + ": chi_tls_ask is never asked here: the tenant's domains are spelt out, and get their certificates without"
	}
	return ""
}

// whoIsAsked has the places of chi_tls_ask that are asked for some tenant: a script
// that all have needn't be for each.
func (c *Config) whoIsAsked(all map[string]*lua.Scripts) map[string]bool {
	asked := map[string]bool{}
	for i := range c.Tenants {
		if scripts := all[c.Tenants[i].Name]; scripts != nil && c.askedInVain(&c.Tenants[i], scripts) == "" {
			asked[scripts.TLSAskAt()] = true
		}
	}
	return asked
}

// askWarnings are those about certificates on demand that scripts which are not in
// known could have made groundless, and haven't.
func (c *Config) askWarnings(all, known map[string]*lua.Scripts) (list []string) {
	somebody := known != nil // has been told already
	for i := range c.Tenants {
		name := c.Tenants[i].Name
		scripts := all[name]
		switch {
		case scripts == nil:
			somebody = somebody || c.scripted(&c.Tenants[i])
		case scripts.TLSAskAt() != "":
			somebody = true
		case known[name] != scripts:
			list = append(list, c.unasked[name]...)
		}
	}
	if !somebody {
		list = append(list, c.unasked[""]...)
	}
	for i := range list {
		list[i] = c.redactor.Redact(list[i])
	}
	return list
}

// ACME returns who orders certificates.
func (s *Server) ACME() *acme.Manager { return s.acme }

// authorityRoots reads the file of what has signed the authority's own certificate;
// nil without one.
func (c *Config) authorityRoots(dir string) ([]byte, error) {
	file := c.Certificates.ACME.CARootsFile
	if file == "" {
		return nil, nil
	}
	text, err := files.Read(filepath.Clean(inDir(dir, file)), maxRoots)
	if err != nil {
		if wrapped, ok := errors.AsType[*fs.PathError](err); ok {
			err = wrapped.Err
		}
		return nil, fmt.Errorf("cannot read ca_roots_file %q: %w", file, err)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("ca_roots_file %q has no certificate, expected at least one PEM block CERTIFICATE", file)
	}
	return text, nil
}
