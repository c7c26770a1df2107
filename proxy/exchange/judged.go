package exchange

import (
	"errors"
	"fmt"
	"sync"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

// judged is a policy that a script has asked about the exchange, and what it has made
// of that.
type judged struct {
	chain   *policy.Chain
	policed policed
	before  *judged // that was asked before it
}

var judgeds = sync.Pool{New: func() any { return new(judged) }}

// maxJudged bounds the policies that scripts ask about one request.
const maxJudged = 100

// JudgePolicy is lua.Judge's.
func (x *exchange) JudgePolicy(built any) (passed bool, err error) {
	chain, ok := built.(*policy.Chain)
	if !ok {
		panic(fmt.Sprintf("BUG: a script's policy is a %T", built))
	}
	s := &x.script
	if s.asked++; s.asked > maxJudged {
		return false, fmt.Errorf("more than %d policies were asked about one request", maxJudged)
	}
	j := judgeds.Get().(*judged) //nolint:forcetypeassert // the pool holds nothing else
	j.chain, j.before = chain, s.judged
	x.show(&j.policed)
	j.policed.request.Outer = x.knownBefore()
	if len(x.plane.Observers.policy) > 0 {
		j.policed.request.Trace = x.traceJudged
	}
	s.judged = j
	chain.Begin(&j.policed.request)
	answered, err := x.ask(chain, &j.policed)
	s.request.Query, s.request.User, s.request.Identity = x.query, x.User, &j.policed.request
	switch {
	case err == nil:
		return !answered, nil
	case errors.Is(err, ErrClientGone):
		return false, x.gone(err)
	case errors.As(err, new(*lua.Ending)):
		return false, err
	}
	x.Answer(err)
	return false, nil
}

// knownBefore is the request as the policies that were asked last have left it, for the
// values that they have found out; nil is that none was.
func (x *exchange) knownBefore() *policy.Request {
	switch {
	case x.script.judged != nil:
		return &x.script.judged.policed.request
	case x.policed.begun:
		return &x.policed.request
	}
	return nil
}

// traceJudged tells of a policy that a script has asked.
func (x *exchange) traceJudged(s policy.Step) {
	s.Route = "scripts"
	x.tracePolicy(s)
}

// amendJudged has the policies that scripts have asked change the header of a response,
// the last one first.
func (x *exchange) amendJudged(status int, h *message.Header) {
	for j := x.script.judged; j != nil; j = j.before {
		if j.chain.Amends() {
			j.policed.response = policy.Response{Status: status, Header: h}
			j.chain.Amend(&j.policed.request, &j.policed.response)
		}
	}
}

// endJudged tells them of the end.
func (x *exchange) endJudged() {
	for j := x.script.judged; j != nil; j = j.before {
		j.chain.Done(&j.policed.request)
	}
}

// forgetJudged gives back what they have needed.
func (s *scripted) forgetJudged() {
	for j := s.judged; j != nil; {
		before := j.before
		j.policed.reset()
		j.chain, j.before = nil, nil
		judgeds.Put(j)
		j = before
	}
	s.judged, s.asked = nil, 0
}
