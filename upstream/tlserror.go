package upstream

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"reflect"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
)

// tlsError says in our words why TLS with a target failed.
type tlsError struct {
	text string
	err  error
}

func (e *tlsError) Error() string { return e.text }

// Unwrap returns the cause.
func (e *tlsError) Unwrap() error { return e.err }

// explain says why a handshake failed.
func (t *targetTLS) explain(err error) error {
	return &tlsError{fmt.Sprintf("TLS handshake as %q: %s", t.config.ServerName, t.reason(err)), err}
}

// explainAlert says why a target ended TLS when the handshake was done as far as
// the gateway could see: over its certificate, which TLS 1.3 judges only then, or
// for a reason that no longer is the handshake's. It is nil for an error that is
// no alert.
func (t *targetTLS) explainAlert(err error) error {
	if t == nil {
		return nil
	}
	switch alert, ok := alertOf(err); {
	case !ok:
		return nil
	case alert == alertCertificateNeeded || aboutCertificate(alert):
		return t.explain(err)
	}
	return &tlsError{fmt.Sprintf("the target has ended TLS as %q: %s", t.config.ServerName, cause.Text(err)), err}
}

// refused reports whether err says that the target has refused the client's
// certificate, or its lack, when the handshake was done as far as the gateway
// could see: a target of TLS 1.3 judges it before it reads anything of a request.
// Any other alert may come from one that has.
func (c *Conn) refused(err error) bool {
	secure, ok := c.Conn.(*tls.Conn)
	if !ok || secure.ConnectionState().Version < tls.VersionTLS13 {
		return false
	}
	alert, ok := alertOf(err)
	return ok && (alert == alertCertificateNeeded || aboutCertificate(alert))
}

// alertOf finds the number of an alert that the peer has sent. crypto/tls gives
// it as the cause of a net.OpError, of a type that it doesn't export.
func alertOf(err error) (tls.AlertError, bool) {
	remote, ok := errors.AsType[*net.OpError](err)
	if !ok || remote.Op != "remote error" || remote.Err == nil {
		return 0, false
	}
	number := reflect.ValueOf(remote.Err)
	if number.Kind() != reflect.Uint8 {
		return 0, false
	}
	return tls.AlertError(number.Uint()), true //nolint:gosec // G115: it is a uint8
}

func (t *targetTLS) reason(err error) string {
	if wrong, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return t.unknownAuthority(wrong.Cert)
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return cause.Text(err) + "; tls.server_name sets the name that is expected"
	}
	if alert, ok := alertOf(err); ok {
		return t.alert(alert, err)
	}
	return cause.Text(err)
}

func (t *targetTLS) unknownAuthority(certificate *x509.Certificate) string {
	who := "its certificate"
	if certificate != nil {
		if certificate.Subject.String() == certificate.Issuer.String() {
			who += called(certificate) + " is signed by itself, and"
		} else {
			who += called(certificate) + " is signed by " + quoted(certificate.Issuer.String()) + ", and"
		}
	}
	if t.caFile == "" {
		return who + " is of no authority that the system trusts; tls.ca_file names others"
	}
	return who + fmt.Sprintf(" is of no authority in tls.ca_file %q", t.caFile)
}

// Alerts by which a target refuses (RFC 8446 §6).
const (
	alertHandshakeFailure   = 40
	alertBadCertificate     = 42
	alertUnsupportedCert    = 43
	alertCertificateRevoked = 44
	alertCertificateExpired = 45
	alertCertificateUnknown = 46
	alertUnknownCA          = 48
	alertAccessDenied       = 49
	alertDecryptError       = 51
	alertProtocolVersion    = 70
	alertUnrecognizedName   = 112
	alertCertificateNeeded  = 116
)

// aboutCertificate reports whether an alert refuses what a client has shown.
func aboutCertificate(alert tls.AlertError) bool {
	switch alert {
	case alertBadCertificate, alertUnsupportedCert, alertCertificateRevoked, alertCertificateExpired, alertCertificateUnknown, alertUnknownCA, alertAccessDenied, alertDecryptError:
		return true
	}
	return false
}

func (t *targetTLS) alert(alert tls.AlertError, err error) string {
	shown := t.config.GetClientCertificate != nil
	switch {
	case alert == alertCertificateNeeded:
		return "the target wants a client certificate (tls.client_certificate)"
	case aboutCertificate(alert):
		if !shown {
			return "the target refuses a client without a certificate that it accepts (tls.client_certificate): " + cause.Text(err)
		}
		return "the target refuses tls.client_certificate: " + cause.Text(err)
	case alert == alertHandshakeFailure:
		if !shown {
			return "the target refuses the handshake: it has no parameters in common with the gateway, or wants a client certificate (tls.client_certificate)"
		}
		return "the target refuses the handshake: it has no parameters in common with the gateway"
	case alert == alertProtocolVersion:
		return "the target speaks neither TLS 1.2 nor 1.3"
	case alert == alertUnrecognizedName:
		return fmt.Sprintf("the target knows no host %q (tls.server_name)", t.config.ServerName)
	}
	return "the target refuses it: " + cause.Text(err)
}

// called names a certificate, if it has a name.
func called(c *x509.Certificate) string {
	if subject := c.Subject.String(); subject != "" {
		return " (" + quoted(subject) + ")"
	}
	return ""
}

// quoted bounds what a target can have the log say.
func quoted(s string) string {
	const most = 100
	if len(s) > most {
		s = s[:most] + "…"
	}
	return fmt.Sprintf("%q", s)
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
