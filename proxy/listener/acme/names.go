package acme

import (
	"net/netip"
	"strings"
)

// Tenant is what matters of a tenant here.
type Tenant struct {
	Name    string
	Domains []string // canonical, as route.CanonicalDomain returns them; none is every host
	Auto    bool     // certificates are ordered for it
	Ask     Ask      // says which names that no domain spells out may have one; nil says nothing
}

// Names is the table of the hosts that tenants have. It doesn't change. All
// tenants are in it: a host that one has by name is nobody else's, whatever
// wildcard covers it.
type Names struct {
	exact    map[string]owner
	wildcard map[string]owner // by ".example.com"
	any      owner
}

// owner is the tenant by whose match a host is known; "" is none.
type owner struct {
	tenant string
	auto   bool
	ask    Ask
}

// NewNames compiles the table. Of several tenants with one host it belongs to the
// first that is auto.
func NewNames(list []Tenant) *Names {
	n := &Names{exact: map[string]owner{}, wildcard: map[string]owner{}}
	for i := range list {
		t := &list[i]
		mine := owner{t.Name, t.Auto, t.Ask}
		if len(t.Domains) == 0 && !n.any.auto {
			n.any = mine
		}
		for _, domain := range t.Domains {
			of := n.exact
			name, wild := strings.CutPrefix(domain, "*")
			if wild {
				of = n.wildcard
			}
			if !of[name].auto {
				of[name] = mine
			}
		}
	}
	return n
}

// find returns whose a name is, and whether it is spelt out: a name below a
// wildcard isn't.
func (n *Names) find(name string) (of owner, spelt bool) {
	if of, ok := n.exact[name]; ok {
		return of, true
	}
	for rest := name; ; {
		dot := strings.IndexByte(rest, '.')
		if dot < 0 {
			return n.any, false
		}
		if of, ok := n.wildcard[rest[dot:]]; ok {
			return of, false
		}
		rest = rest[dot+1:]
	}
}

// Certifiable reports whether an authority may issue a certificate for a host or a
// wildcard: it has to be a name of more than one label, and no address. Whether the
// name is a public one is the authority's business: there are private ones.
func Certifiable(name string) bool {
	name = strings.TrimPrefix(name, "*.")
	if len(name) > maxName || !strings.Contains(name, ".") || strings.ContainsAny(name, "[]:_*/\\") || strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".") || strings.Contains(name, "..") {
		return false
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return false
	}
	for _, c := range []byte(name) {
		if c != '.' && c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

// maxName is the length of the longest name in DNS.
const maxName = 253

// wanted lists the names that are ordered without being asked for, with their
// tenants. Wildcards are only where a challenge can prove them.
func (n *Names) wanted(wildcards bool) map[string]string {
	list := map[string]string{}
	for name, of := range n.exact {
		if of.auto && Certifiable(name) {
			list[name] = of.tenant
		}
	}
	for name, of := range n.wildcard {
		if of.auto && wildcards && Certifiable("*"+name) {
			list["*"+name] = of.tenant
		}
	}
	return list
}

// ownerOf is whose an ordered name is, as the table has it now; "" is nobody's any
// more.
func (n *Names) ownerOf(name string) string {
	if rest, wild := strings.CutPrefix(name, "*"); wild {
		if of := n.wildcard[rest]; of.auto {
			return of.tenant
		}
		return ""
	}
	if of, _ := n.find(name); of.auto {
		return of.tenant
	}
	return ""
}
