package policy_test

import (
	_ "embed" // for About
	"errors"
	"fmt"

	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

// What follows is the policy that CONTRIBUTING.md adds; the tests of this package
// use it. A test holds the two to each other.

//go:embed third_test.go
var source string

// Config is the section query of a policy.
type Config struct {
	// Longest query, in bytes; a longer one is answered with 414. Default: 1000.
	Max int `yaml:"max" min:"0" max:"100000"`
}

// SetDefaults fills a fresh section.
func (c *Config) SetDefaults() { c.Max = 1000 }

// Check reports what is wrong with the section.
func (c *Config) Check(r settings.Reporter) {
	if c.Max < 0 || c.Max > 100_000 {
		r.Errorf(&c.Max, "max %d is out of range, expected 0 to 100000", c.Max)
	}
}

var tooLong = &policy.Refusal{Status: 414, Code: "query_too_long", Message: "the query is too long"}

// About describes the policy.
func (c *Config) About() policy.About {
	return policy.About{Source: source, Refusals: []*policy.Refusal{tooLong}}
}

// New builds the policy.
func (c *Config) New(policy.Deps) (policy.Policy, error) { return &limit{most: c.Max}, nil }

type limit struct{ most int }

// Judge lets a request pass whose query is short enough; it has its "?".
func (l *limit) Judge(r *policy.Request) (*policy.Answer, error) {
	if len(r.Query) <= l.most+1 {
		return nil, nil
	}
	return &policy.Answer{Refusal: tooLong, Cause: fmt.Errorf("a query of %d bytes is longer than max (%d)", len(r.Query)-1, l.most)}, nil
}

// Explain says why a request has passed.
func (l *limit) Explain(r *policy.Request) string {
	return fmt.Sprintf("the query has %d bytes, and max is %d", max(0, len(r.Query)-1), l.most)
}

// The policy ends here. What follows is only for tests.

// trying is a policy that does what a test wants.
type trying struct {
	judge func(r *policy.Request) (*policy.Answer, error)
	amend func(r *policy.Request, response *policy.Response)
	done  func(r *policy.Request)
}

var errTrying = errors.New("no decision")

func (t *trying) Judge(r *policy.Request) (*policy.Answer, error)    { return t.judge(r) }
func (t *trying) Amend(r *policy.Request, response *policy.Response) { t.amend(r, response) }
func (t *trying) Done(r *policy.Request)                             { t.done(r) }
func (t *trying) New(policy.Deps) (policy.Policy, error)             { return t, nil }
func (t *trying) Check(settings.Reporter)                            {}
func (t *trying) About() policy.About                                { return policy.About{} }
