package upstream

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
)

// maxPEM bounds a file with certificates or a key, in bytes.
const maxPEM = 1 << 20

// tlsMaterial is what the files of a TLSConfig hold. A last good generation has
// its own, whatever has become of the files.
type tlsMaterial struct{ ca, cert, key []byte }

// ReadFile returns the content of a file of at most limit bytes. Its error says
// why not, without the path.
type ReadFile func(path string, limit int64) ([]byte, error)

// Load reads the section's files and reports what is wrong with it.
func (c *TLSConfig) Load(read ReadFile, r settings.Reporter) {
	c.material = tlsMaterial{}
	if c.ServerName != "" {
		if a, err := ParseAddress("https://" + bracketed(c.ServerName)); err != nil || a.Port != 443 || a.BasePath != "" {
			r.Errorf(&c.ServerName, "server_name %q is not a host name or an IP address, expected one like shop.internal", c.ServerName)
		}
	}
	if c.CAFile != "" {
		content, err := read(c.CAFile, maxPEM)
		if err == nil {
			_, err = authorities(content)
		}
		if err != nil {
			r.Errorf(&c.CAFile, "ca_file %q can't be used: %v", c.CAFile, err)
		}
		c.material.ca = bytes.Clone(content)
	}
	c.ClientCertificate.load(read, r, &c.material)
}

func (c *ClientCertificateConfig) load(read ReadFile, r settings.Reporter, to *tlsMaterial) {
	if c.CertFile == "" && c.KeyFile == "" {
		return
	}
	if c.CertFile == "" || c.KeyFile == "" {
		field, other := &c.CertFile, "key_file"
		if c.CertFile == "" {
			field, other = &c.KeyFile, "cert_file"
		}
		r.Errorf(field, "client_certificate has no %s, expected both cert_file and key_file", other)
		return
	}
	cert, err := read(c.CertFile, maxPEM)
	if err != nil {
		r.Errorf(&c.CertFile, "cert_file %q can't be used: %v", c.CertFile, err)
		return
	}
	key, err := read(c.KeyFile, maxPEM)
	if err != nil {
		r.Errorf(&c.KeyFile, "key_file %q can't be used: %v", c.KeyFile, err)
		return
	}
	if _, err := tls.X509KeyPair(cert, key); err != nil {
		r.Errorf(&c.CertFile, "cert_file %q with key_file %q can't be used: %s", c.CertFile, c.KeyFile, cause.Text(err))
		return
	}
	to.cert, to.key = bytes.Clone(cert), bytes.Clone(key)
}

// bracketed puts an IPv6 address into brackets.
func bracketed(host string) string {
	if strings.Count(host, ":") > 1 && !strings.HasPrefix(host, "[") {
		return "[" + host + "]"
	}
	return host
}

// authorities reads certificates, all of which must be readable.
func authorities(content []byte) (*x509.CertPool, error) {
	pool, found := x509.NewCertPool(), 0
	for rest := content; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return nil, errors.New("it holds a private key, expected certificates only")
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		found++
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("its certificate number %d can't be read: %s", found, cause.Text(err))
		}
		pool.AddCert(certificate)
	}
	if found == 0 {
		return nil, errors.New("it holds no certificate, expected some as PEM (-----BEGIN CERTIFICATE-----)")
	}
	return pool, nil
}

// targetTLS is how TLS is spoken with a target; immutable.
type targetTLS struct {
	config  *tls.Config // for HTTP/1
	configs [overs]*tls.Config
	shared  bool              // HTTP/2 is spoken, or offered
	sum     [sha256.Size]byte // of all that it was made of
	caFile  string            // "": the system's
}

// newTargetTLS is nil for targets without TLS.
func newTargetTLS(c *TLSConfig, address Address, roots *x509.CertPool) (*targetTLS, error) {
	if !address.Secure() {
		return nil, nil //nolint:nilnil // none, and no error
	}
	t := &targetTLS{caFile: c.CAFile, config: &tls.Config{
		RootCAs:            roots,
		ServerName:         address.ServerName,
		NextProtos:         []string{"http/1.1"},
		MinVersion:         tls.VersionTLS12,
		ClientSessionCache: tls.NewLRUClientSessionCache(4),
		InsecureSkipVerify: c.InsecureSkipVerify, // #nosec G402 -- the operator asks for it, and is warned
	}}
	if c.ServerName != "" {
		t.config.ServerName = strings.Trim(c.ServerName, "[]")
	}
	m := &c.material
	if c.CAFile != "" {
		pool, err := authorities(m.ca)
		if err != nil {
			return nil, fmt.Errorf("ca_file %q can't be used: %w", c.CAFile, err)
		}
		t.config.RootCAs = pool
	}
	if c.ClientCertificate.CertFile != "" {
		pair, err := tls.X509KeyPair(m.cert, m.key)
		if err != nil {
			return nil, fmt.Errorf("cert_file %q can't be used: %s", c.ClientCertificate.CertFile, cause.Text(err))
		}
		// Sent whatever authorities the target lists: a list may be incomplete, and
		// a certificate that it refuses makes a better error than none.
		t.config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	t.shared = address.HTTP2() || c.HTTP2
	t.configs = [overs]*tls.Config{t.config, t.config.Clone()}
	t.configs[overHTTP2].NextProtos = []string{"h2"}
	if !address.HTTP2() {
		t.configs[overHTTP2].NextProtos = []string{"h2", "http/1.1"}
	}
	t.sum = sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q %q %v %v", c.CAFile, t.config.ServerName, m.ca, m.cert, m.key, c.InsecureSkipVerify, t.shared))
	return t, nil
}

// same reports whether connections under both are the same; nil is no TLS.
func (t *targetTLS) same(other *targetTLS) bool {
	return t == other || t != nil && other != nil && t.sum == other.sum
}

// state is how the admin API calls it.
func (t *targetTLS) state() string {
	switch {
	case t == nil:
		return "none"
	case t.config.InsecureSkipVerify:
		return "unverified"
	}
	return "verified"
}

// tlsWarnings says what about a service's TLS is allowed and seldom meant.
func (c *TLSConfig) warnings(service string, now time.Time) (list []string) {
	if c.InsecureSkipVerify {
		list = append(list, fmt.Sprintf("insecure_skip_verify: the certificate of service %s is not verified, anybody on the way can read and change what is sent", service))
	}
	block, _ := pem.Decode(c.material.cert)
	if block == nil {
		return list
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	switch {
	case err != nil:
	case now.After(certificate.NotAfter):
		list = append(list, fmt.Sprintf("the client certificate %q for service %s has expired on %s", c.ClientCertificate.CertFile, service, day(certificate.NotAfter)))
	case now.Before(certificate.NotBefore):
		list = append(list, fmt.Sprintf("the client certificate %q for service %s isn't valid before %s", c.ClientCertificate.CertFile, service, day(certificate.NotBefore)))
	}
	return list
}
