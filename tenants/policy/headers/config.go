// Package headers is the policy that sets, adds and removes fields of requests and
// responses.
//
//	policies:
//	  - headers: { response: { set: { X-Frame-Options: DENY }, remove: Server } }
package headers

import (
	_ "embed" // for About
	"maps"
	"slices"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

//go:embed config.go
var source string

// Config is the section headers of a policy.
type Config struct {
	// Fields of requests, as scripts and targets get them.
	Request Edits `yaml:"request"`

	// Fields of final responses, whoever has made them: targets, scripts, or the
	// gateway, with its errors and its redirects.
	Response Edits `yaml:"response"`
}

// Edits is the section request or response of headers. It takes effect in the
// order of its keys here.
type Edits struct {
	// Fields that are removed, all lines of them. Case makes no difference to names,
	// here and below, and underscores are taken for hyphens. Default: none.
	Remove []string `yaml:"remove" single:"true"`

	// Fields that are set, by their names, to a value, or to a list of values, a line
	// each, in the place of all lines that there are. In values, ${client_address} is
	// the client's address, ${host} the host of the request, ${request_id} its id and
	// ${tenant} the tenant's name; ${client_certificate_subject}, …_serial and
	// …_fingerprint are of the certificate that the client has shown, and empty without
	// one. Default: none.
	Set map[string]*Values `yaml:"set" single:"true"`

	// Fields that are added, as set has them, to the lines that there are. Default:
	// none.
	Add map[string]*Values `yaml:"add" single:"true"`
}

// Values are the lines of a field.
type Values []policy.Template

// Bounds of one section of edits.
const (
	maxFields = 100
	maxName   = 256
	maxText   = 16 << 10 // of names and values together, variables as long as they may be
)

// About describes the policy.
func (c *Config) About() policy.About { return policy.About{Source: source} }

// Check reports what is wrong with the section.
func (c *Config) Check(r settings.Reporter) {
	if c.Request.empty() && c.Response.empty() {
		r.Errorf(c, "headers changes nothing, expected set, add or remove below request or response")
	}
	c.Request.check(r, ownOfRequest)
	c.Response.check(r, ownOfResponse)
}

func (e *Edits) empty() bool { return len(e.Remove)+len(e.Set)+len(e.Add) == 0 }

// check reports what is wrong; own says why a field can't be changed, or nothing.
func (e *Edits) check(r settings.Reporter, own func(name []byte) string) {
	removed, set, lines, text := map[string]string{}, map[string]string{}, 0, 0
	for i := range e.Remove {
		name := e.Remove[i]
		checkName(r, &e.Remove[i], name, own)
		removed[policy.Folded(name)] = name
		lines, text = lines+1, text+len(name)
	}
	values := func(list map[string]*Values, check func(name string, at *Values)) {
		for _, name := range slices.Sorted(maps.Keys(list)) {
			at := list[name]
			checkName(r, at, name, own)
			if len(*at) == 0 {
				r.Errorf(at, "field %q has no value, expected one, or \"\" for an empty one", clip(name))
			}
			check(name, at)
			for i := range *at {
				lines, text = lines+1, text+len(name)+(*at)[i].Len()
			}
		}
	}
	values(e.Set, func(name string, at *Values) {
		if first, twice := set[policy.Folded(name)]; twice {
			r.Errorf(at, "field %q is set twice, as %q too, expected it once", clip(name), clip(first))
		} else if other, both := removed[policy.Folded(name)]; both {
			r.Errorf(at, "field %q is in remove and in set, expected it in set alone, which replaces what there is", clip(other))
		}
		set[policy.Folded(name)] = name
	})
	values(e.Add, func(string, *Values) {})
	if lines > maxFields || text > maxText {
		r.Errorf(e, "%d lines of %d bytes are too many, expected at most %d of %d", lines, text, maxFields, maxText)
	}
}

func checkName(r settings.Reporter, at any, name string, own func(name []byte) string) {
	if !message.IsToken([]byte(name)) || len(name) > maxName {
		r.Errorf(at, "%q is not the name of a field, expected one like X-Frame-Options", clip(name))
		return
	}
	if why := own([]byte(policy.Folded(name))); why != "" {
		r.Errorf(at, "field %q can't be changed here: %s", clip(name), why)
	}
}

func clip(name string) string { return name[:min(len(name), 64)] }

const (
	framesMessage = "it says how the message is framed, or what holds on one connection, which the gateway decides"
	ownField      = "the gateway itself writes it"
)

// ownOfRequest says why a field of requests isn't this policy's; name is folded.
func ownOfRequest(name []byte) string {
	switch message.Identify(name) {
	case message.Host:
		return "preserve_host says whether targets get the client's Host or their own"
	case message.XForwardedFor, message.XForwardedProto, message.XForwardedHost, message.Forwarded:
		return "the gateway itself writes it, of what server.trusted_proxies believes"
	case message.Via, message.XRequestID, message.XGatewayHops, message.XGatewayError:
		return ownField
	case message.Expect:
		return "expect says who answers it"
	}
	return ownOfConnection(name)
}

// ownOfResponse says the same of fields of responses.
func ownOfResponse(name []byte) string {
	switch message.Identify(name) {
	case message.Via, message.XRequestID, message.XGatewayError:
		return ownField
	}
	if string(name) == "date" {
		return "it is the time at which the response was made"
	}
	return ownOfConnection(name)
}

func ownOfConnection(name []byte) string {
	switch message.Identify(name) {
	case message.ContentLength, message.TransferEncoding, message.Connection, message.KeepAlive, message.TE,
		message.Trailer, message.Upgrade, message.ProxyAny, message.HTTP2Settings:
		return framesMessage
	}
	return ""
}
