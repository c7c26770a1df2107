// Package forwardauth is the policy that has another server decide who may pass, as
// Traefik's ForwardAuth and nginx's auth_request do.
//
//	policies:
//	  - forward_auth: { url: "http://authelia:9091/api/authz/forward-auth", copy_fields: [Remote-User, Remote-Groups] }
package forwardauth

import (
	_ "embed" // for About
	"slices"
	"strings"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants/fetch"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

//go:embed config.go
var source string

// Config is the section forward_auth of a policy.
type Config struct {
	// URL of the server that is asked before a request goes on. If it answers with a
	// status from 200 to 299, the request passes; an answer from 300 to 499 is the
	// client's, redirect, cookies and all; all else, and none, is 503.
	URL string `yaml:"url" required:"true"`

	// How long the server may take; up to 1m. Default: 5s.
	Timeout settings.Duration `yaml:"timeout"`

	// What it is told of the request besides fields, as X-Forwarded-Method, -Proto,
	// -Host, -Uri and -For, and as X-Original-Method and X-Original-URL. Default:
	// method, host, path and client.
	Tell []string `yaml:"tell" single:"true" enum:"method,host,path,client"`

	// Fields of the request that it gets. Default: all but those that belong to the
	// connection, to the body and to caches, and X-Forwarded-*.
	RequestFields []string `yaml:"request_fields" single:"true"`

	// Fields of its answer that scripts and targets get when the request passes, such as
	// Remote-User; "Remote-*" stands for all that begin so. Clients can't send them: they
	// are removed from their requests in every spelling. Default: none.
	CopyFields []string `yaml:"copy_fields" single:"true"`

	// Fields of its answer that clients get with the response when the request passes,
	// such as Set-Cookie. Default: none.
	ClientFields []string `yaml:"client_fields" single:"true"`

	// Field of its answer that says who the client is, for the log and for scripts.
	// Default: Remote-User.
	UserField string `yaml:"user_field"`

	// Largest body of a request that is read and sent to it, up to 1 MiB; larger ones get
	// 413. The request to the server has the client's method then, else it is a GET.
	// Default: 0, and no body is sent.
	MaxBody settings.Size `yaml:"max_body"`

	// For how long an answer that lets a request pass is taken for the same request
	// again, up to 10m. Requests are the same if they have the same in all that the
	// server is told, so that it can't have decided by anything else: request_fields is
	// needed. Default: 0, and it is asked each time.
	CacheFor settings.Duration `yaml:"cache_for"`
}

// SetDefaults fills a fresh section.
func (c *Config) SetDefaults() {
	c.Timeout, c.UserField = settings.Duration(5*time.Second), "Remote-User"
	c.Tell = []string{tellMethod, tellHost, tellPath, tellClient}
}

// The values of Config.Tell.
const (
	tellMethod = "method"
	tellHost   = "host"
	tellPath   = "path"
	tellClient = "client"
)

// What the policy answers with.
var (
	denied      = &policy.Refusal{Status: 403, Code: "forward_auth_denied", Message: "the request may not pass"}
	unavailable = &policy.Refusal{Status: 503, Code: "forward_auth_unavailable", Message: "who may pass can't be decided now"}
)

// About describes the policy.
func (c *Config) About() policy.About {
	return policy.About{Source: source, Refusals: []*policy.Refusal{denied, unavailable}}
}

const (
	maxTimeout = time.Minute
	maxCache   = 10 * time.Minute
	maxBody    = 1 << 20
	maxNames   = 64
)

// Check reports what is wrong with the section.
func (c *Config) Check(r settings.Reporter) {
	if _, err := fetch.Permit(c.URL); err != nil {
		r.Errorf(&c.URL, "url %.100q can't be used: %v", c.URL, err)
	}
	if t := c.Timeout.Std(); t < time.Millisecond || t > maxTimeout {
		r.Errorf(&c.Timeout, "timeout %v is out of range, expected 1ms to 1m", c.Timeout)
	}
	if b := c.MaxBody.Int64(); b < 0 || b > maxBody {
		r.Errorf(&c.MaxBody, "max_body %v is out of range, expected 0 to 1 MiB", c.MaxBody)
	}
	switch life := c.CacheFor.Std(); {
	case life < 0 || life > maxCache:
		r.Errorf(&c.CacheFor, "cache_for %v is out of range, expected 0 to 10m", c.CacheFor)
	case life > 0 && len(c.RequestFields) == 0:
		r.Errorf(&c.CacheFor, "cache_for needs request_fields, such as [Cookie, Authorization]: what the server may decide by, and nothing else is sent")
	case life > 0 && c.MaxBody > 0:
		r.Errorf(&c.CacheFor, "cache_for and max_body are both set, expected one of them: bodies aren't compared")
	}
	c.checkNames(r, "request_fields", c.RequestFields, func(name string) string {
		if strings.HasSuffix(name, "*") {
			return "has no wildcards here"
		}
		return ownOfRequest(name)
	})
	c.checkNames(r, "copy_fields", c.CopyFields, func(name string) string {
		if err := policy.CheckOwned(strings.TrimSuffix(name, "*")); err != nil {
			return err.Error()
		}
		if prefix, open := strings.CutSuffix(name, "*"); open && (!strings.HasSuffix(prefix, "-") || slices.Contains(wide, strings.ToLower(prefix))) {
			return "stands for too much, expected a beginning of its own, such as Remote-*"
		}
		return ""
	})
	c.checkNames(r, "client_fields", c.ClientFields, func(string) string { return "" })
}

// wide are beginnings that names have in common which mean different things.
var wide = []string{"x-", "x-forwarded-", "x-gateway-", "content-", "accept-", "proxy-", "sec-", "if-"}

func (c *Config) checkNames(r settings.Reporter, key string, list []string, wrong func(name string) string) {
	if len(list) > maxNames {
		r.Errorf(&list[maxNames], "%s has %d names, expected at most %d", key, len(list), maxNames)
	}
	for i := range list {
		if name := list[i]; !message.IsToken([]byte(name)) || len(name) > message.MaxSetName {
			r.Errorf(&list[i], "%s: %.64q is not the name of a field, expected one like Cookie", key, name)
		} else if why := wrong(name); why != "" {
			r.Errorf(&list[i], "%s: %s: %s", key, name, why)
		}
	}
}

// ownOfRequest says why a field of requests isn't sent as it came; "" where it is.
func ownOfRequest(name string) string {
	if own.Has([]byte(name)) {
		return "the policy itself says this, by tell"
	}
	switch message.Identify([]byte(name)) {
	case message.Unknown, message.Accept, message.ContentType:
		return ""
	}
	return "this is about the connection, the body or the way of the request"
}

// Warn is policy.Warner's.
func (c *Config) Warn(warn func(field any, format string, args ...any)) {
	if c.CacheFor > 0 && !slices.Contains(c.Tell, tellPath) {
		warn(&c.Tell, "the server isn't told the path, so that who may see one page may see all")
	}
}
