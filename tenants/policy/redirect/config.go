// Package redirect is the policy that answers with another URL: with TLS, with or
// without www, or elsewhere altogether.
//
//	policies:
//	  - redirect: { https: true, www: remove }
package redirect

import (
	_ "embed" // for About
	"slices"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
	"github.com/keystone-gateway/keystone-gateway/tenants/route"
)

//go:embed config.go
var documented string

// Config is the section redirect of a policy. A request is led once to where all of
// its keys together lead.
type Config struct {
	// Whether requests that have come without TLS are led to the same URL with https.
	// Default: false.
	HTTPS bool `yaml:"https"`

	// Whether hosts lose a leading "www." (remove), or get one that have none (add).
	// Default: neither.
	WWW string `yaml:"www" enum:"add,remove"`

	// Path whose requests are led to "to": all of it, such as /old, or, with "/*" at its
	// end, everything below as well. It is compared in its canonical form. Default: all
	// paths, if there is a "to".
	From string `yaml:"from"`

	// Path, or URL with http or https, to which such requests are led. A "*" at its end
	// stands for what the "*" of from has, which is the whole path where there is no
	// from. The query goes along, unless there is one here; a path that is itself one of
	// from is an error. Default: none.
	To string `yaml:"to"`

	// Status of the answer: 301 and 308 may be kept for ever, 302, 303 and 307 are for
	// now; 307 and 308 keep the method and the body. Default: 308.
	Status int `yaml:"status" min:"301" max:"308"`
}

// SetDefaults fills a fresh section.
func (c *Config) SetDefaults() { c.Status = 308 }

const maxText = 4 << 10

// noHost has the code of all requests whose Host is wrong.
var noHost = &policy.Refusal{Status: 400, Code: "bad_host", Message: "the Host is missing, and without it there is nowhere to lead the request to"}

// About describes the policy.
func (c *Config) About() policy.About {
	return policy.About{Source: documented, Refusals: []*policy.Refusal{noHost}}
}

// Check reports what is wrong with the section.
func (c *Config) Check(r settings.Reporter) {
	if !c.HTTPS && c.WWW == "" && c.To == "" {
		r.Errorf(c, "redirect leads nowhere, expected https, www or to")
	}
	if !slices.Contains([]int{301, 302, 303, 307, 308}, c.Status) {
		r.Errorf(&c.Status, "status %d is no redirect's, expected 301, 302, 303, 307 or 308", c.Status)
	}
	c.checkFrom(r)
	if c.To != "" {
		c.checkTo(r)
	}
}

func (c *Config) checkFrom(r settings.Reporter) {
	if c.From == "" {
		return
	}
	if c.To == "" {
		r.Errorf(&c.From, "from is there without to, expected where %.200q leads", c.From)
	}
	path := strings.TrimSuffix(c.From, "*")
	canonical, query, _, err := route.Canonical(nil, []byte(path))
	switch {
	case err != nil || len(query) > 0 || len(path) > maxText || strings.Contains(path, "*") || path != c.From && !strings.HasSuffix(path, "/"):
		r.Errorf(&c.From, "from %.200q is no path, expected one like /old, or /old/* with all below it", c.From)
	case string(canonical) != path:
		r.Errorf(&c.From, "from %.200q isn't how paths are compared, expected %q", c.From, canonical)
	}
}

func (c *Config) checkTo(r settings.Reporter) {
	t, ok := parseTarget(c.To)
	from := sourceOf(c.From)
	switch {
	case !ok:
		r.Errorf(&c.To, "to %.200q is neither a path nor a URL, expected one like /new or https://example.com/new, with a \"*\" only at its end", c.To)
	case t.rest && (strings.Contains(t.text, "?") || t.fragment != "" || !strings.HasSuffix(t.text, "/")):
		r.Errorf(&c.To, "to %.200q has its \"*\" elsewhere than behind a \"/\" at the path's end", c.To)
	case t.rest && !from.below:
		r.Errorf(&c.To, "to %.200q has a \"*\", and from %.200q has none, expected it in both", c.To, c.From)
	case t.scheme == "" && from.has(t.key):
		r.Errorf(&c.To, "to %.200q is itself led on, again and again, expected it outside of from %.200q", c.To, c.From)
	case t.scheme == "http" && c.HTTPS:
		r.Errorf(&c.To, "to %.200q leads to http, and https: true away from there, expected one of them", c.To)
	case c.WWW == "remove" && strings.HasPrefix(t.host, "www.") || c.WWW == "add" && t.scheme != "" && !strings.HasPrefix(t.host, "www."):
		r.Errorf(&c.To, "to %.200q leads to a host that www: %s leads away from, expected them in two policies", c.To, c.WWW)
	}
}

// printable are the bytes of URLs.
var printable = func() string {
	var b strings.Builder
	for c := byte('!'); c <= '~'; c++ {
		if !strings.ContainsRune("\"<>\\^`{|}", rune(c)) {
			b.WriteByte(c)
		}
	}
	return b.String()
}()
