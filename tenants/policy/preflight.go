package policy

import "github.com/keystone-gateway/keystone-gateway/proxy/message"

// Preflighter is a policy that answers preflights: what browsers ask for before a
// script of another origin may send a request (Fetch §4.8). It is asked at its own
// place in the list, or, if that is behind an Authenticator, before the first of those.
type Preflighter interface {
	// Preflight returns the answer, which it makes in the place of Judge; nil passes.
	Preflight(r *Request) *Answer
}

// Authenticator is a policy that refuses who doesn't say who they are, as browsers
// don't in preflights.
type Authenticator interface{ Authenticates() }

// IsPreflight reports whether a request is a preflight.
func IsPreflight(r *Request) bool {
	return string(r.Method) == "OPTIONS" && Lines(*r.Header, "access-control-request-method") > 0 && Lines(*r.Header, "origin") > 0
}

// Lines returns how many fields of that name there are, in lower case.
func Lines(h message.Header, lower string) (n int) {
	for i := range h {
		if !h[i].Dropped && message.EqualFold(h[i].Name, lower) {
			n++
		}
	}
	return n
}

// Only returns the value of the one field of that name, in lower case; ok is false if
// there is none, or more than one, so that nobody knows which counts.
func Only(h message.Header, lower string) (value []byte, ok bool) {
	for i := range h {
		if !h[i].Dropped && message.EqualFold(h[i].Name, lower) {
			if ok {
				return nil, false
			}
			value, ok = h[i].Value, true
		}
	}
	return value, ok
}

// preflight has the policies behind the step answer a preflight, where it is the first
// that authenticates.
func (c *Chain) preflight(s *step, r *Request) (answer *Answer, by string) {
	if !IsPreflight(r) {
		return nil, ""
	}
	for _, i := range s.preflighters {
		of := &c.steps[i]
		r.Memo = &r.memos[i]
		answer := of.policy.(Preflighter).Preflight(r) //nolint:forcetypeassert // see Build
		if answer == nil {
			continue
		}
		of.counter.Answered.Add(1)
		if r.Trace != nil {
			r.Trace(of.explain(i, r, answer, nil))
		}
		return answer, of.name
	}
	return nil, ""
}

// arrangePreflights finds the policies that are to be asked before the first one that
// authenticates.
func (c *Chain) arrangePreflights() {
	var first *step
	for i := range c.steps {
		s := &c.steps[i]
		if _, ok := s.policy.(Authenticator); ok && first == nil {
			first = s
		}
		if _, ok := s.policy.(Preflighter); ok && first != nil {
			first.preflighters = append(first.preflighters, i)
		}
	}
}
