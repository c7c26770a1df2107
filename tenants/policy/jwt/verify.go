package jwt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	tokens "github.com/keystone-gateway/keystone-gateway/tenants/jwt"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

// verify finds out whether a token is good: if so, it returns what is known of it, else
// the answer.
func (g *guard) verify(r *policy.Request, text string, now time.Time) (*verdict, *policy.Answer, error) {
	t, err := tokens.Parse(text)
	if err == nil {
		err = g.check.Accepts(t)
	}
	if err != nil {
		return nil, g.refuse(err), nil
	}
	switch signed, why, err := g.signed(r, t); {
	case err != nil:
		return nil, nil, err
	case signed:
	case errors.Is(why, tokens.ErrSignature) || errors.Is(why, tokens.ErrUnknownKey):
		return nil, g.refuse(why), nil
	default:
		return nil, &policy.Answer{Refusal: unavailable, Cause: why, Header: message.Header{{Name: []byte("Retry-After"), Value: []byte("5")}}}, nil
	}
	expiry, says := t.Expires()
	iss, _ := t.Claim("iss")
	issuer, _ := iss.(string)
	err = g.check.Claims(t, now)
	switch {
	case err != nil:
	case g.expires && !says:
		err = errExpiry
	case len(g.issuers) > 0 && !slices.Contains(g.issuers, issuer):
		err = errIssuer
	}
	if err != nil {
		return nil, g.refuse(err), nil
	}
	for i := range g.require {
		if one := &g.require[i]; !one.metBy(t) {
			return nil, &policy.Answer{Refusal: forbidden, Header: g.insufficient, Cause: fmt.Errorf("claim %.64q of the token is none of those that require has", one.claim)}, nil
		}
	}
	v := g.verdictOf(t)
	v.until = now.Add(verdictLife).UnixNano()
	if says && expiry < farAway {
		v.until = min(v.until, int64((expiry+g.check.Leeway)*1e9))
	}
	return v, nil, nil
}

// signed reports whether one of the keys has signed a token, or why that isn't known.
// Only keys that the token's algorithm is for are tried: no public key is ever taken
// for a secret.
func (g *guard) signed(r *policy.Request, t *tokens.Token) (signed bool, why, err error) {
	verifies := func(key any) bool { return t.Fits(key) && t.Verify(key) }
	if slices.ContainsFunc(g.keys, verifies) || g.set != nil && slices.ContainsFunc(g.set.Find(t), verifies) {
		return true, nil, nil
	}
	if g.url == "" {
		return false, tokens.ErrSignature, nil
	}
	keys, why, err := g.fetched(r, t)
	switch {
	case err != nil || why != nil:
		return false, why, err
	case slices.ContainsFunc(keys, verifies):
		return true, nil, nil
	}
	return false, tokens.ErrSignature, nil
}

// fetched returns the keys of the URL that may have signed a token, or why there are
// none. Only while nothing is known of the URL it waits; else keys are fetched besides,
// and a token of one that isn't known yet is refused meanwhile: anybody can make up
// such.
func (g *guard) fetched(r *policy.Request, t *tokens.Token) (keys []any, why, err error) {
	wait := func(<-chan struct{}) {}
	if g.sets.Has(g.url) {
		keys, why = g.sets.Find(g.from, g.url, t, wait)
		return keys, why, nil
	}
	err = r.Wait(func(ctx context.Context) error {
		keys, why = g.sets.Find(g.from, g.url, t, func(fetched <-chan struct{}) {
			select {
			case <-fetched:
			case <-ctx.Done():
			}
		})
		return ctx.Err()
	})
	return keys, why, err
}

// metBy reports whether a token has one of the values.
func (q *required) metBy(t *tokens.Token) bool {
	value, ok := t.Claim(q.claim)
	if !ok || value == nil {
		return false
	}
	if slices.Contains(q.values, "*") {
		return true
	}
	if list, ok := value.([]any); ok {
		return slices.ContainsFunc(list, q.has)
	}
	if text, ok := value.(string); ok && (q.claim == "scope" || q.claim == "scp") { // RFC 8693 §4.2
		return slices.ContainsFunc(strings.Split(text, " "), func(word string) bool { return q.has(word) })
	}
	return q.has(value)
}

func (q *required) has(value any) bool {
	text, ok := textOf(value)
	return ok && slices.Contains(q.values, text)
}
