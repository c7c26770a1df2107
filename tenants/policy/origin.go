package policy

import (
	"net/url"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/tenants/route"
)

// Origin is that of pages, or of those below a host.
type Origin struct {
	Scheme string // with "://"
	Host   string // with the port, unless it is the scheme's; with a wildcard what stands behind its "*"
	Below  bool
}

// ParseOrigin reads an origin as browsers write it. wrong is more than "" if it is none.
func ParseOrigin(text string) (o Origin, wrong string) {
	scheme, host, ok := strings.Cut(text, "://")
	scheme = strings.ToLower(scheme)
	switch {
	case text == "null":
		return o, "; \"null\" is what every sandboxed page and file has"
	case !ok:
		return o, "; write it with https://"
	case strings.ContainsAny(host, "/?#@"):
		return o, "; write it without a path"
	case scheme == "" || strings.Trim(scheme, "abcdefghijklmnopqrstuvwxyz0123456789+-.") != "":
		return o, " "
	}
	o.Scheme = scheme + "://"
	if host, o.Below = strings.CutPrefix(host, "*."); strings.Contains(host, "*") {
		return o, "; \"*\" stands for whole labels at the beginning of a host"
	}
	parsed, err := url.Parse(o.Scheme + host)
	if err != nil || parsed.Hostname() == "" {
		return o, " "
	}
	canonical, err := route.CanonicalDomain(parsed.Hostname())
	if err != nil || canonical == "" {
		if canonical, err = route.CanonicalDomain("[" + parsed.Hostname() + "]"); err != nil {
			return o, " "
		}
	}
	if o.Host = canonical; parsed.Port() != "" && parsed.Port() != map[string]string{"http": "80", "https": "443"}[scheme] {
		o.Host += ":" + parsed.Port()
	}
	if o.Below {
		o.Host = "." + o.Host
	}
	return o, ""
}
