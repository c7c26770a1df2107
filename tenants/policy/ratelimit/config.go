// Package ratelimit is the policy that bounds how many requests come in a time, and
// whose are counted together.
//
//	policies:
//	  - rate_limit: { rate: 10/s, burst: 20, by: client }
package ratelimit

import (
	_ "embed" // for About
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants/network"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
	"github.com/keystone-gateway/keystone-gateway/tenants/store"
)

//go:embed config.go
var source string

// Config is the section rate_limit of a policy.
type Config struct {
	// How many requests may come in which time: a number, a slash, and s, m, h or d for
	// a second, a minute, an hour or a day, or a duration: 10/s, 300/m, 20/10s. They come
	// back one by one, evenly: of 300/m one every 0.2 seconds.
	Rate Rate `yaml:"rate" required:"true"`

	// How many may come at once, as long as fewer came before. 0 is as many as the
	// number of rate: 10 for 10/s. Default: 0.
	Burst int64 `yaml:"burst" min:"0" max:"1000000000"`

	// Whose requests are counted together: those of the same client (by address; in
	// IPv6 by the network of 64 bits), tenant (all of them), path, host, method,
	// certificate, header:NAME, cookie:NAME, or of the same value that an earlier policy
	// has found out, such as jwt.sub. Of a list, those that have the same of all. What a
	// request doesn't have is replaced by the client. Default: client.
	By []string `yaml:"by" single:"true"`

	// Name of the limit in the fields that tell clients of it: letters, digits, dots,
	// hyphens and underscores. Default: that of by, and "-2", "-3" … where several are the same.
	Name string `yaml:"name"`

	// Networks whose clients are neither counted nor refused, as ip has them; "unix"
	// stands for clients on a Unix socket. Default: none.
	Exempt []string `yaml:"exempt" single:"true"`

	// Whether nobody is refused, and only counted who would be. Default: false.
	DryRun bool `yaml:"dry_run"`

	// Whether responses tell clients of the limit, and what is left of it, in the fields
	// RateLimit-Policy and RateLimit. Default: true.
	Headers bool `yaml:"headers"`

	// Where requests are counted: redis is the configuration's store, together with all
	// gateways that have it; local is this process, by itself. Default: redis if there is
	// a store, else local.
	Store string `yaml:"store" enum:"redis,local"`

	// What holds while the store is away, or too slow, or has something else under the
	// limit's key: local counts here, with the same
	// rate and burst; open lets all pass; closed refuses all. Default: local.
	OnStoreError string `yaml:"on_store_error" enum:"local,open,closed"`
}

// SetDefaults fills a fresh section.
func (c *Config) SetDefaults() { c.Headers, c.OnStoreError = true, policy.OnErrorLocal }

var limited = &policy.Refusal{Status: 429, Code: "rate_limited", Message: "too many requests have come: wait as long as Retry-After says"}

// About describes the policy.
func (c *Config) About() policy.About {
	return policy.About{Source: source, Refusals: []*policy.Refusal{limited, policy.StoreUnavailable}}
}

// Check reports what is wrong with the section.
func (c *Config) Check(r settings.Reporter) {
	if c.Rate.Count == 0 {
		r.Errorf(&c.Rate, "rate is missing, expected one like 10/s")
	} else if _, err := c.quota(); err != nil {
		r.Errorf(&c.Rate, "rate %s with a burst of %d can't be kept: %v", c.Rate, c.burst(), err)
	}
	if c.Burst < 0 || c.Burst > maxCount {
		r.Errorf(&c.Burst, "burst %d is out of range, expected 0 to %d", c.Burst, maxCount)
	}
	policy.CheckKey(r, &c.By)
	if c.Name != "" && (!isName(c.Name) || len(c.Name) > 64) {
		r.Errorf(&c.Name, "name %.80q is no name, expected at most 64 letters, digits, dots, hyphens and underscores", c.Name)
	}
	policy.CheckStore(r, &c.Store, &c.OnStoreError)
	for i := range c.Exempt {
		if _, ok := network.Parse(c.Exempt[i]); !ok && c.Exempt[i] != network.Unix {
			r.Errorf(&c.Exempt[i], "exempt %.100q is not a network, expected one like 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7, or \"unix\" for clients on a Unix socket%s", c.Exempt[i], network.Meant(c.Exempt[i]))
		}
	}
}

func isName(s string) bool {
	return message.IsToken([]byte(s)) && !strings.ContainsAny(s, "!#$%&'*+^`|~")
}

// Warn is policy.Warner's.
func (c *Config) Warn(warn func(field any, format string, args ...any)) {
	byClaim := func(word string) bool {
		return strings.HasPrefix(word, "header:") || strings.HasPrefix(word, "cookie:")
	}
	for i := range c.By {
		if byClaim(c.By[i]) {
			warn(&c.By[i], "by %s counts for each value by itself, and who sends requests chooses it: a limit by client beside this one, or a policy before it that checks the value, bounds those who make values up", c.By[i])
		}
	}
}

func (c *Config) burst() int64 {
	if c.Burst == 0 {
		return c.Rate.Count
	}
	return c.Burst
}

func (c *Config) quota() (store.Quota, error) {
	return store.NewQuota(float64(c.Rate.Count), c.Rate.Per.Seconds(), float64(c.burst()), 1)
}
