package proxy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/proxy/listener/certificates"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener/proxyprotocol"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/proxy/terms"
)

// says is a server's log, of which lines are read.
type says struct{ bytes.Buffer }

// line returns the members of the lines since the last call, "; " between lines.
func (l *says) line(t *testing.T, members ...string) string {
	t.Helper()
	var all []string
	for line := range strings.Lines(l.String()) {
		var has map[string]any
		if err := json.Unmarshal([]byte(line), &has); err != nil {
			t.Fatal(err)
		}
		var words []string
		for _, name := range members {
			words = append(words, fmt.Sprint(has[name]))
		}
		all = append(all, strings.Join(words, " | "))
	}
	l.Reset()
	return strings.Join(all, "; ")
}

// TestStrangersAreTold: of connections that fail, with how many weren't told before.
func TestStrangersAreTold(t *testing.T) {
	t.Parallel()
	var log says
	s := &Server{log: zerolog.New(&log)}
	long := strings.Repeat("n", maxServerName+100)
	s.noHandshake(7, "192.0.2.1", long, "why")
	if got := log.line(t, "level", "listener", "peer", "reason", "not_logged_before", "message"); got != "warn |  | 192.0.2.1 | why | <nil> | a client's connection was closed: its TLS handshake has failed" {
		t.Errorf("said is %s", got)
	}
	s.noHandshake(7, "192.0.2.1", long, "why")
	if name := log.line(t, "server_name"); len(name) > maxServerName+len("…") || !strings.HasPrefix(name, long[:maxServerName-10]) {
		t.Errorf("the name has %d bytes", len(name))
	}
	peer := netip.MustParseAddr("192.0.2.1")
	s.noHeader(7, peer, errors.New("none"))
	if got := log.line(t, "level", "listener", "peer", "reason", "not_logged_before", "message"); got != "warn |  | 192.0.2.1 | none | <nil> | a connection was closed: it has no header of the PROXY protocol that is believed" {
		t.Errorf("said is %s", got)
	}
	for range 20 {
		s.noHandshake(7, "192.0.2.1", "n", "why")
		s.noHeader(7, peer, errors.New("none"))
	}
	if n := strings.Count(log.String(), "\n"); n != 2*maxLines-3 {
		t.Errorf("%d lines are said of 43 failures, want %d in all", n+3, 2*maxLines)
	}
	log.Reset()
	s.handshakes.filled, s.introductions.filled = s.handshakes.filled-linePause, s.introductions.filled-linePause
	s.noHandshake(7, "192.0.2.1", "n", "why")
	s.noHeader(7, peer, errors.New("none"))
	if got := log.line(t, "not_logged_before"); got != "12; 11" || s.counters.handshakes.Load() != 23 || s.counters.noHeaders.Load() != 22 {
		t.Errorf("later, %s weren't told of %d and %d", got, s.counters.handshakes.Load(), s.counters.noHeaders.Load())
	}
	s.noHandshake(7, "192.0.2.1", "n", "why")
	s.noHeader(7, peer, errors.New("none"))
	s.handshakes.filled, s.introductions.filled = s.handshakes.filled-linePause, s.introductions.filled-linePause
	s.noHandshake(7, "192.0.2.1", "n", "why")
	s.noHeader(7, peer, errors.New("none"))
	if got := log.line(t, "not_logged_before"); got != "1; 1" {
		t.Errorf("of one that wasn't told, %s is said", got)
	}
}

// TestRefusedConnectionsAreTold once in ten seconds.
func TestRefusedConnectionsAreTold(t *testing.T) {
	t.Parallel()
	var log says
	s := &Server{log: zerolog.New(&log)}
	peer := netip.MustParseAddr("192.0.2.1")
	s.warnRefused(3, peer, true)
	s.warnRefused(3, peer, false)
	if got := log.line(t, "level", "listener", "peer", "limit_per_address", "refused_so_far"); got != "warn |  | 192.0.2.1 | true | 0" {
		t.Errorf("said is %s", got)
	}
	s.warned.Store(socket.Nanotime() - int64(9*time.Second))
	if s.warnRefused(3, peer, false); log.Len() > 0 {
		t.Errorf("after nine seconds: %s", log.String())
	}
	s.warned.Store(socket.Nanotime() - int64(10*time.Second))
	if s.warnRefused(3, peer, false); log.line(t, "limit_per_address") != "false" {
		t.Error("after ten seconds nothing is said")
	}
}

