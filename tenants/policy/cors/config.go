// Package cors is the policy that says to browsers which other origins' scripts may
// send requests and read the responses (Fetch §3.2).
//
//	policies:
//	  - cors: { origins: [https://app.example.com, "https://*.example.org"], credentials: true }
package cors

import (
	_ "embed" // for About
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

//go:embed config.go
var source string

// Config is the section cors of a policy.
type Config struct {
	// Origins whose scripts may read responses: a scheme and a host, and a port where it
	// isn't the scheme's, such as "https://app.example.com". "https://*.example.com"
	// stands for all hosts below example.com, however deep, but not for example.com
	// itself; "*" for every origin.
	Origins []string `yaml:"origins" single:"true" required:"true"`

	// Methods that scripts may use, besides GET, HEAD and POST of forms, which browsers
	// always send. Default: GET, HEAD, POST, PUT, PATCH, DELETE.
	Methods []string `yaml:"methods" single:"true"`

	// Fields that scripts may set. Default: whatever they ask for.
	Headers []string `yaml:"headers" single:"true"`

	// Fields of responses that scripts may read, besides those that they always may.
	// Default: none.
	Expose []string `yaml:"expose" single:"true"`

	// Whether browsers send cookies and other credentials with such requests. It can't
	// be together with the origin "*". Default: false.
	Credentials bool `yaml:"credentials"`

	// How long browsers may keep what a preflight was answered; they keep it for hours
	// at most. 0 asks for none of it to be kept. Default: 10m.
	MaxAge settings.Duration `yaml:"max_age"`

	// Whether pages from public networks may send requests, where the gateway is on a
	// private one. Default: false.
	PrivateNetwork bool `yaml:"private_network"`
}

// SetDefaults fills a fresh section.
func (c *Config) SetDefaults() { c.MaxAge = settings.Duration(10 * time.Minute) }

// Bounds of the section.
const (
	maxOrigins = 1000
	maxNames   = 100
	maxMaxAge  = 24 * time.Hour
)

var denied = &policy.Refusal{Status: 403, Code: "cors_denied", Message: "scripts of this origin may not send such requests"}

// About describes the policy.
func (c *Config) About() policy.About {
	return policy.About{Source: source, Refusals: []*policy.Refusal{denied}}
}

// Check reports what is wrong with the section.
func (c *Config) Check(r settings.Reporter) {
	if len(c.Origins) == 0 || len(c.Origins) > maxOrigins {
		r.Errorf(c, "cors has %d origins, expected 1 to %d in origins, such as https://app.example.com", len(c.Origins), maxOrigins)
	}
	for i := range c.Origins {
		at := &c.Origins[i]
		switch _, meant := policy.ParseOrigin(*at); {
		case *at == every && c.Credentials:
			r.Errorf(at, "origin \"*\" can't be together with credentials: every page could act as its visitors do; name the origins")
		case *at == every:
		case meant != "":
			r.Errorf(at, "origin %.200q is none, expected a scheme and a host like https://app.example.com%s", *at, meant)
		}
	}
	for key, list := range map[string]*[]string{"methods": &c.Methods, "headers": &c.Headers, "expose": &c.Expose} {
		if *list != nil && len(*list) == 0 || len(*list) > maxNames {
			r.Errorf(list, "%s has %d names, expected 1 to %d", key, len(*list), maxNames)
		}
		for i := range *list {
			if name := (*list)[i]; !message.IsToken([]byte(name)) || len(name) > 256 || name == every && (c.Credentials || key == "methods") {
				r.Errorf(&(*list)[i], "%s has %.100q, expected the name of one%s", key, name, map[bool]string{true: ": browsers take \"*\" for a name here"}[name == every])
			}
		}
	}
	if c.MaxAge.Std() > maxMaxAge {
		r.Errorf(&c.MaxAge, "max_age %s is out of range, expected 0 to %s", c.MaxAge, settings.Duration(maxMaxAge))
	}
}

// every stands for all origins.
const every = "*"
