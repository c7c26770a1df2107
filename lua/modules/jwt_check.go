package modules

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/tenants/fetch"
)

const (
	maxKeyText = 16 << 10 // bytes of a secret or PEM
	maxNames   = 100      // entries of a list in the options
	// maxParsed bounds the keys that a tenant keeps parsed.
	maxParsed = 64
	// maxDate is far beyond any date and far below what time.Time can't hold.
	maxDate = 1e15
)

// check is what a token must be: the options of jwt.verify.
type check struct {
	key        any    // a []byte is a secret; nil where there is jwks
	jwks       string // URL
	algorithms []string
	issuer     string
	audience   []string
	leeway     float64 // seconds
	required   []string
}

// readCheck reads the options. Everything that is wrong with them is raised:
// returned, it would look like a bad token.
func readCheck(L *glua.LState, t *Tenant) *check {
	o := checkOptions(options{L: L, arg: 2, table: vm.CheckTable(L, 2)}, []string{
		"key", "jwks", "algorithms", "issuer", "audience", "leeway", "required",
	})
	c := &check{leeway: o.number("leeway", 0, 3600, 0)}
	var given bool
	if c.issuer, given = o.text("issuer"); given && c.issuer == "" {
		o.fail("issuer is empty")
	}
	c.audience, _ = o.list("audience", maxNames, false)
	if slices.Contains(c.audience, "") {
		o.fail("audience is empty")
	}
	if c.required, given = o.list("required", maxNames, true); !given {
		c.required = []string{"exp"}
	}
	o.readKey(t, c)
	o.readAlgorithms(c)
	return c
}

func (o options) readKey(t *Tenant, c *check) {
	key, hasKey := o.text("key")
	url, hasURL := o.text("jwks")
	switch {
	case hasKey && hasURL:
		o.fail("key and jwks exclude each other")
	case hasKey:
		c.key = o.parseKey(t, key, false)
	case !hasURL || url == "":
		o.fail("key or jwks is missing")
	case len(url) > fetch.MaxURL:
		o.fail("jwks is longer than %d bytes", fetch.MaxURL)
	case t.HTTP == nil:
		o.fail("jwks needs requests, which are not enabled for this tenant")
	}
	c.jwks = url
}

// readAlgorithms makes sure that each accepted algorithm fits the key: the
// token chooses among them, and must never turn a public key into a secret.
func (o options) readAlgorithms(c *check) {
	fitting := allAlgorithms()[len(hmacAlgorithms):]
	if c.key != nil {
		fitting = algorithmsOf(c.key)
	}
	given, ok := o.list("algorithms", maxNames, false)
	if _, secret := c.key.([]byte); secret && !ok {
		o.fail("algorithms is missing: a secret needs one or more of %s", strings.Join(fitting, ", "))
	}
	if !ok {
		given = fitting
	}
	for _, algorithm := range given {
		if !slices.Contains(fitting, algorithm) {
			o.fail("algorithm %.20q does not fit the key, only %s", algorithm, strings.Join(fitting, ", "))
		}
	}
	c.algorithms = given
}

// keysFor returns the keys that may have signed a token.
func (c *check) keysFor(L *glua.LState, t *Tenant, k *token) ([]any, error) {
	if !slices.Contains(c.algorithms, k.algorithm) {
		return nil, errAlgorithm
	}
	if c.key != nil {
		return []any{c.key}, nil
	}
	return t.keys.find(L, t, c.jwks, k)
}

// claims looks at the registered claims: RFC 7519 section 4.1.
func (c *check) claims(claims jwt.MapClaims, now time.Time) error {
	for _, name := range c.required {
		if claims[name] == nil {
			return fmt.Errorf("token has no claim %.60q", name)
		}
	}
	exp, hasExp, err := date(claims, "exp")
	if err != nil {
		return err
	}
	nbf, hasNbf, err := date(claims, "nbf")
	if err != nil {
		return err
	}
	seconds := float64(now.UnixNano()) / 1e9
	if hasExp && seconds >= exp+c.leeway {
		return errors.New("token is expired")
	}
	if hasNbf && seconds < nbf-c.leeway {
		return errors.New("token is not valid yet")
	}
	if c.issuer != "" && claims["iss"] != c.issuer {
		return errors.New("token has another issuer")
	}
	return c.checkAudience(claims)
}

func (c *check) checkAudience(claims jwt.MapClaims) error {
	if len(c.audience) == 0 {
		return nil
	}
	audience, err := claims.GetAudience()
	if err != nil {
		return errors.New("token has a malformed audience")
	}
	for _, a := range audience {
		if slices.Contains(c.audience, a) {
			return nil
		}
	}
	return errors.New("token is for another audience")
}

// date returns a claim that is a time, in seconds. golang-jwt takes 0 for
// absent and huge numbers for any time; here they are what they say, or wrong.
func date(claims jwt.MapClaims, name string) (seconds float64, ok bool, err error) {
	value, ok := claims[name]
	if !ok {
		return 0, false, nil
	}
	seconds, ok = value.(float64)
	if !ok || math.Abs(seconds) > maxDate {
		return 0, false, fmt.Errorf("token has a malformed claim %q", name)
	}
	return seconds, true, nil
}

// signingKey returns the key for an algorithm.
func (o options) signingKey(t *Tenant, algorithm string) any {
	text, ok := o.text("key")
	if !ok {
		o.fail("key is missing")
	}
	key := o.parseKey(t, text, true)
	if fitting := algorithmsOf(key); !slices.Contains(fitting, algorithm) {
		o.fail("algorithm %s does not fit the key, only %s", algorithm, strings.Join(fitting, ", "))
	}
	return key
}

// parseKey returns the key that a text is: a public one, a private one, or a
// secret as []byte. Parsed keys are kept, because parsing costs more than
// verifying.
func (o options) parseKey(t *Tenant, text string, private bool) any {
	if text == "" {
		o.fail("key is empty")
	}
	if len(text) > maxKeyText {
		o.fail("key is longer than %d bytes", maxKeyText)
	}
	run := vm.RunOf(o.L)
	run.Charge(o.L, 2*len(text))
	run.Spend(o.L, 50+len(text)/8)
	id := parsedID{sha256.Sum256([]byte(text)), private}
	if key := t.keys.parsedKey(id); key != nil {
		return key
	}
	run.Spend(o.L, parseWork)
	key, err := parseKey(text, private)
	if err != nil {
		o.fail("key: %s", err)
	}
	t.keys.keepParsed(id, key)
	return key
}

// parsedID names a parsed key without holding its text.
type parsedID struct {
	sum     [sha256.Size]byte
	private bool
}

func (s *keySets) parsedKey(id parsedID) any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.parsed[id]
}

func (s *keySets) keepParsed(id parsedID, key any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.parsed) >= maxParsed || s.parsed == nil {
		s.parsed = map[parsedID]any{} // so many keys are none that come again
	}
	s.parsed[id] = key
}