// TestFilesAreToldOf: what has become of files that are looked at while the gateway runs.
func TestFilesAreToldOf(t *testing.T) {
	t.Parallel()
	var log says
	s := &Server{log: zerolog.New(&log)}
	s.logTerms(terms.Change{})
	s.logTerms(terms.Change{Taken: []string{"a.pem", "b.crl"}})
	s.logTerms(terms.Change{Problem: []terms.Problem{{Path: "c.pem", Err: errors.New("it is none")}}})
	if got := log.line(t, "level", "files", "error", "old_one_stays"); !strings.HasPrefix(got, "info | a.pem, b.crl | <nil> | <nil>; error | <nil> | ") || !strings.Contains(got, "it is none") || !strings.HasSuffix(got, " | true") {
		t.Errorf("of client_tls: %s", got)
	}
	s.logTickets("secret", nil)
	s.logTickets("secret", errors.New("it is gone"))
	if got := log.line(t, "level", "file", "error", "old_one_stays"); got != "info | secret | <nil> | <nil>; error | secret | it is gone | true" {
		t.Errorf("of tickets: %s", got)
	}
	s.logStore("10.0.0.1:6379", errors.New("it is gone"), 0)
	s.logStore("10.0.0.1:6379", nil, 1500*time.Millisecond)
	if got := log.line(t, "level", "store", "error", "away"); got != "error | 10.0.0.1:6379 | it is gone | <nil>; info | 10.0.0.1:6379 | <nil> | 1500" {
		t.Errorf("of the store: %s", got)
	}
	taken, gone, broken := make([]*certificates.Certificate, 25), make([]certificates.Pair, 21), make([]certificates.Problem, 22)
	for i := range taken {
		names := make([]string, 30)
		taken[i] = &certificates.Certificate{Pair: certificates.Pair{Cert: fmt.Sprint(i)}, Names: names[:min(len(names), 10+i)], NotAfter: time.Unix(5, 0)}
	}
	for i := range broken {
		broken[i] = certificates.Problem{Pair: certificates.Pair{Cert: fmt.Sprint(i)}, Err: errors.New("no"), Kept: i == 1, Listed: -1}
	}
	s.logCertificates(certificates.Change{Taken: taken, Gone: gone, Broken: broken})
	text := log.String()
	for message, want := range map[string]int{
		"a certificate has been taken up": 20, "a certificate's files are gone": 20, "clients get no certificate of a pair of files": 19, "clients get a certificate as it was": 1, "25 taken up, 21 gone, 22 broken": 1, `"old_one_stays":true`: 1,
	} {
		if n := strings.Count(text, message); n != want {
			t.Errorf("%q is said %d times, want %d", message, n, want)
		}
	}
	for line := range strings.Lines(text) {
		if n := strings.Count(line, `""`); n > 20 {
			t.Errorf("%d names are in a line", n)
		}
	}
	log.Reset()
	s.logCertificates(certificates.Change{Taken: taken[:20], Gone: gone[:20], Broken: broken[:20]})
	if n := strings.Count(log.String(), "\n"); n != 60 {
		t.Errorf("of twenty each, %d lines are said", n)
	}
	log.Reset()
	s.logStaple(taken[24], errors.New("no answer"))
	if got := log.line(t, "level", "cert", "error"); got != "error | 24 | no answer" {
		t.Errorf("of OCSP: %s", got)
	}
}

// TestIntroductionsAreLogged: what the access log has of a header of the PROXY protocol.
func TestIntroductionsAreLogged(t *testing.T) {
	t.Parallel()
	sender := netip.MustParseAddr("10.0.0.1")
	tlv := func(kind byte, value string) []byte {
		return append([]byte{kind, byte(len(value) >> 8), byte(len(value))}, value...)
	}
	authority := append(tlv(0x01, "h2"), append(tlv(0x02, "a.example"), tlv(0x05, "id-1")...)...)
	for _, c := range []struct {
		sender  netip.Addr
		header  proxyprotocol.Header
		version string
		want    string
	}{
		{sender, proxyprotocol.Header{}, "", `,"proxy":"10.0.0.1"`}, {netip.Addr{}, proxyprotocol.Header{Local: true}, "", `,"proxy":"unix","proxy_local":true`},
		{sender, proxyprotocol.Header{TLVs: authority}, "TLSv1.3", `,"proxy":"10.0.0.1","proxy_server_name":"a.example","proxy_alpn":"h2","proxy_id":"id-1","proxy_tls":"TLSv1.3"`},
	} {
		if got := string(introductionOf(c.sender, &c.header, proxyprotocol.TLS{Version: c.version})); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}
