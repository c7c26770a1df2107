package jwt

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/tenants/cache"
	"github.com/keystone-gateway/keystone-gateway/tenants/fetch"
	tokens "github.com/keystone-gateway/keystone-gateway/tenants/jwt"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

// kind is the name of the policy.
const kind = "jwt"

const (
	// maxVerdicts bounds the tokens that are known to be good.
	maxVerdicts = 2048
	// verdictLife bounds how long, so that a key that its issuer has withdrawn doesn't
	// live on in what it has signed.
	verdictLife = 10 * time.Minute
	// farAway is a time, in seconds since 1970, that nanoseconds can't tell from never.
	farAway = 9e9
)

// guard is the policy.
type guard struct {
	sent     policy.Credential
	check    tokens.Check
	issuers  []string
	expires  bool // a token must say when
	require  []required
	user     string
	fields   []field
	pass     bool
	verdicts *cache.Cache[verdict]
	now      func() time.Time

	keys []any // given in the configuration
	set  *tokens.Set
	url  string
	sets *tokens.KeySets
	from tokens.Source

	bare, invalid, insufficient, ambiguous message.Header // WWW-Authenticate (RFC 6750 §3)
}

type required struct {
	claim  string
	values []string
}

// field is one that targets get.
type field struct {
	name  []byte
	claim string
}

// New builds the policy.
func (c *Config) New(deps policy.Deps) (policy.Policy, error) {
	scheme := ""
	if strings.EqualFold(c.Header, authorization) {
		scheme = "Bearer"
	}
	g := &guard{
		sent:    policy.NewCredential(c.Header, scheme, c.Query, c.Cookie),
		check:   tokens.Check{Algorithms: c.Algorithms, Audience: c.Audience, Leeway: c.Leeway.Std().Seconds()},
		issuers: c.Issuer, expires: c.RequireExpiry, user: c.User, pass: c.PassToken,
		verdicts: cache.New[verdict](maxVerdicts), now: deps.Time, set: c.set, url: c.JWKSURL,
		bare: challenge(""), invalid: challenge("invalid_token"), insufficient: challenge("insufficient_scope"), ambiguous: challenge("invalid_request"),
	}
	if err := g.findKeys(c, &deps); err != nil {
		return nil, err
	}
	for _, claim := range slices.Sorted(maps.Keys(c.Require)) {
		g.require = append(g.require, required{claim, *c.Require[claim]})
	}
	for _, name := range slices.Sorted(maps.Keys(c.Fields)) {
		g.fields = append(g.fields, field{[]byte(name), c.Fields[name]})
	}
	return g, nil
}

func challenge(code string) (h message.Header) {
	text := "Bearer"
	if code != "" {
		text += ` error="` + code + `"`
	}
	h.Add([]byte("WWW-Authenticate"), []byte(text))
	return h
}

// findKeys finds what tokens are verified by, and which algorithms that takes.
func (g *guard) findKeys(c *Config, deps *policy.Deps) error {
	if c.Secret != "" {
		key, err := tokens.ParseKey(c.Secret)
		if err != nil {
			return fmt.Errorf("secret: %w", err)
		}
		g.keys = append(g.keys, key)
	}
	if c.public != nil {
		g.keys = append(g.keys, c.public)
	}
	if len(c.Algorithms) == 0 { // all that fit
		for _, key := range g.keys {
			g.check.Algorithms = append(g.check.Algorithms, c.accepted(key)...)
		}
		if c.set != nil || c.JWKSURL != "" {
			g.check.Algorithms = append(g.check.Algorithms, tokens.SetAlgorithms()...)
		}
	}
	if c.JWKSURL == "" {
		return nil
	}
	permission, err := fetch.Permit(c.JWKSURL)
	if err != nil {
		return fmt.Errorf("jwks_url: %w", err)
	}
	of := deps.Fetch
	of.Allow = append(slices.Clip(of.Allow), permission)
	g.from = tokens.Source{Client: fetch.New(of), Now: deps.Time}
	g.sets = policy.Keep(deps.Kept.Tenant, func() *tokens.KeySets { return &tokens.KeySets{} })
	return nil
}

// Authenticates is policy.Authenticator's.
func (g *guard) Authenticates() {}

// Owns is policy.Owner's.
func (g *guard) Owns() (names []string) {
	for _, f := range g.fields {
		names = append(names, string(f.name))
	}
	return names
}

// Judge lets a request pass that has one token, which is good.
func (g *guard) Judge(r *policy.Request) (*policy.Answer, error) {
	token, places := g.sent.Find(r)
	switch {
	case places == 0:
		return &policy.Answer{Refusal: denied, Cause: errNone, Header: g.bare}, nil
	case places > 1:
		return &policy.Answer{Refusal: several, Cause: errSeveral, Header: g.ambiguous}, nil
	case len(token) > tokens.MaxToken:
		return g.refuse(errLong), nil
	}
	key := r.Append(func(dst []byte) []byte { return g.verdicts.AppendKey(dst, token) })
	now := g.now()
	v := g.verdicts.Get(key, now.UnixNano())
	if v == nil {
		var answer *policy.Answer
		var err error
		if v, answer, err = g.verify(r, string(token), now); v == nil {
			return answer, err
		}
		g.verdicts.Put(key, v, now.UnixNano(), v.until)
	}
	g.admit(r, v)
	return nil, nil
}

// admit makes the request that of who has the token.
func (g *guard) admit(r *policy.Request, v *verdict) {
	if !g.pass {
		g.sent.Remove(r)
	}
	r.User = v.user
	r.Leave(kind, v)
	for i := range g.fields {
		if v.fields[i] != nil {
			r.SetOwned(g.fields[i].name, v.fields[i])
		}
	}
}

// Why a request is refused.
var (
	errNone    = errors.New("no token was sent")
	errSeveral = errors.New("several tokens were sent")
	errLong    = fmt.Errorf("the token is longer than %d bytes", tokens.MaxToken)
	errExpiry  = errors.New("token doesn't say when it expires")
	errIssuer  = errors.New("token has another issuer")
)

func (g *guard) refuse(why error) *policy.Answer {
	return &policy.Answer{Refusal: denied, Cause: why, Header: g.invalid}
}

// Explain is policy.Explainer's.
func (g *guard) Explain(r *policy.Request) string {
	return fmt.Sprintf("the token of %.64q is good", r.User)
}
