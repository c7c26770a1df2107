package exchange

import (
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// certificateNames are the fields of RFC 9440.
var certificateNames = []string{"Client-Cert", "Client-Cert-Chain"}

// CertificateFields say by which fields a tenant's targets get the certificates of
// clients.
type CertificateFields struct {
	names      message.NameSet // those below, and those of RFC 9440
	own, chain []byte          // empty isn't sent
}

// NewCertificateFields returns fields of these names; "" is none.
func NewCertificateFields(own, chain string) *CertificateFields {
	return &CertificateFields{message.NewNameSet(append([]string{own, chain}, certificateNames...)), []byte(own), []byte(chain)}
}

// drop removes what isn't the gateway's.
func (c *CertificateFields) drop(h message.Header) {
	for i := range h {
		if f := &h[i]; f.ID == message.Unknown && c.names.Has(f.Name) {
			f.Dropped = true
		}
	}
}

// sendCertificate tells the target who the client has proven to be.
func (x *exchange) sendCertificate() {
	of := x.certificate()
	if of == nil {
		return
	}
	if len(x.certs.own) > 0 {
		x.send(x.certs.own, of.Field)
	}
	if len(x.certs.chain) > 0 && len(of.Chain) > 0 {
		x.send(x.certs.chain, of.Chain)
	}
}

// admitConnection refuses a request over a connection that wasn't accepted by the
// terms of its tenant: one for another host (RFC 9110 §15.5.20), for none, or
// without TLS.
func (x *exchange) admitConnection() error {
	t, accepted := x.Tenant, x.Client.Accepted
	switch {
	case t.Terms == nil:
		return nil
	case accepted != nil && !accepted.By(t.Terms, x.Start):
		return faultMisdirected
	case accepted == nil && t.Terms.Requires() && !t.WithoutTLS:
		return faultWithoutTLS
	case accepted == nil && x.origin.trusted:
		return nil // who has ended TLS says who the client is
	case t.Certificates != nil:
		x.certs = t.Certificates
		x.certs.drop(x.Message.Header)
	}
	return nil
}

// certificate is the client's, where its tenant asks for one; nil is none.
func (x *exchange) certificate() *message.Certificate {
	if x.certs == nil || x.Client.Accepted == nil {
		return nil
	}
	return x.Client.Accepted.Certificate()
}
