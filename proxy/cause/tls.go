package cause

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ofTLS words errors of handshakes and certificates.
func ofTLS(err error) string {
	switch e := err.(type) { //nolint:errorlint // each error of the chain is looked at
	case tls.RecordHeaderError:
		return ofRecord(e)
	case tls.AlertError:
		return "the TLS handshake failed: " + alertText(e)
	case *tls.CertificateVerificationError:
		return Text(e.Err)
	case x509.UnknownAuthorityError:
		return "its certificate is signed by an authority that isn't known here"
	case x509.HostnameError:
		return ofHostname(&e)
	case x509.CertificateInvalidError:
		return ofInvalid(&e)
	case x509.SystemRootsError:
		return "the system's list of authorities can't be read"
	case x509.UnhandledCriticalExtension:
		return "its certificate has a critical extension that isn't known here"
	case x509.ConstraintViolationError:
		return "its certificate's signature isn't one that its issuer may make"
	case x509.InsecureAlgorithmError:
		return "its certificate's signature algorithm is insecure"
	}
	text := err.Error()
	if !strings.Contains(text, "tls: ") && !strings.Contains(text, "x509: ") && !strings.Contains(text, "EncryptedClientHello") {
		return ""
	}
	if isWrapper(err) {
		return ""
	}
	return ofHandshake(text)
}

// ofRecord words that something else than TLS has come.
func ofRecord(e tls.RecordHeaderError) string {
	if PlainHTTP(e) {
		return "HTTP without TLS was spoken"
	}
	if strings.Contains(e.Msg, "version") {
		return "TLS of an unknown version was spoken"
	}
	return "something else than TLS was spoken"
}

// PlainHTTP reports whether a handshake failed because the other side spoke
// HTTP, or at least text, without TLS.
func PlainHTTP(err error) bool {
	record, ok := errors.AsType[tls.RecordHeaderError](err)
	if !ok {
		return false
	}
	for _, c := range record.RecordHeader {
		if (c < ' ' || c > '~') && c != '\r' && c != '\n' && c != '\t' {
			return false
		}
	}
	return true
}

func ofHostname(e *x509.HostnameError) string {
	names := slices.Clone(e.Certificate.DNSNames)
	for _, ip := range e.Certificate.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return fmt.Sprintf("its certificate is for no name, and not for %q", e.Host)
	}
	const most = 5
	if len(names) > most {
		names = append(names[:most:most], "…")
	}
	return fmt.Sprintf("its certificate is for %s, not for %q", strings.Join(names, ", "), e.Host)
}

func ofInvalid(e *x509.CertificateInvalidError) string {
	switch e.Reason {
	case x509.Expired:
		now := time.Now()
		if e.Cert != nil && now.Before(e.Cert.NotBefore) {
			return "its certificate is not valid before " + e.Cert.NotBefore.UTC().Format(time.RFC3339)
		}
		if e.Cert != nil {
			return "its certificate has expired on " + e.Cert.NotAfter.UTC().Format(time.RFC3339)
		}
		return "its certificate has expired"
	case x509.NotAuthorizedToSign:
		return "its certificate is signed by one that may not sign others"
	case x509.IncompatibleUsage:
		return "its certificate is for another use"
	case x509.NameMismatch:
		return "its certificate's issuer has another name"
	}
	return "its certificate is not valid"
}

// alertText is an alert of TLS by its name in RFC 8446.
func alertText(err error) string {
	text := err.Error()
	if at := strings.LastIndex(text, "tls: "); at >= 0 {
		text = text[at+len("tls: "):]
	}
	switch text {
	case "bad certificate":
		return "it doesn't accept the certificate (bad_certificate)"
	case "unknown certificate authority":
		return "it doesn't know the authority that has signed the certificate (unknown_ca)"
	case "certificate required":
		return "it demands a client certificate (certificate_required)"
	case "handshake failure":
		return "there is no version or cipher that both accept (handshake_failure)"
	case "protocol version not supported":
		return "there is no version that both accept (protocol_version)"
	case "expired certificate":
		return "it takes the certificate for expired (certificate_expired)"
	case "bad record MAC":
		return "a record can't be deciphered (bad_record_mac), as that of a client with OpenSSL which doesn't accept the certificate"
	case "unrecognized name":
		return "it has nothing for this server name (unrecognized_name)"
	}
	return text
}

// ofHandshake words what Go says about handshakes.
func ofHandshake(text string) string {
	for _, known := range []struct{ part, words string }{
		{"first record does not look like a TLS handshake", "something else than TLS was spoken"},
		{"client offered only unsupported versions", "the client offers only versions of TLS that are too old, expected 1.2 or 1.3"},
		{"server selected unsupported protocol version", "the server has chosen a version of TLS that is too old, expected 1.2 or 1.3"},
		{"no cipher suite supported by both", "there is no cipher that both sides accept"},
		{"no mutually supported", "there is nothing that both sides accept"},
		{"client requested unsupported application protocols", "the client asks for other protocols than are spoken here (ALPN)"},
		{"server selected unadvertised ALPN protocol", "the server has chosen a protocol that wasn't offered (ALPN)"},
		{"client didn't provide a certificate", "the client has sent no certificate"},
		{"failed to verify certificate", "the certificate can't be verified"},
		{"no certificates configured", "there is no certificate"},
		{"private key does not match public key", "the private key doesn't belong to the certificate"},
		{"private key type does not match public key type", "the private key doesn't belong to the certificate"},
		{"PEM inputs may have been switched", "the certificate's file has a private key in it, and no certificate; are the two files switched?"},
		{"failed to find any PEM data in certificate", "the certificate's file has no PEM block in it"},
		{"failed to find any PEM data in key", "the key's file has no PEM block in it"},
		{"failed to find \"CERTIFICATE\" PEM block", "the certificate's file has no PEM block CERTIFICATE; is it the key?"},
		{"found a certificate rather than a key", "the key's file has a certificate in it, and no key"},
		{"failed to find PEM block with type ending in \"PRIVATE KEY\"", "the key's file has no PEM block PRIVATE KEY"},
		{"failed to parse private key", "the private key can't be read"},
		{"malformed certificate", "the certificate is malformed"},
		{"cannot validate certificate for", "its certificate is not for this address"},
		{"certificate relies on legacy Common Name", "its certificate has names only in its Common Name, which isn't looked at"},
		{"bad record MAC", "a record was damaged on the way"},
		{"oversized record", "something else than TLS was spoken"},
		{"unexpected message", "the other side doesn't keep to TLS"},
		{"received unexpected handshake message", "the other side doesn't keep to TLS"},
		{"use of closed connection", "the connection was closed on this side"},
		{"protocol is shutdown", "the connection was closed on this side"},
	} {
		if strings.Contains(text, known.part) {
			return known.words
		}
	}
	for _, prefix := range []string{"tls: ", "x509: "} {
		if at := strings.LastIndex(text, prefix); at >= 0 {
			text = text[at+len(prefix):]
		}
	}
	return text
}
