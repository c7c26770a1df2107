package apikey

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

// maxKey bounds a key that is sent, in bytes.
const maxKey = 512

// guard is the policy.
type guard struct {
	keys      map[digest]*key
	sent      policy.Credential
	pass      bool
	fields    []field
	challenge message.Header
}

// field is one that targets get.
type field struct {
	name  []byte
	known string
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

// Judge lets a request pass that has one key, which is known. Finding it by its SHA-256
// tells nothing of the others: whoever could choose a key whose hash begins like
// another's would have that one sooner.
func (g *guard) Judge(r *policy.Request) (*policy.Answer, error) {
	sent, places := g.sent.Find(r)
	switch {
	case places == 0:
		return g.refuse(errNone), nil
	case places > 1:
		return g.refuse(errSeveral), nil
	case len(sent) == 0 || len(sent) > maxKey:
		return g.refuse(errNoKey), nil
	}
	k := g.keys[sha256.Sum256(sent)]
	if k == nil {
		return g.refuse(errUnknown), nil
	}
	if !g.pass {
		g.sent.Remove(r)
	}
	r.User = k.Value(consumer)
	r.Leave("api_key", k)
	for i := range g.fields {
		if value := k.Value(g.fields[i].known); value != nil {
			r.SetOwned(g.fields[i].name, value)
		}
	}
	return nil, nil
}

// Why a request is refused.
var (
	errNone    = errors.New("no key was sent")
	errSeveral = errors.New("several keys were sent")
	errNoKey   = errors.New("what was sent is no key")
	errUnknown = errors.New("the key is not known")
)

func (g *guard) refuse(why error) *policy.Answer {
	return &policy.Answer{Refusal: denied, Cause: why, Header: g.challenge}
}

// Explain is policy.Explainer's.
func (g *guard) Explain(r *policy.Request) string {
	return fmt.Sprintf("key %.64q of consumer %.64q is known", r.Left("api_key.id"), r.User)
}
