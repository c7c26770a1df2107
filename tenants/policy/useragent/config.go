// Package useragent is the policy that lets clients pass by the program that they say
// they are.
//
//	policies:
//	  - user_agent: { deny: ["*GPTBot*", "curl/*"] }
package useragent

import (
	_ "embed" // for About
	"errors"
	"fmt"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

//go:embed config.go
var source string

// Config is the section user_agent of a policy.
type Config struct {
	// Patterns of User-Agent that pass, such as "*Firefox/*"; all others are refused. A
	// "*" stands for any text, and case makes no difference. Default: none, and whatever
	// isn't in deny passes. With allow or deny, more than 2 KiB of User-Agent is refused.
	Allow []string `yaml:"allow" single:"true"`

	// Patterns of User-Agent that are refused, whatever allow says. Default: none.
	Deny []string `yaml:"deny" single:"true"`

	// Whether requests without a User-Agent, or with an empty one, are refused, which
	// they are where there is an allow. Default: false.
	DenyMissing bool `yaml:"deny_missing"`
}

// maxField bounds what is compared of a request, in bytes: a thousand patterns are looked
// for in all of it.
const maxField = 2 << 10

var denied = &policy.Refusal{Status: 403, Code: "user_agent_denied", Message: "this program is not served"}

// About describes the policy.
func (c *Config) About() policy.About {
	return policy.About{Source: source, Refusals: []*policy.Refusal{denied}}
}

// Check reports what is wrong with the section.
func (c *Config) Check(r settings.Reporter) {
	if c.Allow == nil && c.Deny == nil && !c.DenyMissing {
		r.Errorf(c, "user_agent refuses nobody, expected allow, deny or deny_missing")
	}
	policy.CheckGlobs(r, "allow", &c.Allow)
	policy.CheckGlobs(r, "deny", &c.Deny)
}

// New builds the policy.
func (c *Config) New(policy.Deps) (policy.Policy, error) {
	return &programs{policy.NewGlobs(c.Allow), policy.NewGlobs(c.Deny), c.DenyMissing || c.Allow != nil}, nil
}

// programs is the policy.
type programs struct {
	allow, deny policy.Globs
	denyMissing bool
}

// Judge lets a request pass, or refuses it, by each of its User-Agent fields.
func (p *programs) Judge(r *policy.Request) (*policy.Answer, error) {
	found, size := false, 0
	for i := range *r.Header {
		f := &(*r.Header)[i]
		if f.Dropped || len(f.Value) == 0 || !message.EqualFold(f.Name, "user-agent") {
			continue
		}
		found = true
		if size += len(f.Value); size > maxField && (p.allow != nil || p.deny != nil) {
			return refuse(fmt.Errorf("User-Agent %.200q… is too long to compare, expected at most %d bytes", f.Value, maxField)), nil
		}
		lower := r.Lower(f.Value)
		if glob := p.deny.Find(lower); glob != nil {
			return refuse(fmt.Errorf("User-Agent %.200q is %q of deny", f.Value, glob)), nil
		}
		if p.allow != nil && p.allow.Find(lower) == nil {
			return refuse(fmt.Errorf("User-Agent %.200q is none of allow", f.Value)), nil
		}
	}
	if !found && p.denyMissing {
		return refuse(errors.New("the request has no User-Agent")), nil
	}
	return nil, nil
}

func refuse(cause error) *policy.Answer { return &policy.Answer{Refusal: denied, Cause: cause} }

// Explain is policy.Explainer's.
func (p *programs) Explain(*policy.Request) string {
	if p.allow != nil {
		return "its User-Agent is in allow"
	}
	return "its User-Agent is not in deny"
}
