package proxy

import (
	"fmt"
	"slices"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener/certificates"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
)

// loadedCertificates is what Check has read, until the configuration is built.
type loadedCertificates struct{ set *certificates.Set }

// certificateSource is where certificates are: that of the section tls is the
// default.
func (c *Config) certificateSource(dir string) certificates.Source {
	source := c.Certificates.Source(func(path string) string { return inDir(dir, path) })
	if c.TLS.CertFile != "" {
		source.Files = slices.Insert(source.Files, 0, certificates.Pair{Cert: inDir(dir, c.TLS.CertFile), Key: inDir(dir, c.TLS.KeyFile)})
	}
	source.Files = append(source.Files, c.besides.pairs()...)
	return source
}

// checkCertificates reads all that there are, and reports what is wrong with
// those that the file lists. What is in directories may be wrong, as long as
// there is a certificate at all.
func (c *Config) checkCertificates(dir string, r *settings.Document) {
	if !c.speaksTLS() {
		return
	}
	source := c.certificateSource(dir)
	switch {
	case (c.TLS.CertFile == "") != (c.TLS.KeyFile == ""):
		r.Errorf(c.tlsKey(), "tls is enabled with cert_file %q and key_file %q, expected both", c.TLS.CertFile, c.TLS.KeyFile)
		return
	case len(source.Files)+len(source.Directories) == 0:
		if !c.orders() {
			r.Errorf(c.tlsKey(), "tls is enabled without a certificate, expected both cert_file and key_file, or certificates, or tenants with tls: auto")
		}
		return
	}
	incomplete := false
	for i := range c.Certificates.Files {
		if f := &c.Certificates.Files[i]; f.Cert == "" || f.Key == "" {
			incomplete = true
			r.Errorf(f, "certificates.files has cert %q and key %q, expected both", f.Cert, f.Key)
		}
	}
	if incomplete {
		return
	}
	set := certificates.Load(source, nil, false)
	c.loaded = &loadedCertificates{set}
	wrong := false
	for i := range set.Problems {
		if field := c.fieldOf(dir, &set.Problems[i]); field != nil {
			wrong = true
			r.Errorf(field, "%s", problemText(&set.Problems[i]))
		}
	}
	if len(set.All()) == 0 && !wrong && !c.orders() {
		r.Errorf(&c.Certificates.Directories, "certificates.directories have no certificate that can be used, and there is none besides, expected one")
	}
}

// fieldOf is what names the files that a problem is about; nil is a directory in
// which they are.
func (c *Config) fieldOf(dir string, p *certificates.Problem) any {
	if p.Pair.Key == "" {
		for i := range c.Certificates.Directories {
			if inDir(dir, c.Certificates.Directories[i]) == p.Pair.Cert {
				return &c.Certificates.Directories[i]
			}
		}
	}
	at := p.Listed
	if c.TLS.CertFile != "" && at >= 0 {
		if at--; at < 0 {
			return &c.TLS.CertFile
		}
	}
	if at < 0 {
		return nil
	}
	return &c.Certificates.Files[at].Cert
}

// problemText is a problem in our own words.
func problemText(p *certificates.Problem) string {
	told := *p
	told.Err = cause.Of(p.Err)
	return told.Error()
}

// noteCertificateDoubts finds what is wrong in directories.
func (c *Config) noteCertificateDoubts(doubt func(field any, format string, args ...any)) {
	if c.loaded == nil {
		return
	}
	for i := range c.loaded.set.Problems {
		doubt(&c.Certificates.Directories, "%s", problemText(&c.loaded.set.Problems[i]))
	}
}

// loadCertificates is a part of build. What is in use and has not changed is
// taken over; the error is about a pair that the file lists.
func (s *Server) loadCertificates(c *Config) (*certificates.Set, error) {
	last := s.certificates.Current()
	if c.loaded != nil {
		if last == nil {
			last = c.loaded.set
		}
		c.loaded = nil
	}
	set := certificates.Load(c.certificateSource(s.dir), last, false)
	for i := range set.Problems {
		if p := &set.Problems[i]; p.Listed >= 0 {
			return nil, p
		}
	}
	return set, nil
}

// useCertificates puts those of a snapshot into use.
func (s *Server) useCertificates(snap *snapshot) {
	if snap.certificates == nil {
		return
	}
	s.certificates.Use(snap.asked.certificateSource(s.dir), snap.certificates)
	s.logCertificates(certificates.Change{Broken: snap.certificates.Problems})
}

// Certificates returns the certificates that are in use; nil is none.
func (s *Server) Certificates() *certificates.Set { return s.certificates.Current() }

// loggedCertificates bounds the lines about single ones at once.
const loggedCertificates = 20

// logCertificates tells what has become of files.
func (s *Server) logCertificates(change certificates.Change) {
	for _, c := range change.Taken[:min(len(change.Taken), loggedCertificates)] {
		s.log.Info().Str("cert", c.Pair.Cert).Strs("names", c.Names[:min(len(c.Names), loggedCertificates)]).Stringer("kind", c.Kind).
			Time("not_after", c.NotAfter).Msg("a certificate has been taken up")
	}
	for _, pair := range change.Gone[:min(len(change.Gone), loggedCertificates)] {
		s.log.Info().Str("cert", pair.Cert).Msg("a certificate's files are gone, it is no longer used")
	}
	for i := range change.Broken[:min(len(change.Broken), loggedCertificates)] {
		p := &change.Broken[i]
		words := "clients get no certificate of a pair of files: it can't be used"
		if p.Kept {
			words = "clients get a certificate as it was: what is in its files now can't be used"
		}
		s.log.Error().Str("error", problemText(p)).Bool("old_one_stays", p.Kept).Msg(words)
	}
	if n := max(len(change.Taken), len(change.Gone), len(change.Broken)); n > loggedCertificates {
		s.log.Warn().Str("changes", fmt.Sprintf("%d taken up, %d gone, %d broken", len(change.Taken), len(change.Gone), len(change.Broken))).
			Msg("certificates have changed, the first of each are logged")
	}
}

// logStaple tells why clients get no response of OCSP with a certificate, or soon
// won't.
func (s *Server) logStaple(c *certificates.Certificate, err error) {
	s.log.Error().Str("cert", c.Pair.Cert).Strs("names", c.Names[:min(len(c.Names), loggedCertificates)]).Str("error", cause.Text(err)).
		Msg("clients get the certificate's last OCSP answer until that ends, and then none: its responder can't be used")
}
