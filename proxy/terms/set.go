package terms

import "slices"

// Set has the terms that are in use, and finds them by the listener that a client
// comes in by and the name that it asks for. It doesn't change, and may be used at
// once.
type Set struct {
	names map[string]*Names // by the listener's name; "" is for those without an entry
	known map[string]*Terms // by their Ask
	base  *Base
}

// Names finds terms at one listener, by the name that a client asks for.
type Names struct {
	exact    map[string]*Terms
	wildcard map[string]*Terms // by what follows the asterisk: ".example.com"
	rest     *Terms            // for all other names, and for none
}

// Named are the terms of a host, as tenants are matched by them: in lower case,
// "*.example.com" is for all names below example.com, however deep, and "" for what
// has no other. They are in force at the listeners of these names; none is all.
type Named struct {
	Host      string
	Terms     *Terms
	Listeners []string
}

// NewSet returns one without names; of last, which may be nil, it takes over terms
// that are asked for again. base is what all handshakes have.
func NewSet(last *Set, base *Base) *Set {
	s := &Set{known: map[string]*Terms{}, base: base}
	if last != nil && last.base == base {
		for key, t := range last.known {
			s.known[key] = t
		}
	}
	return s
}

// Of returns the terms of what is asked for, which are made if need be; else what
// has changed of their files is taken up. With problems they stay as they were, or
// there are none.
func (s *Set) Of(ask Ask) (*Terms, []Problem) {
	key := ask.key()
	if t := s.known[key]; t != nil {
		return t, t.renew()
	}
	t, problems := New(ask, s.base)
	if len(problems) == 0 {
		s.known[key] = t
	}
	return t, problems
}

// Seal names the terms; the first to name a host at a listener has it. What nobody
// has named is forgotten.
func (s *Set) Seal(list []Named, rest *Terms) {
	s.names = map[string]*Names{"": nil}
	used := map[*Terms]bool{rest: true}
	for i := range list {
		used[list[i].Terms] = true
		for _, listener := range list[i].Listeners {
			s.names[listener] = nil
		}
	}
	for listener := range s.names {
		s.names[listener] = namesAt(listener, list, rest)
	}
	for key, t := range s.known {
		if !used[t] {
			delete(s.known, key)
		}
	}
}

func namesAt(listener string, list []Named, rest *Terms) *Names {
	n := &Names{exact: map[string]*Terms{}, wildcard: map[string]*Terms{}}
	used := map[*Terms]bool{}
	for i := range list {
		one := &list[i]
		if len(one.Listeners) > 0 && !slices.Contains(one.Listeners, listener) {
			continue
		}
		used[one.Terms] = true
		host, into := one.Host, n.exact
		switch {
		case host == "":
			if n.rest == nil {
				n.rest = one.Terms
			}
			continue
		case host[0] == '*':
			host, into = host[1:], n.wildcard
		}
		if into[host] == nil {
			into[host] = one.Terms
		}
	}
	if n.rest == nil {
		n.rest = rest
	}
	if used[n.rest] = true; len(used) == 1 { // as nearly always
		n.exact, n.wildcard = nil, nil
	}
	return n
}

// At returns the names at a listener.
func (s *Set) At(listener string) *Names {
	if n := s.names[listener]; n != nil {
		return n
	}
	return s.names[""]
}

// maxName is the length of the longest name in DNS.
const maxName = 253

// Choose returns the terms for a name, in whatever case; it allocates nothing.
func (n *Names) Choose(name string) *Terms {
	if len(n.exact)+len(n.wildcard) == 0 || len(name) > maxName {
		return n.rest
	}
	var buf [maxName]byte
	lower := buf[:copy(buf[:], name)]
	for i, c := range lower {
		if 'A' <= c && c <= 'Z' {
			lower[i] = c | 0x20
		}
	}
	if t := n.exact[string(lower)]; t != nil {
		return t
	}
	for i, c := range lower {
		if c == '.' {
			if t := n.wildcard[string(lower[i:])]; t != nil {
				return t
			}
		}
	}
	return n.rest
}
