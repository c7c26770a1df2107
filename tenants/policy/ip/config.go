// Package ip is the policy that lets clients pass by their address.
//
//	policies:
//	  - ip: { allow: [10.0.0.0/8, unix], deny: 10.6.6.6, deny_file: abusers.txt }
package ip

import (
	_ "embed" // for About
	"net/netip"
	"slices"

	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants/network"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

//go:embed config.go
var source string

// Config is the section ip of a policy.
type Config struct {
	// Networks whose clients pass, such as "10.0.0.0/8", "2001:db8::/32" or a single
	// address; all others are refused. "unix" stands for clients that have come by a
	// Unix socket, and so have no address. Default: none, and whoever has an address
	// that isn't in deny passes.
	Allow []string `yaml:"allow" single:"true"`

	// Networks whose clients are refused, whatever allow says. Default: none.
	Deny []string `yaml:"deny" single:"true"`

	// A file with more networks for allow, each on a line of its own, with comments
	// after "#", of at most 4 MiB. It is read again at a reload. Default: none.
	AllowFile string `yaml:"allow_file"`

	// A file with more networks for deny, as allow_file has them; it may be empty.
	// Default: none.
	DenyFile string `yaml:"deny_file"`

	allowed, denied []netip.Prefix // by files
	unix            bool           // allowed by the file
}

var denied = &policy.Refusal{Status: 403, Code: "ip_denied", Message: "clients with this address are not served"}

// About describes the policy.
func (c *Config) About() policy.About {
	return policy.About{Source: source, Refusals: []*policy.Refusal{denied}}
}

// Check reports what is wrong with the section.
func (c *Config) Check(r settings.Reporter) {
	if c.Allow == nil && c.Deny == nil && c.AllowFile == "" && c.DenyFile == "" {
		r.Errorf(c, "ip has neither allow nor deny, expected at least one of them, or allow_file or deny_file")
	}
	c.checkList(r, "allow", &c.Allow, ", or \"unix\" for clients on a Unix socket")
	c.checkList(r, "deny", &c.Deny, "")
}

func (c *Config) checkList(r settings.Reporter, key string, list *[]string, or string) {
	if *list != nil && len(*list) == 0 {
		r.Errorf(list, "%s is empty, expected at least one network", key)
	}
	for i := range *list {
		switch _, ok := network.Parse((*list)[i]); {
		case ok || key == "allow" && (*list)[i] == network.Unix:
		case (*list)[i] == network.Unix:
			r.Errorf(&(*list)[i], "\"unix\" is for allow: clients whose address isn't known are refused unless it stands there")
		default:
			r.Errorf(&(*list)[i], "%s %q is not a network, expected one like 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7%s%s", key, (*list)[i], or, network.Meant((*list)[i]))
		}
	}
}

// Warn is policy.Warner's.
func (c *Config) Warn(warn func(field any, format string, args ...any)) {
	for _, list := range [][]string{c.Allow, c.Deny} {
		for i := range list {
			if prefix, err := netip.ParsePrefix(list[i]); err == nil && prefix != prefix.Masked() {
				warn(&list[i], "%s is all of %s; expected that, or %s for the one address", list[i], prefix.Masked(), prefix.Addr())
			}
		}
	}
	for i := range c.Allow {
		allowed, ok := network.Parse(c.Allow[i])
		for j := range c.Deny {
			if denied, _ := network.Parse(c.Deny[j]); ok && denied.Bits() <= allowed.Bits() && denied.Contains(allowed.Addr()) {
				warn(&c.Allow[i], "allow %s lies within %s of deny, so that nobody there is served", c.Allow[i], c.Deny[j])
				break
			}
		}
	}
}

// New builds the policy.
func (c *Config) New(policy.Deps) (policy.Policy, error) {
	p := &addresses{everybody: c.Allow == nil && c.AllowFile == "", unix: c.unix || slices.Contains(c.Allow, network.Unix)}
	p.allowed, p.denied = parseAll(c.Allow), parseAll(c.Deny)
	p.allow = network.NewSet(append(slices.Clip(p.allowed), c.allowed...))
	p.deny = network.NewSet(append(slices.Clip(p.denied), c.denied...))
	return p, nil
}

// parseAll parses the networks of a list that has been checked.
func parseAll(list []string) (all []netip.Prefix) {
	for _, s := range list {
		if prefix, ok := network.Parse(s); ok {
			all = append(all, prefix)
		}
	}
	return all
}

// addresses is the policy.
type addresses struct {
	everybody   bool // whoever isn't denied
	unix        bool // clients on a Unix socket pass
	allow, deny network.Set
	// As the configuration lists them, for explanations.
	allowed, denied []netip.Prefix
}
