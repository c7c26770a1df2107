package message

import "time"

// Certificate is the one by which a client has proven who it is: it was verified,
// and the client has its key. Nobody changes it.
type Certificate struct {
	// Subject and Issuer are distinguished names as text (RFC 4514).
	Subject, Issuer string
	// Serial and Fingerprint are in hexadecimal, in lower case; Fingerprint is the
	// SHA-256 of the certificate.
	Serial, Fingerprint string
	// What else the certificate is for (its subject alternative names).
	DNSNames, Emails, URIs, IPs []string
	NotBefore, NotAfter         time.Time
	// Field and Chain are the values of the fields Client-Cert and Client-Cert-Chain
	// (RFC 9440); Chain is nil where the authority itself has signed the certificate.
	Field, Chain []byte
}

// Size is how many bytes its texts have.
func (c *Certificate) Size() int {
	n := len(c.Subject) + len(c.Issuer) + len(c.Serial) + len(c.Fingerprint)
	for _, list := range [][]string{c.DNSNames, c.Emails, c.URIs, c.IPs} {
		for _, name := range list {
			n += len(name)
		}
	}
	return n
}
