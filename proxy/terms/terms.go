// Package terms is what a tenant asks of its clients' TLS: the least version, and
// whether they show a certificate, signed by whom. A Set finds the terms by the
// listener that a client comes in by and the name that it asks for (SNI), and what a connection was Accepted by is
// compared with the terms of the tenant that a request on it is for: a tenant that
// requires a certificate is reached by no other way.
//
//	t, problems := terms.New(terms.Ask{Auth: terms.Require, CAFiles: files}, base)
//	config := t.Begin(&conn.Accepted, 0)         // in tls.Config.GetConfigForClient
//	conn.Accepted.End(state, now)                // after the handshake
//	conn.Accepted.By(t, now)                     // for each request
//
// It knows no tenants, and of listeners the names.
package terms

import (
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/files"
)

// Auth is whether clients show a certificate.
type Auth uint8

// The values of Auth.
const (
	None    Auth = iota
	Request      // they may, and one that is shown has to be good
	Require      // they must
)

// Ask is what a configuration says. Paths are absolute, or start from the working
// directory.
type Ask struct {
	MinVersion uint16 // of package tls
	Auth       Auth
	// CAFiles have the certificates of who signs those of clients, PEM. CRLFiles have
	// lists of revoked ones, PEM or DER, of each authority; without any, nothing is
	// looked up.
	CAFiles, CRLFiles []string
}

// key is equal for what is the same.
func (a *Ask) key() string {
	return fmt.Sprintf("%d %d\n%s\x00\x00%s", a.MinVersion, a.Auth, strings.Join(a.CAFiles, "\x00"), strings.Join(a.CRLFiles, "\x00"))
}

// Terms are an Ask with what its files hold. There is one for all tenants that ask
// for the same, in all generations of the configuration that do; files that change
// are taken up by a Watch. Methods may be called at once.
type Terms struct {
	ask   Ask
	base  *Base
	trust atomic.Pointer[trust]

	mu     sync.Mutex // guards all below, and changes of trust
	stamps []files.Stamp
	seen   []files.Stamp // of files that have changed, until they are left alone
	said   string        // the problem that has been told
	broken []Problem     // what can't be used of the files as they are
	since  time.Time     // and since when that is known
}

// trust is what the files hold, and what is made of it.
type trust struct {
	authorities
	configs []*tls.Config // one for each list of protocols
}

// Problem is a file that can't be used.
type Problem struct {
	Path string
	Err  error
}

func (p *Problem) Error() string { return fmt.Sprintf("cannot use %q: %v", p.Path, p.Err) }

func (p *Problem) Unwrap() error { return p.Err }

// Base is what every handshake has, whatever the terms. It isn't changed.
type Base struct {
	Config *tls.Config
	// Protocols are lists of those that are offered by ALPN, of which a listener has
	// one; none is one that is empty.
	Protocols [][]string
	Tickets   Tickets // nil: sessions are resumed as crypto/tls does it by itself
}

// Tickets seals sessions that are resumed later, for whoever has the same terms and
// name.
type Tickets interface {
	Seal(terms [sha256.Size]byte, name string, session []byte) (ticket []byte, err error)
	// Open returns nil where the ticket isn't one, or has ended.
	Open(terms [sha256.Size]byte, name string, ticket []byte) (session []byte)
}

// New reads the files. Where there are problems, all are returned, and there are no
// terms.
func New(ask Ask, base *Base) (*Terms, []Problem) {
	t := &Terms{ask: ask, base: base}
	t.stamps = t.look()
	fresh, problems := t.read()
	if len(problems) > 0 {
		return nil, problems
	}
	t.trust.Store(fresh)
	return t, nil
}

// Requires reports whether there are no connections without a certificate.
func (t *Terms) Requires() bool { return t.ask.Auth == Require }

// read makes a trust of the files as they are.
func (t *Terms) read() (*trust, []Problem) {
	fresh := &trust{}
	if t.ask.Auth != None {
		var problems []Problem
		if fresh.authorities, problems = readAuthorities(&t.ask); len(problems) > 0 {
			return nil, problems
		}
	}
	config := t.base.Config.Clone()
	config.MinVersion = t.ask.MinVersion
	switch t.ask.Auth {
	case Request:
		config.ClientAuth = tls.VerifyClientCertIfGiven
	case Require:
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	if t.ask.Auth != None {
		config.ClientCAs = fresh.roots
		config.VerifyConnection = fresh.verify
	}
	if t.base.Tickets != nil {
		t.seal(config, fresh)
	}
	fresh.configs = append(fresh.configs, config)
	for i, protocols := range t.base.Protocols {
		if i > 0 {
			config = config.Clone()
			fresh.configs = append(fresh.configs, config)
		}
		config.NextProtos = protocols
	}
	return fresh, nil
}

// seal binds sessions to the terms and to the name that was asked for (RFC 6066 §3):
// a ticket of other terms is none.
func (t *Terms) seal(config *tls.Config, of *trust) {
	sum := sha256.Sum256(fmt.Appendf(nil, "keystone terms 1 %d %d %x", t.ask.MinVersion, t.ask.Auth, of.sum))
	tickets := t.base.Tickets
	config.WrapSession = func(state tls.ConnectionState, session *tls.SessionState) ([]byte, error) {
		bytes, err := session.Bytes()
		if err != nil {
			return nil, err
		}
		return tickets.Seal(sum, strings.ToLower(state.ServerName), bytes)
	}
	config.UnwrapSession = func(ticket []byte, state tls.ConnectionState) (*tls.SessionState, error) {
		bytes := tickets.Open(sum, strings.ToLower(state.ServerName), ticket)
		if bytes == nil {
			return nil, nil //nolint:nilnil // the handshake goes on without it
		}
		session, err := tls.ParseSessionState(bytes)
		if err != nil { // of another version of the gateway
			return nil, nil //nolint:nilnil,nilerr // likewise
		}
		return session, nil
	}
}

// verify is tls.Config.VerifyConnection: it is called for resumed sessions too, and
// finds out whether what was good when the ticket was made still is.
func (t *trust) verify(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return nil // which ClientAuth has allowed
	}
	chains := state.VerifiedChains
	if state.DidResume {
		var err error
		if chains, err = t.chains(state.PeerCertificates, time.Now()); err != nil {
			return err
		}
	}
	_, err := t.unrevoked(chains, time.Now())
	return err
}

// paths are those of all files.
func (t *Terms) paths() []string {
	if t.ask.Auth == None {
		return nil
	}
	return append(append([]string(nil), t.ask.CAFiles...), t.ask.CRLFiles...)
}

// look returns the stamps of all files; those that aren't there have none.
func (t *Terms) look() []files.Stamp {
	paths := t.paths()
	stamps := make([]files.Stamp, len(paths))
	for i, path := range paths {
		stamps[i], _ = files.Look(path) // reading says what is wrong
	}
	return stamps
}
