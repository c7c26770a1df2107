// Package maintenance is the policy that answers in the place of an application while
// that is being worked on.
//
//	policies:
//	  - maintenance: { file: maintenance.html, allow: [10.0.0.0/8], retry_after: 1h }
package maintenance

import (
	_ "embed" // for About
	"errors"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants/network"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

//go:embed config.go
var source string

// Config is the section maintenance of a policy.
type Config struct {
	// Whether it answers. What stands here can be changed by the admin API, until the
	// next reload. Default: true.
	Enabled bool `yaml:"enabled"`

	// Text of the answer. Without text and file it is worded as all refusals are, with
	// the code maintenance. Default: none.
	Text string `yaml:"text"`

	// File that has it, of at most 1 MiB. Default: none.
	File string `yaml:"file"`

	// Content-Type of text or file. Default: text/html; charset=utf-8 for what begins
	// with "<", else text/plain; charset=utf-8.
	ContentType string `yaml:"content_type"`

	// Status of the answer, 200 or 400 to 599. Default: 503.
	Status int `yaml:"status" min:"200" max:"599"`

	// When clients may come again, in Retry-After. 0 doesn't say. Default: 5m.
	RetryAfter settings.Duration `yaml:"retry_after"`

	// Networks whose clients are served as ever, as ip has them; "unix" stands for
	// clients on a Unix socket. Default: none.
	Allow []string `yaml:"allow" single:"true"`

	content []byte // of the file
}

// SetDefaults fills a fresh section.
func (c *Config) SetDefaults() {
	c.Enabled, c.Status, c.RetryAfter = true, 503, settings.Duration(5*time.Minute)
}

const maxPage = 1 << 20

var refused = &policy.Refusal{Status: 503, Code: "maintenance", Message: "the application is being worked on: come again later"}

// About describes the policy.
func (c *Config) About() policy.About {
	return policy.About{Source: source, Refusals: []*policy.Refusal{refused}}
}

// Check reports what is wrong with the section.
func (c *Config) Check(r settings.Reporter) {
	if c.Text != "" && c.File != "" {
		r.Errorf(&c.File, "maintenance has text and file, expected one of them")
	}
	if len(c.Text) > maxPage {
		r.Errorf(&c.Text, "text of %d bytes is too long, expected at most %d", len(c.Text), maxPage)
	}
	if c.Status != 200 && (c.Status < 400 || c.Status > 599) {
		r.Errorf(&c.Status, "status %d is out of range, expected 200 or 400 to 599", c.Status)
	}
	if c.Text == "" && c.File == "" && c.Status != refused.Status {
		r.Errorf(&c.Status, "status %d needs text or file, expected one of them: without it is answered with %d", c.Status, refused.Status)
	}
	if v := []byte(c.ContentType); len(v) > 256 || !message.IsFieldText(v) || len(message.Trim(v)) != len(v) {
		r.Errorf(&c.ContentType, "content_type %.100q is none, expected one like text/html", v)
	}
	for i := range c.Allow {
		if _, ok := network.Parse(c.Allow[i]); !ok && c.Allow[i] != network.Unix {
			r.Errorf(&c.Allow[i], "allow %.100q is not a network, expected one like 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7, or \"unix\" for clients on a Unix socket%s", c.Allow[i], network.Meant(c.Allow[i]))
		}
	}
}

// Load is policy.Loader's.
func (c *Config) Load(read policy.ReadFile, r settings.Reporter) {
	c.content = nil
	if c.File == "" {
		return
	}
	content, err := read(c.File, maxPage)
	if err == nil && len(content) == 0 {
		err = errors.New("it is empty")
	}
	if err != nil {
		r.Errorf(&c.File, "file %q can't be used: %v", c.File, err)
		return
	}
	c.content = content
}
