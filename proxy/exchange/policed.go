package exchange

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/socket"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

// policed is what the tenant's policies see and make of an exchange. It is unused
// where the tenant has none.
type policed struct {
	request  policy.Request
	response policy.Response
	begun    bool           // request has been filled in
	amending bool           // and nothing that failed meanwhile is amended
	kept     message.Header // the request's, as the policies left it: see Restore
}

func (p *policed) reset() {
	if !p.begun && !p.amending {
		return
	}
	p.request.Reset()
	p.response = policy.Response{}
	p.begun, p.amending = false, false
	clear(p.kept)
	p.kept = p.kept[:0]
}

// judge asks the tenant's policies. If one has answered, its answer is the
// response.
func (x *exchange) judge() (answered bool, err error) {
	x.Tenant.Routes.DropOwned(x.Message.Header)
	x.Tenant.Scripted.DropOwned(x.Message.Header)
	chain := x.Tenant.Policies
	if chain == nil {
		return false, nil
	}
	x.showPolicies()
	if answered, err = x.ask(chain, &x.policed); !answered && err == nil {
		x.keepHeader()
	}
	return answered, err
}

// ask asks a chain of policies, and takes up what they have made of the request.
func (x *exchange) ask(chain *policy.Chain, p *policed) (answered bool, err error) {
	r := &p.request
	answer, by, err := chain.Judge(r)
	x.query, x.User = r.Query, r.User
	if x.Spared == "" {
		x.Spared = r.Spared()
	}
	if answer == nil && err == nil {
		return false, nil
	}
	x.Policy = by
	switch {
	case errors.Is(err, lua.ErrGone):
		return false, ErrClientGone
	case errors.As(err, new(*Fault)) || errors.Is(err, ErrClientGone) || errors.As(err, new(*lua.Ending)):
		return false, err // of what it waited for
	case err != nil:
		return false, &caused{faultPolicy, fmt.Errorf("policy %s: %w", by, err)}
	case answer.Refusal != nil:
		return false, x.refuse(answer, by)
	}
	if err := x.holdPage(answer.Body); err != nil {
		return false, err
	}
	x.Cause = answer.Cause
	x.response.Local = append(x.response.Local, answer.Header...)
	x.local(answer.Status, "", answer.Body)
	return true, nil
}

// refuse returns a policy's refusal as a fault.
func (x *exchange) refuse(answer *policy.Answer, by string) error {
	fault := faultOfRefusal(answer.Refusal)
	if _, known := numberOf[fault.Code]; !known {
		panic("BUG: policy " + by + " refuses with " + fault.Code + ", which its About doesn't list")
	}
	if answer.Status != 0 {
		fault.Status = answer.Status
	}
	fault.page = answer.Body
	if fault.header = answer.Header; answer.Cause != nil {
		return &caused{fault, answer.Cause}
	}
	return fault
}

// showPolicies fills in what the tenant's policies see.
func (x *exchange) showPolicies() *policy.Request {
	if !x.policed.begun {
		x.show(&x.policed)
		if len(x.plane.Observers.policy) > 0 {
			x.policed.request.Trace = x.tracePolicy
		}
		x.Tenant.Policies.Begin(&x.policed.request)
	}
	return &x.policed.request
}

// show fills in what policies see.
func (x *exchange) show(p *policed) {
	p.begun = true
	r := &p.request
	r.ID, r.Tenant, r.Method = x.ID, x.Tenant.Name, x.method
	r.Host, r.Path, r.Query, r.User = x.Host, x.Path, x.query, x.User
	r.Port = portOf(x.Message.Authority)
	r.Secure, r.Certificate, r.Header, r.Waiter = x.secure(), x.certificate(), &x.Message.Header, x
	if r.Unnamed = x.Client.Unnamed || x.origin.unreadable; !r.Unnamed { // else Origin is a proxy's, and nobody knows who stands behind it
		r.Client = x.Origin
	}
}

// portOf returns the port of an authority; nothing where it names none.
func portOf(authority []byte) []byte {
	if i := bytes.LastIndexByte(authority, ':'); i >= 0 && bytes.IndexByte(authority[i:], ']') < 0 {
		return authority[i+1:]
	}
	return nil
}

// tracePolicy tells of a policy that was asked.
func (x *exchange) tracePolicy(s policy.Step) {
	for _, o := range x.plane.Observers.policy {
		o.Policy(&x.Record, s)
	}
}

// amend has the policies of the route, those that scripts have asked, and then those of
// the tenant change the header of a final response. What they fail at is answered without them.
func (x *exchange) amend(status int, h *message.Header) {
	if x.Tenant == nil || x.policed.amending {
		return
	}
	x.policed.amending = true
	if r := x.routed; r != nil && r.policed.begun && r.route.Policies.Amends() {
		r.policed.response = policy.Response{Status: status, Header: h}
		r.route.Policies.Amend(&r.policed.request, &r.policed.response)
	}
	x.amendJudged(status, h)
	if x.Tenant.Policies.Amends() {
		x.policed.response = policy.Response{Status: status, Header: h}
		x.Tenant.Policies.Amend(x.showPolicies(), &x.policed.response)
	}
	x.policed.amending = false
}

// word has the policies of the route, or else those of the tenant, word an error, if
// one of them does.
func (x *exchange) word(f *Fault) (contentType string, body []byte) {
	if x.Tenant == nil {
		return "", nil
	}
	e := policy.Error{Refusal: policy.Refusal{Status: f.Status, Code: f.Code, Message: f.Message}, JSON: acceptsJSON(x.Message.Header)}
	if r := x.routed; r != nil && r.policed.begun && r.route.Policies.Words() {
		if contentType, body = r.route.Policies.Word(&r.policed.request, e); body != nil {
			return contentType, body
		}
	}
	if !x.Tenant.Policies.Words() {
		return "", nil
	}
	return x.Tenant.Policies.Word(x.showPolicies(), e)
}

// endPolicies tells the policies that were asked of the end.
func (x *exchange) endPolicies() {
	x.endRoute()
	x.endJudged()
	if x.policed.begun {
		x.Tenant.Policies.Done(&x.policed.request)
	}
}

// keepHeader keeps the request's header for Restore.
func (x *exchange) keepHeader() {
	if x.Tenant.Scripts != nil {
		x.policed.kept = append(x.policed.kept[:0], x.Message.Header...)
	}
}

// Wait is policy.Waiter's.
func (x *exchange) Wait(f func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	if x.call.Expiry != 0 {
		var release context.CancelFunc
		ctx, release = context.WithTimeoutCause(ctx, time.Duration(x.call.Expiry-socket.Nanotime()), faultRequestTimeout)
		defer release()
	}
	end := x.stream.Watch(func() { cancel(ErrClientGone) })
	defer end()
	err := f(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err
}
