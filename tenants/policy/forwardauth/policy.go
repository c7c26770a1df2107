package forwardauth

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/tenants/cache"
	"github.com/keystone-gateway/keystone-gateway/tenants/fetch"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

// kind is the name of the policy.
const kind = "forward_auth"

const (
	maxVerdicts = 2048     // answers that are kept
	maxAnswer   = 64 << 10 // bytes of a server's body
)

// guard is the policy.
type guard struct {
	url     string
	client  *fetch.Client
	timeout time.Duration
	maxBody int64

	method, host, path, address bool            // are told
	fields                      message.NameSet // that are sent
	all                         bool            // all are, that may be
	copied, given               message.NameSet // of the answer: for targets, for clients
	copies                      []string
	user                        string // in the form of http.Header

	verdicts *cache.Cache[verdict] // nil: it is asked each time
	life     time.Duration
	now      func() time.Time
}

// New builds the policy.
func (c *Config) New(deps policy.Deps) (policy.Policy, error) {
	permission, err := fetch.Permit(c.URL)
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	of := deps.Fetch
	of.Allow = append(slices.Clip(of.Allow), permission)
	of.Timeout, of.MaxResponse = c.Timeout.Std(), maxAnswer
	g := &guard{
		url: c.URL, client: fetch.New(of), timeout: c.Timeout.Std(), maxBody: c.MaxBody.Int64(),
		method: slices.Contains(c.Tell, tellMethod), host: slices.Contains(c.Tell, tellHost),
		path: slices.Contains(c.Tell, tellPath), address: slices.Contains(c.Tell, tellClient),
		fields: message.NewNameSet(c.RequestFields), all: len(c.RequestFields) == 0,
		copied: message.NewNameSet(c.CopyFields), given: message.NewNameSet(c.ClientFields), copies: c.CopyFields,
		user: c.UserField, life: c.CacheFor.Std(), now: deps.Time,
	}
	if g.life > 0 {
		g.verdicts = cache.New[verdict](maxVerdicts)
	}
	if len(c.ClientFields) > 0 {
		return &giving{g}, nil
	}
	return g, nil
}

// Authenticates is policy.Authenticator's.
func (g *guard) Authenticates() {}

// Owns is policy.Owner's: what is copied, but for what the server may decide by.
func (g *guard) Owns() (names []string) {
	for _, name := range g.copies {
		if !credential([]byte(name)) {
			names = append(names, name)
		}
	}
	return names
}

// credential reports whether clients prove who they are by a field.
func credential(name []byte) bool {
	return message.EqualFold(name, "authorization") || message.EqualFold(name, "cookie")
}

// Judge lets a request pass if the server does.
func (g *guard) Judge(r *policy.Request) (*policy.Answer, error) {
	var key []byte
	if g.verdicts != nil {
		scheme, host := g.origin(r)
		text := r.Append(func(dst []byte) []byte { return g.appendTold(dst, r, scheme, host) })
		key = r.Append(func(dst []byte) []byte { return g.verdicts.AppendKey(dst, text) })
		if v := g.verdicts.Get(key, g.now().UnixNano()); v != nil {
			g.admit(r, v)
			return nil, nil
		}
	}
	answer, why, err := g.ask(r)
	switch {
	case err != nil:
		return nil, err
	case why != nil:
		return refuse(why), nil
	case answer.Status >= 200 && answer.Status <= 299:
		v := g.verdictOf(answer.Header)
		if key != nil && storable(answer.Header) {
			now := g.now().UnixNano()
			g.verdicts.Put(key, v, now, now+int64(g.life))
		}
		g.admit(r, v)
		return nil, nil
	case answer.Status >= 300 && answer.Status <= 499:
		return passOn(answer), nil
	}
	return refuse(fmt.Errorf("its server answered %d", answer.Status)), nil
}

func refuse(why error) *policy.Answer {
	return &policy.Answer{Refusal: unavailable, Cause: fmt.Errorf("cannot ask whether the request may pass: %w", why)}
}

// ask asks the server. why says that there is no answer, err that the request is over.
func (g *guard) ask(r *policy.Request) (answer *fetch.Answer, why, err error) {
	q := g.client.NewRequest()
	q.Timeout = g.timeout
	if err := q.SetURL(g.url, ""); err != nil {
		return nil, err, nil
	}
	if g.maxBody > 0 {
		body, err := r.ReadBody(g.maxBody)
		if err != nil {
			return nil, nil, err
		}
		if err := q.SetMethod(string(r.Method)); err != nil {
			return nil, err, nil
		}
		q.Body = string(body)
	}
	if err := g.tell(q, r); err != nil {
		return nil, err, nil
	}
	err = r.Wait(func(ctx context.Context) error {
		answer, why = g.client.Do(ctx, q, nil)
		return ctx.Err()
	})
	return answer, why, err
}

// admit makes the request what the server wants.
func (g *guard) admit(r *policy.Request, v *verdict) {
	r.Memo.Value = v
	r.User = v.user
	r.Leave(kind, v)
	if len(g.copies) == 0 {
		return
	}
	for i := range *r.Header { // what the server has decided by, and gives itself
		if f := &(*r.Header)[i]; f.ID == message.Unknown && credential(f.Name) && g.copied.Has(f.Name) {
			f.Dropped = true
		}
	}
	for i := range v.copied {
		if f := &v.copied[i]; i == 0 || !message.SameName(f.Name, v.copied[i-1].Name) {
			r.SetOwned(f.Name, f.Value)
		} else {
			*r.Header = append(*r.Header, *f)
		}
	}
}

// Explain is policy.Explainer's.
func (g *guard) Explain(r *policy.Request) string {
	if r.User != nil {
		return fmt.Sprintf("its server lets %.64q pass", r.User)
	}
	return "its server lets the request pass"
}

// passOn makes the server's answer the client's.
func passOn(answer *fetch.Answer) *policy.Answer {
	given := &policy.Answer{Status: answer.Status, Header: fieldsOf(answer.Header, func([]byte) bool { return true }), Body: []byte(answer.Body)}
	if answer.Status >= 400 {
		given.Refusal, given.Cause = denied, fmt.Errorf("its server answered %d", answer.Status)
	}
	return given
}

// giving is the policy where clients get fields of an answer that lets pass.
type giving struct{ *guard }

// Amend adds them.
func (g *giving) Amend(r *policy.Request, response *policy.Response) {
	if v, ok := r.Memo.Value.(*verdict); ok {
		*response.Header = append(*response.Header, v.given...)
	}
}

// storable reports whether an answer that lets pass may be kept: one that gives a cookie
// is meant for one request.
func storable(header map[string][]string) bool {
	return len(header["Set-Cookie"]) == 0 && !strings.Contains(strings.ToLower(strings.Join(header["Cache-Control"], ",")), "no-store")
}
