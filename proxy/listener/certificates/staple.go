package certificates

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"golang.org/x/crypto/ocsp"
)

// staple is what a responder has said of a certificate (RFC 6960), which clients get
// with it (RFC 8446 §4.4.2.1).
type staple struct {
	response []byte    // nil: nothing that could be sent
	until    time.Time // when it ends, or zero
	again    time.Time // when it is asked for next
	said     string    // the error that has been told
}

const (
	// stapleEvery is the time between two looks at who needs a response.
	stapleEvery = 5 * time.Second
	// stapleTimeout bounds one answer, maxStaple its size in bytes.
	stapleTimeout = 10 * time.Second
	maxStaple     = 64 << 10
	// stapleRetry is when a responder that has failed is asked again.
	stapleRetry = 5 * time.Minute
	// A response is kept so long at least and at most before a newer one is asked for,
	// in the middle of its time.
	leastRefresh, mostRefresh = time.Minute, 12 * time.Hour
)

// Staple asks the responders of certificates that clients have asked for, one after
// the other, until ctx is done. No handshake waits for it. tell is told what has
// failed, once; clients get the last response until it ends, and then none.
func (s *Store) Staple(ctx context.Context, tell func(c *Certificate, err error)) {
	client := newResponderClient()
	ticker := time.NewTicker(stapleEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		s.renewStaples(ctx, client, tell)
	}
}

func newResponderClient() *http.Client {
	return &http.Client{
		Timeout: stapleTimeout, Transport: &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (s *Store) renewStaples(ctx context.Context, client *http.Client, tell func(c *Certificate, err error)) {
	set := s.current.Load()
	if set == nil {
		return
	}
	for _, c := range set.all {
		if ctx.Err() == nil && c.responder != "" && c.ready.Load() != nil {
			c.renewStaple(ctx, client, tell)
		}
	}
}

// renewStaple is for one goroutine.
func (c *Certificate) renewStaple(ctx context.Context, client *http.Client, tell func(c *Certificate, err error)) {
	now := time.Now()
	next := staple{}
	if last := c.staple.Load(); last != nil {
		next = *last
	}
	if now.After(next.until) {
		next.response = nil
	}
	if now.After(next.again) {
		response, err := c.askResponder(ctx, client)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			if text := err.Error(); text != next.said {
				next.said = text
				tell(c, err)
			}
			next.again = now.Add(stapleRetry)
		} else {
			half := response.NextUpdate.Sub(now) / 2
			next = staple{response: response.Raw, until: response.NextUpdate, again: now.Add(min(max(half, leastRefresh), mostRefresh))}
		}
	}
	c.staple.Store(&next)
	if ready := c.ready.Load(); ready != nil && !bytes.Equal(ready.OCSPStaple, next.response) {
		stapled := *ready
		stapled.OCSPStaple = next.response
		c.ready.CompareAndSwap(ready, &stapled)
	}
}

// stapled is what to send with the certificate; nil is nothing.
func (c *Certificate) stapled() []byte {
	if s := c.staple.Load(); s != nil && time.Now().Before(s.until) {
		return s.response
	}
	return nil
}

func (c *Certificate) askResponder(ctx context.Context, client *http.Client) (*ocsp.Response, error) {
	if len(c.chain) < 2 {
		return nil, errors.New("the chain has no certificate of the issuer, which a request to its OCSP responder needs")
	}
	leaf, err := x509.ParseCertificate(c.chain[0])
	if err != nil {
		return nil, err
	}
	issuer, err := x509.ParseCertificate(c.chain[1])
	if err != nil {
		return nil, err
	}
	question, err := ocsp.CreateRequest(leaf, issuer, &ocsp.RequestOptions{Hash: crypto.SHA1}) // of names, as all responders know it (RFC 5019 §2.1.1)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.responder, bytes.NewReader(question))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/ocsp-request")
	answer, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the OCSP responder %q answers with status %d", c.responder, answer.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxStaple+1))
	if err != nil || len(body) > maxStaple {
		return nil, fmt.Errorf("the OCSP responder %q answers with more than %d bytes, or not to the end", c.responder, maxStaple)
	}
	return judgeStaple(body, leaf, issuer)
}

// judgeStaple refuses what clients would refuse, or what would harm the certificate.
func judgeStaple(body []byte, leaf, issuer *x509.Certificate) (*ocsp.Response, error) {
	response, err := ocsp.ParseResponseForCert(body, leaf, issuer)
	now := time.Now()
	switch {
	case err != nil:
		return nil, fmt.Errorf("the OCSP responder's answer is none: %w", err)
	case response.Status == ocsp.Revoked:
		return nil, fmt.Errorf("the OCSP responder says that the certificate was revoked on %s", response.RevokedAt.UTC().Format(time.RFC3339))
	case response.Status != ocsp.Good:
		return nil, errors.New("the OCSP responder doesn't know the certificate")
	case response.NextUpdate.IsZero() || !response.NextUpdate.After(now) || response.ThisUpdate.After(now.Add(time.Hour)):
		return nil, fmt.Errorf("the OCSP responder's answer is for %s to %s, expected one for now", response.ThisUpdate.UTC().Format(time.RFC3339), response.NextUpdate.UTC().Format(time.RFC3339))
	}
	response.Raw = body
	return response, nil
}
