// Package jwt is the policy that lets clients pass by a JSON Web Token (RFC 7519).
//
//	policies:
//	  - jwt: { jwks_url: "https://id.example.com/jwks", issuer: "https://id.example.com", audience: api }
package jwt

import (
	_ "embed" // for About
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants/fetch"
	tokens "github.com/keystone-gateway/keystone-gateway/tenants/jwt"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

//go:embed config.go
var source string

// Config is the section jwt of a policy.
type Config struct {
	// URL of a key set (JWKS). It is fetched when it is first needed, and again when it
	// ages, or when a token has a key that it doesn't have, at most every 30 seconds;
	// nobody waits for that but the first. Default: none.
	JWKSURL string `yaml:"jwks_url"`

	// A file with a key set, of at most 256 KiB. It is read again at a reload. Default:
	// none.
	JWKSFile string `yaml:"jwks_file"`

	// A file with a public key or a certificate, PEM. It is read again at a reload.
	// Default: none.
	KeyFile string `yaml:"key_file"`

	// The secret of HS256, HS384 and HS512, of at least 32, 48 or 64 bytes:
	// "${file:/run/secrets/jwt}". Default: none.
	Secret string `yaml:"secret" secret:"true"`

	// Algorithms that are accepted. Default: those that fit the keys; HS256 for secret.
	Algorithms []string `yaml:"algorithms" single:"true" enum:"HS256,HS384,HS512,RS256,RS384,RS512,PS256,PS384,PS512,ES256,ES384,ES512,EdDSA"`

	// Who must have issued the token (claim iss), one of these. Default: anybody who has
	// a key.
	Issuer []string `yaml:"issuer" single:"true"`

	// Whom the token must be for (claim aud), one of these. Default: anybody, which lets
	// tokens for other services pass.
	Audience []string `yaml:"audience" single:"true"`

	// By how much clocks may differ, for exp and nbf; up to 10m. Default: 30s.
	Leeway settings.Duration `yaml:"leeway"`

	// Whether a token must say when it expires. Default: true.
	RequireExpiry bool `yaml:"require_expiry"`

	// Claims that a token must have, each with one of these values; "*" is any. Dots lead
	// into claims that are objects. Of a list, one element must be such a value, and of
	// scope and scp one word. A token without gets 403. Default: none.
	Require map[string]*Values `yaml:"require" single:"true"`

	// Field of requests that has the token, behind "Bearer" where it is Authorization.
	// Empty looks at none. Default: Authorization.
	Header string `yaml:"header"`

	// Parameter of the query that has the token, too, such as access_token. Default:
	// none.
	Query string `yaml:"query"`

	// Cookie that has the token, too. Default: none.
	Cookie string `yaml:"cookie"`

	// Claim that says who the client is, for the log and for scripts. Default: sub.
	User string `yaml:"user"`

	// Fields by which scripts and targets get claims, each with the path of one; the
	// elements of a list have commas between them. Clients can't send them: they are
	// removed from their requests in every spelling. Default: none.
	Fields map[string]string `yaml:"fields"`

	// Whether scripts and targets get the token. Default: true.
	PassToken bool `yaml:"pass_token"`

	set    *tokens.Set // of JWKSFile
	public any         // of KeyFile
}

// Values are those that a claim may have.
type Values []string

// SetDefaults fills a fresh section.
func (c *Config) SetDefaults() {
	c.Leeway, c.RequireExpiry, c.Header, c.User, c.PassToken = settings.Duration(30*time.Second), true, authorization, "sub", true
}

const authorization = "Authorization"

// What the policy answers with.
var (
	denied      = &policy.Refusal{Status: 401, Code: "jwt_denied", Message: "a valid token is needed"}
	several     = &policy.Refusal{Status: 400, Code: "jwt_ambiguous", Message: "the request has several tokens"}
	forbidden   = &policy.Refusal{Status: 403, Code: "jwt_insufficient", Message: "the token doesn't allow this"}
	unavailable = &policy.Refusal{Status: 503, Code: "jwt_keys_unavailable", Message: "the token can't be verified now"}
)

// About describes the policy.
func (c *Config) About() policy.About {
	return policy.About{Source: source, Refusals: []*policy.Refusal{denied, several, forbidden, unavailable}}
}

const (
	maxLeeway = 10 * time.Minute
	maxJWKS   = 256 << 10
	maxPEM    = 64 << 10
)

// Check reports what is wrong with the section.
func (c *Config) Check(r settings.Reporter) {
	if c.JWKSURL == "" && c.JWKSFile == "" && c.KeyFile == "" && c.Secret == "" {
		r.Errorf(c, "jwt has no keys, expected jwks_url, jwks_file, key_file or secret")
	}
	if c.JWKSURL != "" {
		if _, err := fetch.Permit(c.JWKSURL); err != nil {
			r.Errorf(&c.JWKSURL, "jwks_url can't be used: %v", err)
		}
	}
	c.checkSecret(r)
	c.checkAlgorithms(r)
	if c.Leeway.Std() < 0 || c.Leeway.Std() > maxLeeway {
		r.Errorf(&c.Leeway, "leeway %v is out of range, expected 0 to 10m", c.Leeway)
	}
	for _, claim := range slices.Sorted(maps.Keys(c.Require)) {
		if values := c.Require[claim]; claim == "" || values == nil || len(*values) == 0 {
			r.Errorf(&c.Require, "require has claim %.64q without a value, expected one, or \"*\" for any", claim)
		}
	}
	if c.Header == "" && c.Query == "" && c.Cookie == "" {
		r.Errorf(c, "jwt is looked for nowhere, expected at least one of header, query and cookie")
	}
	if c.Header != "" && !strings.EqualFold(c.Header, authorization) {
		if err := policy.CheckOwned(c.Header); err != nil {
			r.Errorf(&c.Header, "header: %v", err)
		}
	}
	for key, at := range map[string]*string{"query": &c.Query, "cookie": &c.Cookie} {
		if *at != "" && !message.IsToken([]byte(*at)) {
			r.Errorf(at, "%s %.64q is not a name, expected letters, digits, - and _", key, *at)
		}
	}
	for _, field := range slices.Sorted(maps.Keys(c.Fields)) {
		if err := policy.CheckOwned(field); err != nil {
			r.Errorf(&c.Fields, "fields: %v", err)
		}
		if c.Fields[field] == "" {
			r.Errorf(&c.Fields, "fields: %s has no claim, expected one, such as sub", field)
		}
	}
}

// leastSecret is how long the secret of an algorithm has to be (RFC 7518 §3.2).
var leastSecret = map[string]int{"HS256": 32, "HS384": 48, "HS512": 64}

func (c *Config) checkSecret(r settings.Reporter) {
	if c.Secret == "" {
		return
	}
	key, err := tokens.ParseKey(c.Secret)
	if err != nil {
		r.Errorf(&c.Secret, "secret can't be used: %v", err)
		return
	}
	secret, ok := key.([]byte)
	if !ok {
		r.Errorf(&c.Secret, "secret is a public key, expected it in key_file, since everybody may know it")
		return
	}
	for _, algorithm := range c.accepted(key) {
		if least := leastSecret[algorithm]; len(secret) < least {
			r.Errorf(&c.Secret, "secret has %d bytes, expected at least %d for %s", len(secret), least, algorithm)
			return
		}
	}
}

func (c *Config) checkAlgorithms(r settings.Reporter) {
	for i, algorithm := range c.Algorithms {
		secret := slices.Contains(tokens.AlgorithmsOf([]byte{}), algorithm)
		switch public := c.JWKSURL != "" || c.JWKSFile != "" || c.KeyFile != ""; {
		case secret && c.Secret == "":
			r.Errorf(&c.Algorithms[i], "algorithm %s needs secret, which isn't there", algorithm)
		case !secret && !public:
			r.Errorf(&c.Algorithms[i], "algorithm %s needs jwks_url, jwks_file or key_file, none of which is there", algorithm)
		}
	}
}

// accepted are the algorithms that may be used with a key.
func (c *Config) accepted(key any) (list []string) {
	for _, algorithm := range tokens.AlgorithmsOf(key) {
		if slices.Contains(c.Algorithms, algorithm) || len(c.Algorithms) == 0 && (algorithm == "HS256" || !strings.HasPrefix(algorithm, "HS")) {
			list = append(list, algorithm)
		}
	}
	return list
}

// Warn is policy.Warner's.
func (c *Config) Warn(warn func(field any, format string, args ...any)) {
	if strings.HasPrefix(c.JWKSURL, "http:") {
		warn(&c.JWKSURL, "jwks_url is http: whoever stands on the way can give other keys; expected https")
	}
	if len(c.Audience) == 0 {
		warn(c, "jwt has no audience: tokens that were issued for other services pass too")
	}
}

// Load is policy.Loader's.
func (c *Config) Load(read policy.ReadFile, r settings.Reporter) {
	c.set, c.public = nil, nil
	if c.JWKSFile != "" {
		content, err := read(c.JWKSFile, maxJWKS)
		if err == nil {
			c.set, err = tokens.ParseSet(content)
		}
		if err != nil {
			r.Errorf(&c.JWKSFile, "jwks_file %q can't be used: %v", c.JWKSFile, err)
		}
	}
	if c.KeyFile == "" {
		return
	}
	content, err := read(c.KeyFile, maxPEM)
	if err == nil {
		c.public, err = tokens.ParseKey(string(content))
	}
	_, secret := c.public.([]byte)
	switch {
	case err != nil:
		r.Errorf(&c.KeyFile, "key_file %q can't be used: %v", c.KeyFile, err)
	case secret:
		r.Errorf(&c.KeyFile, "key_file %q has no PEM, expected a public key or a certificate; a secret is for secret: ${file:…}", c.KeyFile)
	case len(c.accepted(c.public)) == 0:
		r.Errorf(&c.KeyFile, "key_file %q has a key for %s, and algorithms has none of them", c.KeyFile, strings.Join(tokens.AlgorithmsOf(c.public), ", "))
	}
}
