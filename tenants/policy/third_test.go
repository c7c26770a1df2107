package policy_test

import (
	_ "embed" // for About
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

// What follows is the policy that CONTRIBUTING.md adds; the tests of this package
// use it. A test holds the two to each other.

//go:embed third_test.go
var source string

// Config is the section concurrency of a policy.
type Config struct {
	// Requests of the tenant that may be in progress at once; more are answered with
	// 503. Default: 100.
	Max int `yaml:"max" min:"1" max:"100000"`
}

// SetDefaults fills a fresh section.
func (c *Config) SetDefaults() { c.Max = 100 }

// Check reports what is wrong with the section.
func (c *Config) Check(r settings.Reporter) {
	if c.Max < 1 || c.Max > 100_000 {
		r.Errorf(&c.Max, "max %d is out of range, expected 1 to 100000", c.Max)
	}
}

var full = &policy.Refusal{Status: 503, Code: "concurrency_exceeded", Message: "too many requests are in progress"}

// About describes the policy.
func (c *Config) About() policy.About {
	return policy.About{Source: source, Refusals: []*policy.Refusal{full}}
}

// New builds the policy.
func (c *Config) New(policy.Deps) (policy.Policy, error) { return &limit{most: int64(c.Max)}, nil }

type limit struct {
	most       int64
	inProgress atomic.Int64
}

// Judge lets a request pass while there are few enough.
func (l *limit) Judge(r *policy.Request) (*policy.Answer, error) {
	if l.inProgress.Add(1) <= l.most {
		r.Memo.Numbers[0] = 1 // to be given back
		return nil, nil
	}
	l.inProgress.Add(-1)
	return &policy.Answer{
		Refusal: full, Cause: fmt.Errorf("max (%d) requests are in progress", l.most),
		Header: message.Header{{Name: []byte("Retry-After"), Value: []byte("1")}},
	}, nil
}

// Done gives back what Judge took.
func (l *limit) Done(r *policy.Request) { l.inProgress.Add(-r.Memo.Numbers[0]) }

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
