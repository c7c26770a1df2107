package route

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Claim is one pair of host and prefix, both canonical. Two tenants can't have
// the same one.
type Claim struct {
	host   string // empty: any; *.example.com: a wildcard
	prefix string // empty: any path
}

// String words the claim for an error.
func (c Claim) String() string {
	host, prefix := "any host", "any path"
	if c.host != "" {
		host = fmt.Sprintf("host %q", c.host)
	}
	if c.prefix != "" {
		prefix = fmt.Sprintf("path prefix %q", c.prefix)
	}
	return host + " and " + prefix
}

// ClaimsOf returns the claims of one tenant, in the order of its domains.
func ClaimsOf(domains []string, pathPrefix string) ([]Claim, error) {
	if len(domains) == 0 && pathPrefix == "" {
		return nil, errors.New("neither domains nor a path prefix, expected at least one")
	}
	prefix := ""
	if pathPrefix != "" {
		var err error
		if prefix, err = CanonicalPrefix(pathPrefix); err != nil {
			return nil, err
		}
	}
	if len(domains) == 0 {
		return []Claim{{"", prefix}}, nil
	}
	claims := make([]Claim, 0, len(domains))
	for _, domain := range domains {
		host, err := CanonicalDomain(domain)
		if err != nil {
			return nil, err
		}
		claims = append(claims, Claim{host, prefix})
	}
	return claims, nil
}

// CanonicalDomain returns a configured domain as requests are compared with
// it; a wildcard keeps its *.
func CanonicalDomain(domain string) (string, error) {
	name, wild := strings.CutPrefix(domain, "*.")
	switch {
	case strings.Contains(name, "*"):
		return "", fmt.Errorf("domain %q has a * in the wrong place, expected only a leading *. as in *.example.com (for every host, leave domains out and set path_prefix: /)", domain)
	case strings.Contains(domain, "://"):
		return "", fmt.Errorf("domain %q has a scheme, expected a name such as example.com", domain)
	case strings.Contains(name, "/"):
		return "", fmt.Errorf("domain %q has a path, expected a name such as example.com: path_prefix is where paths begin", domain)
	case strings.Count(name, ":") > 1 && !strings.HasPrefix(name, "["):
		return "", fmt.Errorf("domain %q looks like an IPv6 address, expected brackets as in [::1]", domain)
	case strings.Contains(name, ":") && !strings.HasSuffix(name, "]"):
		return "", fmt.Errorf("domain %q has a port, expected the name alone: a host matches on every port", domain)
	}
	host, err := CanonicalHost(nil, []byte(name))
	if err != nil {
		return "", fmt.Errorf("domain %q: %w", domain, err)
	}
	if !wild {
		return string(host), checkDot(domain, string(host))
	}
	if _, err := netip.ParseAddr(strings.Trim(string(host), "[]")); err == nil {
		return "", fmt.Errorf("domain %q is a wildcard over an address, expected one over a name", domain)
	}
	return "*." + string(host), nil
}

// checkDot refuses names such as "app" that were hardly meant: they match no
// request from outside. localhost and IPv6 addresses have no dot either.
func checkDot(domain, host string) error {
	if strings.Contains(host, ".") || host == "localhost" || host[0] == '[' {
		return nil
	}
	return fmt.Errorf("domain %q has no dot, expected a full name such as %s.example.com, an address, or localhost", domain, host)
}

// CheckPrefix says what is wrong with a path_prefix; "" is none.
func CheckPrefix(prefix string) error {
	if strings.Contains(prefix, "*") {
		return fmt.Errorf("path_prefix %q has a *, expected a plain path: a prefix matches everything below it anyway", prefix)
	}
	if prefix == "" {
		return nil
	}
	_, err := CanonicalPrefix(prefix)
	return err
}
