// Package referer is the policy that lets requests pass by the site that has led to
// them, so that others don't show a site's images as their own.
//
//	policies:
//	  - referer: { allow: [example.com, "*.example.com"] }
package referer

import (
	"bytes"
	_ "embed" // for About
	"errors"
	"fmt"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
	"github.com/keystone-gateway/keystone-gateway/tenants/route"
)

//go:embed config.go
var source string

// Config is the section referer of a policy.
type Config struct {
	// Patterns of hosts whose pages may lead here, such as "example.com" and
	// "*.example.com", without scheme and port; a "*" stands for any text. The request's
	// own host always may. Default: none, and every host that isn't in deny may.
	Allow []string `yaml:"allow" single:"true"`

	// Patterns of hosts whose pages may not, whatever allow says. Default: none.
	Deny []string `yaml:"deny" single:"true"`

	// Whether requests without a Referer are refused. Browsers leave it out where a
	// page asks for that, and for what users type. Default: false.
	DenyMissing bool `yaml:"deny_missing"`
}

// maxLines bounds the fields of a request that are looked at: each is compared with a
// thousand patterns.
const maxLines = 8

var denied = &policy.Refusal{Status: 403, Code: "referer_denied", Message: "pages of other sites may not lead here"}

// About describes the policy.
func (c *Config) About() policy.About {
	return policy.About{Source: source, Refusals: []*policy.Refusal{denied}}
}

// Check reports what is wrong with the section.
func (c *Config) Check(r settings.Reporter) {
	if c.Allow == nil && c.Deny == nil && !c.DenyMissing {
		r.Errorf(c, "referer refuses nobody, expected allow, deny or deny_missing")
	}
	for key, list := range map[string]*[]string{"allow": &c.Allow, "deny": &c.Deny} {
		policy.CheckGlobs(r, key, list)
		for i := range *list {
			if bytes.ContainsAny([]byte((*list)[i]), ":/?#@ ") {
				r.Errorf(&(*list)[i], "%s has %.100q, expected a host like example.com, without scheme, port and path", key, (*list)[i])
			}
		}
	}
}

// New builds the policy.
func (c *Config) New(policy.Deps) (policy.Policy, error) {
	return &sites{policy.NewGlobs(c.Allow), policy.NewGlobs(c.Deny), c.DenyMissing}, nil
}

// sites is the policy.
type sites struct {
	allow, deny policy.Globs
	denyMissing bool
}

// Judge lets a request pass, or refuses it, by each of its Referer fields.
func (s *sites) Judge(r *policy.Request) (*policy.Answer, error) {
	found, lines := false, 0
	for i := range *r.Header {
		f := &(*r.Header)[i]
		if f.Dropped || len(f.Value) == 0 || !message.EqualFold(f.Name, "referer") {
			continue
		}
		found = true
		if lines++; lines > maxLines {
			return refuse(fmt.Errorf("the request has more than %d Referer fields", maxLines)), nil
		}
		if why := s.refuses(r, f.Value); why != nil {
			return refuse(why), nil
		}
	}
	if !found && s.denyMissing {
		return refuse(errors.New("the request has no Referer")), nil
	}
	return nil, nil
}

func (s *sites) refuses(r *policy.Request, referer []byte) error {
	host := hostOf(r, referer)
	switch {
	case host == nil:
		return fmt.Errorf("its Referer %.200q has no host", referer)
	case bytes.Equal(host, r.Host):
		return nil
	}
	if glob := s.deny.Find(host); glob != nil {
		return fmt.Errorf("the host of Referer %.200q is %q of deny", referer, glob)
	}
	if s.allow != nil && s.allow.Find(host) == nil {
		return fmt.Errorf("the host of Referer %.200q is none of allow", referer)
	}
	return nil
}

// hostOf returns the canonical host of a URL, or nil.
func hostOf(r *policy.Request, url []byte) []byte {
	scheme, rest, ok := bytes.Cut(url, []byte("://"))
	if !ok || !message.EqualFold(scheme, "https") && !message.EqualFold(scheme, "http") {
		return nil
	}
	if end := bytes.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	if bytes.IndexByte(rest, '@') >= 0 || len(rest) == 0 || len(rest) > 300 {
		return nil
	}
	host, err := route.CanonicalHost(nil, r.Lower(rest))
	if err != nil {
		return nil
	}
	return host
}

func refuse(cause error) *policy.Answer { return &policy.Answer{Refusal: denied, Cause: cause} }

// Explain is policy.Explainer's.
func (s *sites) Explain(r *policy.Request) string {
	if policy.Lines(*r.Header, "referer") == 0 {
		return "it has no Referer"
	}
	if s.allow != nil {
		return "the host of its Referer is its own, or in allow"
	}
	return "the host of its Referer is its own, or not in deny"
}
