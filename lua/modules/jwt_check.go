package modules

import (
	"context"
	"slices"
	"strings"

	glua "github.com/yuin/gopher-lua"

	"github.com/keystone-gateway/keystone-gateway/lua/vm"
	"github.com/keystone-gateway/keystone-gateway/tenants/fetch"
	"github.com/keystone-gateway/keystone-gateway/tenants/jwt"
)

const (
	maxKeyText = 16 << 10 // bytes of a secret or PEM
	maxNames   = 100      // entries of a list in the options
)

// check is what a token must be: the options of jwt.verify.
type check struct {
	jwt.Check
	key  any    // a []byte is a secret; nil where there is jwks
	jwks string // URL
}

// readCheck reads the options. Everything that is wrong with them is raised:
// returned, it would look like a bad token.
func readCheck(L *glua.LState, t *Tenant) *check {
	o := checkOptions(options{L: L, arg: 2, table: vm.CheckTable(L, 2)}, []string{
		"key", "jwks", "algorithms", "issuer", "audience", "leeway", "required",
	})
	c := &check{}
	c.Leeway = o.number("leeway", 0, 3600, 0)
	var given bool
	if c.Issuer, given = o.text("issuer"); given && c.Issuer == "" {
		o.fail("issuer is empty")
	}
	c.Audience, _ = o.list("audience", maxNames, false)
	if slices.Contains(c.Audience, "") {
		o.fail("audience is empty")
	}
	if c.Required, given = o.list("required", maxNames, true); !given {
		c.Required = []string{"exp"}
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
	fitting := jwt.SetAlgorithms()
	if c.key != nil {
		fitting = jwt.AlgorithmsOf(c.key)
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
	c.Algorithms = given
}

// keysFor returns the keys that may have signed a token.
func (c *check) keysFor(L *glua.LState, t *Tenant, k *jwt.Token) ([]any, error) {
	if err := c.Accepts(k); err != nil {
		return nil, err
	}
	if c.key != nil {
		return []any{c.key}, nil
	}
	return t.keys.Find(jwt.Source{Client: t.HTTP, Now: t.Clock.Now}, c.jwks, k, func(fetched <-chan struct{}) {
		vm.RunOf(L).Block(L, func(ctx context.Context) {
			select {
			case <-fetched:
			case <-ctx.Done():
			}
		})
	})
}

// signingKey returns the key for an algorithm.
func (o options) signingKey(t *Tenant, algorithm string) any {
	text, ok := o.text("key")
	if !ok {
		o.fail("key is missing")
	}
	key := o.parseKey(t, text, true)
	if fitting := jwt.AlgorithmsOf(key); !slices.Contains(fitting, algorithm) {
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
	if key := t.keys.Parsed(text, private); key != nil {
		return key
	}
	run.Spend(o.L, jwt.ParseWork)
	key, err := t.keys.ParseKey(text, private)
	if err != nil {
		o.fail("key: %s", err)
	}
	return key
}
