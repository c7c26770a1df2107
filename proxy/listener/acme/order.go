package acme

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mholt/acmez/v3/acme"

	"github.com/keystone-gateway/keystone-gateway/proxy/cause"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener/certificates"
)

// order is one certificate that is being ordered.
type order struct {
	authority *authority
	account   acme.Account
	name      string
	replaces  *x509.Certificate // nil: it is the first
	solvers   map[string]solver
}

// solver proves by one kind of challenge that a name is ours.
type solver interface {
	// present makes the answer ready to be asked for; cleanUp, which is called
	// whatever present has returned, takes it away, in little time if ctx is done.
	present(ctx context.Context, name string, c *acme.Challenge) error
	cleanUp(ctx context.Context, name string, c *acme.Challenge)
}

// unprovenError says that a challenge has failed, so that another kind may do.
type unprovenError struct {
	challenge string
	err       error
}

func (e *unprovenError) Error() string { return fmt.Sprintf("challenge %s: %v", e.challenge, e.err) }
func (e *unprovenError) Unwrap() error { return e.err }

// errNoChallenge says that there is none of the kinds that may be tried.
var errNoChallenge = errors.New("the authority offers no challenge that is configured")

// obtain orders a certificate, proves the name by one kind of challenge, and
// returns the key with the chain, PEM.
func (o *order) obtain(ctx context.Context, kind string) ([]byte, error) {
	ordered, err := o.place(ctx)
	if err != nil {
		return nil, err
	}
	if n := len(ordered.Authorizations); n > maxAuthorizations {
		return nil, fmt.Errorf("the authority wants one name to be authorized %d times, expected once", n)
	}
	for _, url := range ordered.Authorizations {
		if err := o.authorize(ctx, url, kind); err != nil {
			return nil, err
		}
	}
	key, private, err := newKey(o.authority.config.KeyType)
	if err != nil {
		return nil, err
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{o.name}}, key)
	if err != nil {
		return nil, err
	}
	ordered, err = o.authority.client.FinalizeOrder(ctx, o.account, ordered, request)
	if err != nil {
		return nil, fmt.Errorf("the order was not completed: %w", err)
	}
	chains, err := o.authority.client.GetCertificateChain(ctx, o.account, ordered.Certificate)
	if err != nil || len(chains) == 0 {
		return nil, fmt.Errorf("the certificate can't be fetched: %w", err)
	}
	text := append(private, chains[0].ChainPEM...)
	_, err = parseFor(o.name, text)
	return text, err
}

// place makes an order.
func (o *order) place(ctx context.Context) (acme.Order, error) {
	wanted := acme.Order{Identifiers: []acme.Identifier{{Type: "dns", Value: o.name}}, Profile: o.authority.config.Profile}
	if o.replaces != nil {
		if directory, err := o.authority.client.GetDirectory(ctx); err == nil && directory.RenewalInfo != "" {
			wanted.Replaces, _ = acme.ARIUniqueIdentifier(o.replaces) // without it, it counts as another one
		}
	}
	ordered, err := o.authority.client.NewOrder(ctx, o.account, wanted)
	if problem, ok := errors.AsType[acme.Problem](err); ok && wanted.Replaces != "" && !forgotten(err) && problem.Type != acme.ProblemTypeRateLimited {
		wanted.Replaces = "" // another gateway has replaced it already, or the authority doesn't know it (RFC 9773 §5)
		ordered, err = o.authority.client.NewOrder(ctx, o.account, wanted)
	}
	return ordered, err
}

// authorize proves the name.
func (o *order) authorize(ctx context.Context, url, kind string) error {
	client := o.authority.client
	authorization, err := client.GetAuthorization(ctx, o.account, url)
	if err != nil {
		return err
	}
	if authorization.Status == acme.StatusValid {
		return nil
	}
	at := slices.IndexFunc(authorization.Challenges, func(c acme.Challenge) bool { return c.Type == kind })
	if at < 0 {
		return &unprovenError{kind, errNoChallenge}
	}
	challenge := &authorization.Challenges[at]
	if !tokenOfURL(challenge.Token) {
		return fmt.Errorf("the authority's token %q is no base64url", cause.Clip(challenge.Token, maxURL))
	}
	solver := o.solvers[kind]
	defer solver.cleanUp(ctx, o.name, challenge)
	if err := solver.present(ctx, o.name, challenge); err != nil {
		return &unprovenError{kind, err}
	}
	if _, err := client.InitiateChallenge(ctx, o.account, *challenge); err != nil {
		return err
	}
	if _, err := client.PollAuthorization(ctx, o.account, authorization); err != nil {
		if problem, ok := errors.AsType[acme.Problem](err); ok && problem.Type != acme.ProblemTypeRateLimited {
			return &unprovenError{kind, err}
		}
		return err
	}
	return nil
}

// tokenOfURL reports whether a token is what RFC 8555 §8.1 says: it becomes a part
// of paths.
func tokenOfURL(token string) bool {
	return token != "" && len(token) <= maxToken && strings.Trim(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

// maxAuthorizations bounds those of an order, which is for one name.
const maxAuthorizations = 4

// maxToken bounds a challenge's token.
const maxToken = 256

// newKey makes a key of a kind, and its PEM.
func newKey(kind string) (key crypto.Signer, text []byte, err error) {
	switch kind {
	case "p384":
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "rsa2048":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "rsa4096":
		key, err = rsa.GenerateKey(rand.Reader, 4096)
	default:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// parseFor reads a certificate with its key, and demands that it is for a name.
func parseFor(name string, text []byte) (*certificates.Certificate, error) {
	c, err := certificates.Parse(text, bytes.Clone(text))
	if err != nil {
		return nil, err
	}
	if !slices.Contains(c.Names, name) {
		return nil, fmt.Errorf("the certificate is for %q", c.Names)
	}
	return c, nil
}
