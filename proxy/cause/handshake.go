package cause

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
)

// Handshakes are the kinds of reasons why TLS handshakes with clients fail, few enough
// to be labels of a metric. HandshakeKind is an index into it.
var Handshakes = [...]string{
	"other", "plain_http", "not_tls", "version", "cipher", "protocol", "no_certificate",
	"client_certificate", "rejected", "alert", "gone", "proxy_header", "timeout", "crowded_out",
}

// The kinds that others than HandshakeKind tell apart.
const (
	HandshakeProxyHeader = len(Handshakes) - 3
	HandshakeTimeout     = len(Handshakes) - 2
	HandshakeCrowdedOut  = len(Handshakes) - 1
)

// HandshakeKind says of which kind the failure of a handshake with a client is.
func HandshakeKind(err error) int {
	kind := "other"
	text := err.Error()
	has := func(parts ...string) bool {
		for _, part := range parts {
			if strings.Contains(text, part) {
				return true
			}
		}
		return false
	}
	record, isRecord := errors.AsType[tls.RecordHeaderError](err)
	remote, isRemote := errors.AsType[*net.OpError](err)
	switch {
	case PlainHTTP(err):
		kind = "plain_http"
	case isRecord && strings.Contains(record.Msg, "version"), has("unsupported versions"):
		kind = "version"
	case isRecord, has("does not look like a TLS handshake", "oversized record"):
		kind = "not_tls"
	case isRemote && remote.Op == "remote error" && has("certificate"):
		kind = "rejected"
	case isRemote && remote.Op == "remote error":
		kind = "alert"
	case has("no cipher suite supported", "no mutually supported"):
		kind = "cipher"
	case has("unsupported application protocols"):
		kind = "protocol"
	case has("no certificates configured", "no certificate available", "unrecognized name"):
		kind = "no_certificate"
	case has("client didn't provide a certificate", "verify certificate", "client certificate"):
		kind = "client_certificate"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		kind = "gone"
	}
	for i, name := range Handshakes {
		if name == kind {
			return i
		}
	}
	return 0
}
