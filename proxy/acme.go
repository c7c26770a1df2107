package proxy

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

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
	for i := range c.Tenants {
		t := &c.Tenants[i]
		if t.TLS != tenants.TLSAuto || len(c.faults[i]) > 0 {
			continue
		}
		if len(t.Domains) == 0 && a.OnDemand.Ask == "" {
			doubt(&t.TLS, "tls: auto of tenant %q gets no certificate: it has no domains, and certificates.acme.on_demand has no ask", t.Name)
		}
		for j, domain := range t.Domains {
			name, err := route.CanonicalDomain(domain)
			switch {
			case err != nil:
			case !acme.Certifiable(name):
				doubt(&t.Domains[j], "%q of tenant %q gets no certificate: it is no name of the DNS that an authority certifies", domain, t.Name)
			case strings.HasPrefix(name, "*.") && !a.Uses(acme.DNS01) && a.OnDemand.Ask == "":
				doubt(&t.Domains[j], "%q of tenant %q gets no certificate: a wildcard needs certificates.acme.dns.command, and a name below it on_demand.ask", domain, t.Name)
			}
		}
	}
}

// names is the table of the hosts that the snapshot's tenants have.
func (s *snapshot) names() *acme.Names {
	list := make([]acme.Tenant, 0, len(s.tenants))
	for _, t := range s.tenants {
		one := acme.Tenant{Name: t.Name, Auto: t.Config.TLS == tenants.TLSAuto}
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
