package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
	"github.com/keystone-gateway/keystone-gateway/proxy/clients"
	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/http3"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/proxy/terms"
	"github.com/keystone-gateway/keystone-gateway/proxy/tickets"
	"github.com/keystone-gateway/keystone-gateway/tenants"
	"github.com/keystone-gateway/keystone-gateway/tenants/store/redis"
)

// cipherSuites are those of TLS 1.2: with forward secrecy, and authenticated. Go
// orders them itself, and chooses those of TLS 1.3 and the key exchanges, of which
// the first is X25519MLKEM768.
var cipherSuites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// handshake is what every handshake with a client has.
func (s *Server) handshake() *terms.Base {
	return &terms.Base{Tickets: s.tickets, Config: &tls.Config{
		MinVersion: tls.VersionTLS12, CipherSuites: cipherSuites,
		GetCertificate: s.certificates.Choose,
	}, Protocols: offered}
}

// offered are what listeners offer by ALPN, by what they speak.
var offered = func() [][]string {
	lists := make([][]string, listener.HTTP3+1)
	lists[listener.HTTP3] = []string{http3.Protocol}
	lists[listener.HTTP1] = []string{"http/1.1", "http/1.0"}
	lists[listener.HTTP2] = []string{clients.ProtocolMany}
	lists[listener.HTTP1|listener.HTTP2] = []string{clients.ProtocolMany, "http/1.1", "http/1.0"}
	return lists
}()

// byTerms is tls.Config.GetConfigForClient.
func (s *Server) byTerms(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	conn := listener.Of(hello.Conn)
	conn.HelloArrived()
	if proof := s.acme.Prove(hello); proof != nil { // an authority shows no certificate, and gets no further
		return proof, nil
	}
	chosen := s.current.Load().Entrances[conn.Listener().Number()].Terms.Choose(hello.ServerName)
	return chosen.Begin(&conn.Accepted, int(conn.Protocols)), nil
}

// byTermsOverQUIC is the same of handshakes over UDP, where no authority has anything
// proved.
func (s *Server) byTermsOverQUIC(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	conn := listener.QUICOf(hello.Context())
	conn.ServerName = hello.ServerName
	at := conn.Owner().Listener().Number()
	return s.current.Load().Entrances[at].Terms.Choose(hello.ServerName).Begin(&conn.Accepted, int(listener.HTTP3)), nil
}

// termsOf is what a section asks for.
func termsOf(c *tenants.ClientTLSConfig, dir string) terms.Ask {
	ask := terms.Ask{MinVersion: tls.VersionTLS12}
	if c.MinVersion == "1.3" {
		ask.MinVersion = tls.VersionTLS13
	}
	switch c.ClientAuth {
	case tenants.ClientAuthNone:
		return ask
	case tenants.ClientAuthRequest:
		ask.Auth = terms.Request
	default:
		ask.Auth = terms.Require
	}
	for _, path := range c.CAFiles {
		ask.CAFiles = append(ask.CAFiles, inDir(dir, path))
	}
	for _, path := range c.CRLFiles {
		ask.CRLFiles = append(ask.CRLFiles, inDir(dir, path))
	}
	return ask
}

// certificateFields is nil where clients aren't asked for certificates.
func certificateFields(c *tenants.ClientTLSConfig) *exchange.CertificateFields {
	if c.ClientAuth == tenants.ClientAuthNone {
		return nil
	}
	return exchange.NewCertificateFields(c.CertificateField, c.ChainField)
}

// checkClientTLS reads the files, and reports what is wrong with them and with
// tenants that share a host.
func (c *Config) checkClientTLS(dir string, r settings.Reporter, own func(index int) settings.Reporter) {
	known := terms.NewSet(nil, &terms.Base{Config: &tls.Config{MinVersion: tls.VersionTLS12}})
	check := func(section *tenants.ClientTLSConfig, r settings.Reporter) {
		_, problems := known.Of(termsOf(section, dir))
		for i := range problems {
			r.Errorf(fieldOfTerms(section, dir, &problems[i]), "%s", termsProblem(&problems[i]))
		}
	}
	check(&c.ClientTLS, r)
	for i := range c.Tenants {
		if t := &c.Tenants[i]; !t.ClientTLS.SameTerms(&c.ClientTLS) {
			check(&t.ClientTLS, own(i))
		}
	}
	tenants.CheckTerms(c.Tenants, own)
}

// fieldOfTerms is what names a file.
func fieldOfTerms(c *tenants.ClientTLSConfig, dir string, p *terms.Problem) any {
	for _, list := range [][]string{c.CAFiles, c.CRLFiles} {
		for i := range list {
			if inDir(dir, list[i]) == p.Path {
				return &list[i]
			}
		}
	}
	return c
}

// termsProblem is a problem in our own words.
func termsProblem(p *terms.Problem) string {
	told := *p
	told.Err = cause.Of(p.Err)
	return told.Error()
}

// warnOfClientTLS tells of tenants that nobody can reach.
func (c *Config) warnOfClientTLS(doubt func(field any, format string, args ...any)) {
	for i := range c.Tenants {
		if t := &c.Tenants[i]; t.ClientTLS.ClientAuth == tenants.ClientAuthRequire && !c.speaksTLS() && !t.ClientTLS.AllowWithoutTLS {
			doubt(&t.ClientTLS, "client_tls of tenant %q requires certificates, and the listener speaks no TLS: its requests get 421; expected a listener with tls, or allow_without_tls where a load balancer sees to it", t.Name)
		}
	}
}

