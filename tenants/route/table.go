package route

import (
	"bytes"
	"errors"
	"fmt"
)

// Entry is one tenant's claim on requests, and the value that a match returns.
type Entry[T any] struct {
	// Name is used in errors only.
	Name string
	// Domains are host names, IP addresses (IPv6 in brackets) and wildcards such
	// as *.example.com, which stands for names of any depth below example.com.
	// Empty: any host.
	Domains []string
	// PathPrefix is matched on segment borders. Empty or "/": any path.
	PathPrefix string
	// Value is returned by Match as it is.
	Value T
}

// Table maps hosts and paths to values. It is immutable; any number of
// goroutines may use it at once.
type Table[T any] struct {
	values   []T
	building map[string]*prefixes // by host, until seal
	exact    map[string]owner     // by host
	wildcard map[string]*prefixes // by the host below the *, such as .example.com
	anyHost  *prefixes
	labels   int  // dots in the longest wildcard
	prefixed bool // some entry has a path prefix
}

// owner says whose a host is. Mostly there is one entry for all paths: then it stands
// in the map itself, as every step of a lookup is likely to miss the processor's
// cache where there are many hosts.
type owner struct {
	entry int
	among *prefixes // nil: the entry
}

// Build compiles a table. It refuses entries without domains and prefix,
// invalid ones, and two that claim the same host with the same prefix after
// both were made canonical; the error joins all that is wrong, and names the
// tenants.
func Build[T any](entries []Entry[T]) (*Table[T], error) {
	t := &Table[T]{
		values:   make([]T, 0, len(entries)),
		building: make(map[string]*prefixes, len(entries)),
		wildcard: make(map[string]*prefixes),
		anyHost:  newPrefixes(),
	}
	owners := make(map[Claim]string, len(entries))
	var errs []error
	for i := range entries {
		e := &entries[i]
		t.values = append(t.values, e.Value)
		claims, err := ClaimsOf(e.Domains, e.PathPrefix)
		if err != nil {
			errs = append(errs, fmt.Errorf("cannot route to tenant %q: %w", e.Name, err))
			continue
		}
		for _, c := range claims {
			if owner, taken := owners[c]; taken {
				errs = append(errs, fmt.Errorf("cannot route to tenant %q: tenant %q has the same match, %s", e.Name, owner, c))
				continue
			}
			owners[c] = e.Name
			t.add(c, i)
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	t.seal()
	return t, nil
}

// Match returns the value of the entry that owns a request. host is as from
// CanonicalHost, path as from Canonical; neither is kept. In this order:
//
//  1. the exact host, 2. the wildcards that cover it, the longest first,
//  3. the entries for any host;
//
// and within each of them the longest prefix, then the entry without one. A
// host whose entries all have prefixes, none of which matches, is treated as
// if it had no entries. Match allocates nothing; its work is bounded by the
// configured prefixes and wildcards, whatever the request.
func (t *Table[T]) Match(host, path []byte) (value T, ok bool) {
	if t.prefixed && hasSpecial(path) {
		// One byte more than any prefix: what is cut off can't matter.
		var buf [MaxPrefix + 1]byte
		path = appendKey(buf[:0], path, len(buf))
	}
	if i := t.find(host, path); i >= 0 {
		return t.values[i], true
	}
	return value, false
}

// find returns the index of the matching entry or -1; path is a key.
func (t *Table[T]) find(host, path []byte) int {
	if o, ok := t.exact[string(host)]; ok {
		if o.among == nil {
			return o.entry
		}
		if i := o.among.find(path); i >= 0 {
			return i
		}
	}
	if t.labels > 0 {
		if i := t.findWildcard(host, path); i >= 0 {
			return i
		}
	}
	return t.anyHost.find(path)
}

func (t *Table[T]) findWildcard(host, path []byte) int {
	for labels := bytes.Count(host, []byte{'.'}); labels > 0; labels-- {
		host = host[bytes.IndexByte(host, '.'):]
		if labels <= t.labels {
			if p, ok := t.wildcard[string(host)]; ok {
				if i := p.find(path); i >= 0 {
					return i
				}
			}
		}
		host = host[1:]
	}
	return -1
}

// add binds a claim to the value at index i.
func (t *Table[T]) add(c Claim, i int) {
	t.prefixed = t.prefixed || c.prefix != ""
	set := t.anyHost
	switch {
	case c.host == "":
	case c.host[0] == '*':
		set = hostPrefixes(t.wildcard, c.host[1:])
		t.labels = max(t.labels, bytes.Count([]byte(c.host), []byte{'.'}))
	default:
		set = hostPrefixes(t.building, c.host)
	}
	set.add(c.prefix, i)
}

// seal prepares every set of prefixes for use.
func (t *Table[T]) seal() {
	t.anyHost.seal()
	t.exact = make(map[string]owner, len(t.building))
	for host, p := range t.building {
		if p.seal(); len(p.list) == 0 && p.index == nil {
			t.exact[host] = owner{entry: p.root}
		} else {
			t.exact[host] = owner{among: p}
		}
	}
	t.building = nil
	for _, p := range t.wildcard {
		p.seal()
	}
}

func hostPrefixes(hosts map[string]*prefixes, host string) *prefixes {
	p, ok := hosts[host]
	if !ok {
		p = newPrefixes()
		hosts[host] = p
	}
	return p
}
