package policy

import (
	"cmp"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
)

// Counter counts the decisions of all policies of one kind of one tenant. It lives
// across reloads.
type Counter struct {
	Passed   atomic.Uint64
	Answered atomic.Uint64
	Failed   atomic.Uint64 // there was no decision
	// WouldAnswer are those of Passed that were answered if the policy weren't only
	// tried.
	WouldAnswer atomic.Uint64
}

// Chain is the policies of a tenant, in their order. The nil Chain is none.
type Chain struct {
	steps    []step
	amenders []int // indexes of steps, the last one first
	finish   []int
	worder   int             // the first Worder; -1 is none
	owned    message.NameSet // fields that only its policies write
	owns     []string        // likewise
}

type step struct {
	name     string
	policy   Policy
	amender  Amender
	finisher Finisher
	counter  *Counter

	preflighters []int // policies behind it that answer preflights before it is asked
}

// Build builds the policies of a list that has passed its checks. counter returns
// where the decisions of a kind of policy are counted. deps.Place is that of the list;
// deps.Earlier are those of the first one's kind that requests pass before it.
func Build(list []Named, deps Deps, counter func(name string) *Counter) (*Chain, error) {
	if len(list) == 0 {
		return nil, nil
	}
	c := &Chain{worder: -1}
	at, earlier := deps.Place, map[string][]Section{list[0].Name: deps.Earlier}
	var owned []string
	for i, named := range list {
		deps.Place, deps.Earlier = fmt.Sprintf("%s[%d]", at, i), slices.Clip(earlier[named.Name])
		earlier[named.Name] = append(deps.Earlier, named.Section)
		built, err := named.Section.New(deps)
		if err != nil {
			return nil, fmt.Errorf("cannot build %s, %s: %w", deps.Place, named.Name, err)
		}
		s := step{name: named.Name, policy: built, counter: counter(named.Name)}
		if s.amender, _ = built.(Amender); s.amender != nil {
			c.amenders = append([]int{i}, c.amenders...)
		}
		if _, ok := built.(Worder); ok && c.worder < 0 {
			c.worder = i
		}
		if s.finisher, _ = built.(Finisher); s.finisher != nil {
			c.finish = append(c.finish, i)
		}
		if o, owns := built.(Owner); owns {
			owned = append(owned, o.Owns()...)
		}
		c.steps = append(c.steps, s)
	}
	c.arrangePreflights()
	c.owned, c.owns = message.NewNameSet(owned), owned
	return c, nil
}

// Len is the number of policies.
func (c *Chain) Len() int {
	if c == nil {
		return 0
	}
	return len(c.steps)
}

// Kinds calls f for each kind of policy in the chain, in the order in which they come
// first, with the counter of all of that kind.
func (c *Chain) Kinds(f func(name string, decisions *Counter)) {
	if c == nil {
		return
	}
	for i := range c.steps {
		if !slices.ContainsFunc(c.steps[:i], func(s step) bool { return s.name == c.steps[i].name }) {
			f(c.steps[i].name, c.steps[i].counter)
		}
	}
}

// DropOwned marks the fields that only policies of the chain may write as Dropped.
func (c *Chain) DropOwned(h message.Header) {
	if c != nil {
		c.owned.Drop(h)
	}
}

// Owns lists those fields, as message.NewNameSet takes them.
func (c *Chain) Owns() []string {
	if c == nil {
		return nil
	}
	return c.owns
}

// Joined returns the policies of several chains as one that is only counted and
// switched; nil is that they have none.
func Joined(chains ...*Chain) *Chain {
	all := &Chain{worder: -1}
	for _, c := range chains {
		if c != nil {
			all.steps = append(all.steps, c.steps...)
		}
	}
	if len(all.steps) == 0 {
		return nil
	}
	return all
}

// Begin makes a request ready for the chain; its fields are set by then. What only
// policies may say is dropped.
func (c *Chain) Begin(r *Request) {
	if r.Header != nil {
		c.DropOwned(*r.Header)
	}
	if n := c.Len(); cap(r.memos) < n {
		r.memos = make([]Memo, n)
	} else {
		r.memos = r.memos[:n]
	}
}

// Judge asks the policies in their order, until one answers. by is the name of the
// one that did, or that failed.
func (c *Chain) Judge(r *Request) (answer *Answer, by string, err error) {
	for i := range c.steps {
		s := &c.steps[i]
		if s.preflighters != nil {
			if answer, by = c.preflight(s, r); answer != nil {
				return answer, by, nil
			}
		}
		r.asked, r.Memo = i+1, &r.memos[i]
		answer, err = s.policy.Judge(r)
		if r.Trace != nil {
			r.Trace(s.explain(i, r, answer, err))
		}
		switch {
		case err != nil:
			s.counter.Failed.Add(1)
			return nil, s.name, err
		case answer != nil:
			s.counter.Answered.Add(1)
			return answer, s.name, nil
		}
		s.counter.Passed.Add(1)
		if r.WouldAnswer {
			r.WouldAnswer, r.spared = false, cmp.Or(r.spared, s.name)
			s.counter.WouldAnswer.Add(1)
		}
	}
	return nil, "", nil
}

// explain says what the policy has made of a request.
func (s *step) explain(i int, r *Request, answer *Answer, err error) Step {
	told := Step{Index: i, Name: s.name}
	switch e, explains := s.policy.(Explainer); {
	case err != nil:
		told.Decision, told.Why = Failed, err.Error()
	case answer != nil:
		if told.Decision = Answered; answer.Cause != nil {
			told.Why = answer.Cause.Error()
		}
	case explains:
		told.Why = e.Explain(r)
	}
	return told
}

// Amend has the policies change the head of a response: the first policy is the
// outermost one, and has the last word.
func (c *Chain) Amend(r *Request, response *Response) {
	for _, i := range c.amenders {
		r.Memo = &r.memos[i]
		c.steps[i].amender.Amend(r, response)
	}
}

// Amends reports whether Amend does anything.
func (c *Chain) Amends() bool { return c != nil && len(c.amenders) > 0 }

// Done tells those policies of the end of a request that were asked about it.
func (c *Chain) Done(r *Request) {
	if c == nil {
		return
	}
	for _, i := range c.finish {
		if i < r.asked {
			r.Memo = &r.memos[i]
			c.steps[i].finisher.Done(r)
		}
	}
}