// findTerms is a part of build: what candidates ask of clients' TLS, and what is
// asked of those of nobody.
func (s *Server) findTerms(snap *snapshot, list []candidate) (others *terms.Terms, err error) {
	var last *terms.Set
	if current := s.current.Load(); current != nil {
		last = current.terms
	}
	snap.terms = terms.NewSet(last, s.secured)
	others, problems := snap.terms.Of(termsOf(&snap.asked.ClientTLS, s.dir))
	if len(problems) > 0 {
		return nil, fmt.Errorf("client_tls can't be used: %s", termsProblem(&problems[0]))
	}
	for i := range list {
		c := &list[i]
		if !c.good() {
			continue
		}
		if c.terms, problems = snap.terms.Of(termsOf(&c.asked.ClientTLS, s.dir)); len(problems) > 0 {
			c.terms = nil
			at := snap.asked.places[&c.asked.Name]
			c.faults = settings.Errors{{File: snap.asked.file, Line: at.line, Column: at.column, Message: snap.asked.redactor.Redact(termsProblem(&problems[0]))}}
		}
	}
	return others, nil
}

// nameTerms has clients find the terms of the tenants that are served: of those that
// their listener has in its table. A tenant that is refused is found by what is asked
// of those of nobody, unless another one has its host too.
func (s *snapshot) nameTerms(others *terms.Terms) {
	var list, refused []terms.Named
	for _, t := range s.tenants {
		into := &list
		if t.Terms == nil {
			t.Terms, into = others, &refused
		}
		for _, host := range t.Config.Hosts() {
			*into = append(*into, terms.Named{Host: host, Terms: t.Terms, Listeners: t.listeners})
		}
	}
	s.terms.Seal(append(list, refused...), others)
}

// logTerms tells what has become of files.
func (s *Server) logTerms(change terms.Change) {
	if len(change.Taken) > 0 {
		s.log.Info().Str("files", strings.Join(change.Taken, ", ")).Msg("authorities of clients' certificates, or what they have revoked, have been taken up")
	}
	for i := range change.Problem {
		s.log.Error().Str("error", termsProblem(&change.Problem[i])).Bool("old_one_stays", true).Msg("clients' certificates are judged as before: a file of client_tls can't be used")
	}
}

// ticketFile is the file with the secret of session tickets; "" is none.
func (c *Config) ticketFile(dir string) string {
	if c.TLS.Tickets.SecretFile == "" {
		return ""
	}
	return inDir(dir, c.TLS.Tickets.SecretFile)
}

// useTickets has sessions sealed as a snapshot asks for.
func (s *Server) useTickets(snap *snapshot, elsewhere bool) {
	c := snap.asked
	s.ticketFile.Use(s.tickets, c.ticketFile(s.dir), snap.tickets)
	if elsewhere {
		s.fleet.Forget()
	}
	switch was := s.sharesTickets.Swap(c.TLS.Tickets.Shared); {
	case c.TLS.Tickets.Shared && !was:
		s.fleet.Forget()
		s.tickets.Use(&s.fleet)
	case was && !c.TLS.Tickets.Shared && c.TLS.Tickets.SecretFile == "":
		s.tickets.Use(tickets.Inherited(nil))
	}
}

// findTickets looks for the secrets of sessions in the shared store.
func (s *Server) findTickets(ctx context.Context) {
	s.fleet.Run(ctx, time.Now, tickets.Place{
		Wanted: func() bool {
			status, ok := s.shared.Status()
			return ok && status.Here && s.sharesTickets.Load()
		},
		Fetch: func(ctx context.Context, period int64, offered []byte) ([]byte, error) {
			return s.shared.Secret(ctx, fmt.Sprintf("tickets:%d", period), offered, 4*tickets.Period)
		},
		Tell:   s.logFleet,
		Spoilt: func(err error) bool { return errors.Is(err, redis.ErrForeign) },
	})
}

// logFleet tells that what the store has of sessions can't be used, or can again.
func (s *Server) logFleet(err error) {
	if err != nil {
		s.log.Error().Str("error", cause.Text(err)).Msg("sessions don't go on at other gateways: a secret of session tickets in the store can't be used")
		return
	}
	s.log.Info().Msg("the secrets of session tickets in the store can be used again")
}

// readTickets is a part of build.
func (s *Server) readTickets(snap *snapshot) (err error) {
	path := snap.asked.ticketFile(s.dir)
	if path == "" {
		return nil
	}
	if snap.tickets, err = tickets.Read(path); err != nil {
		return fmt.Errorf("secret_file %q of tls.tickets can't be used: %s", path, cause.Text(err))
	}
	return nil
}

func (c *Config) checkTickets(dir string, r settings.Reporter) {
	if t := &c.TLS.Tickets; t.Shared && t.SecretFile != "" {
		r.Errorf(&t.Shared, "both shared and secret_file are set, expected one of them")
	} else if t.Shared && c.Store.Redis == nil {
		r.Errorf(&t.Shared, "shared is for gateways with a store, and there is none, expected the section store with redis")
	}
	if path := c.ticketFile(dir); path != "" {
		if _, err := tickets.Read(path); err != nil {
			r.Errorf(&c.TLS.Tickets.SecretFile, "secret_file %q can't be used: %s", path, cause.Text(err))
		}
	}
}

// logTickets tells what has become of the secret's file.
func (s *Server) logTickets(path string, err error) {
	if err != nil {
		s.log.Error().Str("file", path).Str("error", cause.Text(err)).Bool("old_one_stays", true).Msg("sessions go on by the secret of before: the file of session tickets can't be used")
		return
	}
	s.log.Info().Str("file", path).Msg("the secret of session tickets has been taken up; sessions of before begin anew")
}
