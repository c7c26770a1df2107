// Package securityheaders is the policy that adds the fields by which browsers protect
// a site's users.
//
//	policies:
//	  - security_headers: { content_security_policy: "default-src 'self'" }
package securityheaders

import (
	_ "embed" // for About
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

//go:embed config.go
var source string

// Config is the section security_headers of a policy. A value of "" sends no such
// field.
type Config struct {
	// How long browsers are to come by TLS only (Strict-Transport-Security), which is
	// said over TLS only; it can't be taken back earlier. 0 doesn't say so. Default:
	// 8760h, a year.
	HSTSMaxAge settings.Duration `yaml:"hsts_max_age"`

	// Whether that holds for all hosts below as well. Default: false.
	HSTSSubdomains bool `yaml:"hsts_subdomains"`

	// Whether browsers' makers may have the host in their lists; they ask for a year at
	// least, and hsts_subdomains. Default: false.
	HSTSPreload bool `yaml:"hsts_preload"`

	// Content-Security-Policy. Default: none.
	ContentSecurityPolicy string `yaml:"content_security_policy"`

	// Content-Security-Policy-Report-Only: one to try out. Default: none.
	ContentSecurityPolicyReportOnly string `yaml:"content_security_policy_report_only"`

	// X-Frame-Options: who may show the site in a frame. Default: SAMEORIGIN.
	FrameOptions string `yaml:"frame_options"`

	// X-Content-Type-Options. Default: nosniff.
	ContentTypeOptions string `yaml:"content_type_options"`

	// Referrer-Policy. Default: strict-origin-when-cross-origin.
	ReferrerPolicy string `yaml:"referrer_policy"`

	// Permissions-Policy. Default: none.
	PermissionsPolicy string `yaml:"permissions_policy"`

	// Cross-Origin-Opener-Policy. Default: same-origin-allow-popups.
	CrossOriginOpenerPolicy string `yaml:"cross_origin_opener_policy"`

	// Cross-Origin-Resource-Policy. Default: none.
	CrossOriginResourcePolicy string `yaml:"cross_origin_resource_policy"`

	// Cross-Origin-Embedder-Policy. Default: none.
	CrossOriginEmbedderPolicy string `yaml:"cross_origin_embedder_policy"`

	// Fields of responses that tell what a site is made with, and are removed. Default:
	// Server, X-Powered-By, X-AspNet-Version, X-AspNetMvc-Version.
	Hide []string `yaml:"hide" single:"true"`

	// Whether the fields above take the place of those that a target or a script has
	// sent. Default: false, and who has sent one knows better.
	Override bool `yaml:"override"`
}

// SetDefaults fills a fresh section.
func (c *Config) SetDefaults() {
	*c = Config{
		HSTSMaxAge: settings.Duration(365 * 24 * time.Hour), FrameOptions: "SAMEORIGIN", ContentTypeOptions: "nosniff",
		ReferrerPolicy: "strict-origin-when-cross-origin", CrossOriginOpenerPolicy: "same-origin-allow-popups",
		Hide: []string{"Server", "X-Powered-By", "X-AspNet-Version", "X-AspNetMvc-Version"},
	}
}

const (
	maxValue  = 8 << 10
	maxMaxAge = 100 * 365 * 24 * time.Hour
	leastList = 365 * 24 * time.Hour // of what makers of browsers ask for
)

// About describes the policy.
func (c *Config) About() policy.About { return policy.About{Source: source} }

// line is a field with its value in the configuration.
type line struct {
	name  string
	value *string
}

func (c *Config) lines() []line {
	return []line{
		{"Content-Security-Policy", &c.ContentSecurityPolicy}, {"Content-Security-Policy-Report-Only", &c.ContentSecurityPolicyReportOnly},
		{"X-Frame-Options", &c.FrameOptions}, {"X-Content-Type-Options", &c.ContentTypeOptions}, {"Referrer-Policy", &c.ReferrerPolicy},
		{"Permissions-Policy", &c.PermissionsPolicy}, {"Cross-Origin-Opener-Policy", &c.CrossOriginOpenerPolicy},
		{"Cross-Origin-Resource-Policy", &c.CrossOriginResourcePolicy}, {"Cross-Origin-Embedder-Policy", &c.CrossOriginEmbedderPolicy},
	}
}

// Check reports what is wrong with the section.
func (c *Config) Check(r settings.Reporter) {
	for _, l := range c.lines() {
		switch v := []byte(*l.value); {
		case len(v) > maxValue:
			r.Errorf(l.value, "%s of %d bytes is too long, expected at most %d", l.name, len(v), maxValue)
		case !message.IsFieldText(v) || len(message.Trim(v)) != len(v):
			r.Errorf(l.value, "%s is no value of a field, expected one line without white space around it", l.name)
		}
	}
	if c.HSTSMaxAge.Std() > maxMaxAge {
		r.Errorf(&c.HSTSMaxAge, "hsts_max_age %s is out of range, expected at most %s", c.HSTSMaxAge, settings.Duration(maxMaxAge))
	}
	if c.HSTSPreload && (!c.HSTSSubdomains || c.HSTSMaxAge.Std() < leastList) {
		r.Errorf(&c.HSTSPreload, "hsts_preload needs hsts_subdomains and an hsts_max_age of at least %s, expected both", settings.Duration(leastList))
	}
	for i := range c.Hide {
		switch name := []byte(c.Hide[i]); {
		case !message.IsToken(name) || len(name) > 256:
			r.Errorf(&c.Hide[i], "hide has %.100q, expected the name of a field", name)
		case message.Identify(name) != message.Unknown:
			r.Errorf(&c.Hide[i], "field %q can't be hidden: the message needs it", name)
		}
	}
}
