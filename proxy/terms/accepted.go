package terms

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"math"
	"sync/atomic"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// Accepted says by which terms a connection was accepted, and what its client has
// shown. Begin and End belong to the handshake; By may be called at once by all
// requests of the connection. The zero value is that of a connection without TLS.
type Accepted struct {
	terms       *Terms
	trust       atomic.Pointer[trust] // the last that found the certificate good
	sent        []*x509.Certificate   // by the client, its own first
	until       int64                 // when the first of them ends, as the gateway's clock counts
	certificate *message.Certificate
}

// Begin notes that a connection is judged by these terms, and returns the
// configuration of its handshake, with that list of Base.Protocols. It allocates
// nothing.
func (t *Terms) Begin(a *Accepted, protocols int) *tls.Config {
	current := t.trust.Load()
	a.terms = t
	a.trust.Store(current)
	return current.configs[protocols]
}

// Asks reports whether the client was asked for a certificate.
func (a *Accepted) Asks() bool { return a.terms != nil && a.terms.ask.Auth != None }

// End notes what the handshake has found. now is the time by the clock of By.
func (a *Accepted) End(state *tls.ConnectionState, now int64) {
	if len(state.PeerCertificates) == 0 {
		return
	}
	a.sent = state.PeerCertificates
	chains, at := state.VerifiedChains, time.Now()
	if state.DidResume {
		chains, _ = a.trust.Load().chains(a.sent, at)
	}
	chain, err := a.trust.Load().unrevoked(chains, at)
	if err != nil { // it has ended since the handshake looked
		a.until = math.MinInt64
		return
	}
	a.certificate = certificateOf(chain)
	a.until = math.MaxInt64
	for _, c := range chain {
		if left := int64(c.NotAfter.Sub(at)); left < math.MaxInt64-now {
			a.until = min(a.until, now+left)
		}
	}
}

// Certificate is the client's; nil is none.
func (a *Accepted) Certificate() *message.Certificate { return a.certificate }

// By reports whether a request for whoever has these terms may come over the
// connection: whether it was accepted by them, and its certificate is still good.
// It allocates nothing, unless the terms' files have changed since.
func (a *Accepted) By(t *Terms, now int64) bool {
	if a.terms != t {
		return false
	}
	if a.sent == nil {
		return true
	}
	if a.certificate == nil || now > a.until {
		return false
	}
	current := t.trust.Load()
	return current == a.trust.Load() || a.again(current)
}

// again judges the certificate by what the terms' files hold now.
func (a *Accepted) again(by *trust) bool {
	at := time.Now()
	chains, err := by.chains(a.sent, at)
	if err == nil {
		_, err = by.unrevoked(chains, at)
	}
	if err != nil {
		return false
	}
	a.trust.Store(by)
	return true
}

// certificateOf says who a chain's first certificate is for.
func certificateOf(chain []*x509.Certificate) *message.Certificate {
	c := chain[0]
	sum := sha256.Sum256(c.Raw)
	of := &message.Certificate{
		Subject: c.Subject.String(), Issuer: c.Issuer.String(),
		Serial: hex.EncodeToString(c.SerialNumber.Bytes()), Fingerprint: hex.EncodeToString(sum[:]),
		DNSNames: c.DNSNames, Emails: c.EmailAddresses, NotBefore: c.NotBefore, NotAfter: c.NotAfter,
		Field: appendBytes(nil, c.Raw),
	}
	for _, ip := range c.IPAddresses {
		of.IPs = append(of.IPs, ip.String())
	}
	for _, uri := range c.URIs {
		of.URIs = append(of.URIs, uri.String())
	}
	for i := 1; i < len(chain)-1; i++ { // the authority itself is known to whoever trusts it
		if i > 1 {
			of.Chain = append(of.Chain, ", "...)
		}
		of.Chain = appendBytes(of.Chain, chain[i].Raw)
	}
	return of
}

// appendBytes writes a byte sequence of RFC 9651 §3.3.5, as RFC 9440 §2.1 has
// certificates.
func appendBytes(dst, der []byte) []byte {
	dst = append(dst, ':')
	dst = base64.StdEncoding.AppendEncode(dst, der)
	return append(dst, ':')
}
