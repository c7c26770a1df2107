// Package csrf is the policy that refuses requests which other sites have had a
// browser send in its user's name.
//
//	policies:
//	  - csrf: { trusted_origins: https://app.example.com }
package csrf

import (
	_ "embed" // for About

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

//go:embed config.go
var source string

// Config is the section csrf of a policy.
type Config struct {
	// Origins besides the request's own whose pages may send requests that change
	// something, as browsers write them: "https://app.example.com". Default: none.
	TrustedOrigins []string `yaml:"trusted_origins" single:"true"`

	// Name of a cookie whose value such requests must bring in the field token_header
	// too, which only scripts of the same origin can. The gateway sets the cookie where
	// a client has none. Default: none, and no such value is asked for.
	TokenCookie string `yaml:"token_cookie"`

	// Name of that field. Default: X-CSRF-Token.
	TokenHeader string `yaml:"token_header"`
}

// SetDefaults fills a fresh section.
func (c *Config) SetDefaults() { c.TokenHeader = "X-CSRF-Token" }

const maxOrigins = 1000

var refused = &policy.Refusal{Status: 403, Code: "csrf_refused", Message: "the request seems to come from another site"}

// About describes the policy.
func (c *Config) About() policy.About {
	return policy.About{Source: source, Refusals: []*policy.Refusal{refused}}
}

// Check reports what is wrong with the section.
func (c *Config) Check(r settings.Reporter) {
	if len(c.TrustedOrigins) > maxOrigins {
		r.Errorf(&c.TrustedOrigins, "%d trusted_origins are too many, expected at most %d", len(c.TrustedOrigins), maxOrigins)
	}
	for i := range c.TrustedOrigins {
		text := c.TrustedOrigins[i]
		o, meant := policy.ParseOrigin(text)
		if meant == "" && o.Below {
			meant = "; each by itself: what lets requests change something has no \"*\""
		}
		if meant != "" {
			r.Errorf(&c.TrustedOrigins[i], "trusted origin %.200q is none, expected a scheme and a host like https://app.example.com%s", text, meant)
		}
	}
	if c.TokenCookie != "" && (!message.IsToken([]byte(c.TokenCookie)) || len(c.TokenCookie) > 128) {
		r.Errorf(&c.TokenCookie, "token_cookie %.100q is not the name of a cookie, expected one like csrf", c.TokenCookie)
	}
	if !message.IsToken([]byte(c.TokenHeader)) || len(c.TokenHeader) > 128 {
		r.Errorf(&c.TokenHeader, "token_header %.100q is not the name of a field, expected one like X-CSRF-Token", c.TokenHeader)
	}
}
