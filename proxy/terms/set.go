package terms

// Set finds terms by the name that a client asks for. It doesn't change, and may
// be used at once.
type Set struct {
	exact    map[string]*Terms
	wildcard map[string]*Terms // by what follows the asterisk: ".example.com"
	rest     *Terms            // for all other names, and for none
	known    map[string]*Terms // by their Ask
	base     *Base
}

// NewSet returns one without names; of last, which may be nil, it takes over terms
// that are asked for again. base is what all handshakes have.
func NewSet(last *Set, base *Base) *Set {
	s := &Set{exact: map[string]*Terms{}, wildcard: map[string]*Terms{}, known: map[string]*Terms{}, base: base}
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

// Seal names the terms: hosts are as tenants are matched by them, in lower case,
// "*.example.com" is for all names below example.com, however deep, and "" for
// what has no other. The first to name a host has it. What nobody has named is
// forgotten.
func (s *Set) Seal(names func(add func(host string, t *Terms)), rest *Terms) {
	used := map[*Terms]bool{rest: true}
	names(func(host string, t *Terms) {
		used[t] = true
		into := s.exact
		switch {
		case host == "":
			if s.rest == nil {
				s.rest = t
			}
			return
		case host[0] == '*':
			host, into = host[1:], s.wildcard
		}
		if into[host] == nil {
			into[host] = t
		}
	})
	if s.rest == nil {
		s.rest = rest
	}
	if len(used) == 1 { // as nearly always
		s.exact, s.wildcard = nil, nil
	}
	for key, t := range s.known {
		if !used[t] {
			delete(s.known, key)
		}
	}
}

// maxName is the length of the longest name in DNS.
const maxName = 253

// Choose returns the terms for a name, in whatever case; it allocates nothing.
func (s *Set) Choose(name string) *Terms {
	if len(s.exact)+len(s.wildcard) == 0 || len(name) > maxName {
		return s.rest
	}
	var buf [maxName]byte
	lower := buf[:copy(buf[:], name)]
	for i, c := range lower {
		if 'A' <= c && c <= 'Z' {
			lower[i] = c | 0x20
		}
	}
	if t := s.exact[string(lower)]; t != nil {
		return t
	}
	for i, c := range lower {
		if c == '.' {
			if t := s.wildcard[string(lower[i:])]; t != nil {
				return t
			}
		}
	}
	return s.rest
}
