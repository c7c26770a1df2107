package basicauth

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
	"github.com/keystone-gateway/keystone-gateway/tenants/store"
)

// kind is the name of the policy.
const kind = "basic_auth"

// failureTime is what failures are counted in.
const failureTime = time.Minute

// guard is the policy.
type guard struct {
	users     map[string]*user
	list      []*user // the same, in an order that doesn't change
	challenge message.Header
	field     []byte // empty: none
	pass      bool
	processor func() func()

	verifier *verifier
	places   *places

	store      store.Store
	shared     store.Shared // with other gateways; nil: failures are counted here
	onError    string       // of the shared store
	client     policy.Key   // whose failures are counted together
	failures   int
	look, cost store.Quota
}

// New builds the policy.
func (c *Config) New(deps policy.Deps) (policy.Policy, error) {
	g := &guard{
		users: map[string]*user{}, field: []byte(c.Field), pass: c.PassCredentials, store: deps.Store, client: policy.ParseKey(nil), failures: c.Failures,
		verifier: policy.Keep(deps.Kept.Tenant, newVerifier), places: policy.Keep(deps.Kept.Process, newPlaces), processor: deps.Processor,
	}
	g.challenge.Add([]byte("WWW-Authenticate"), []byte(`Basic realm="`+c.Realm+`", charset="UTF-8"`))
	for n, text := range c.Users {
		u, err := newUser(n, text)
		if err != nil {
			return nil, fmt.Errorf("user %.64q: %w", n, err)
		}
		g.users[n] = &u
	}
	for i := range c.loaded {
		g.users[string(c.loaded[i].name)] = &c.loaded[i]
	}
	for _, n := range slices.Sorted(maps.Keys(g.users)) {
		g.list = append(g.list, g.users[n])
	}
	if len(g.list) == 0 {
		return nil, errors.New("there are no users")
	}
	var bad [3]error
	g.shared, bad[2] = deps.SharedBy(c.Store)
	g.onError = c.OnStoreError
	g.look, bad[0] = store.NewQuota(float64(c.Failures), failureTime.Seconds(), float64(c.Failures), 0)
	g.cost, bad[1] = store.NewQuota(float64(c.Failures), failureTime.Seconds(), float64(c.Failures), 1)
	return g, errors.Join(bad[:]...)
}

// Authenticates is policy.Authenticator's.
func (g *guard) Authenticates() {}

// Owns is policy.Owner's.
func (g *guard) Owns() []string { return []string{string(g.field)} }

// Judge lets a request pass whose user and password are known.
func (g *guard) Judge(r *policy.Request) (*policy.Answer, error) {
	sent, lines := authorization(r.Header)
	switch lines {
	case 1:
	case 0:
		return g.refuse("no name and password were sent"), nil
	default:
		return g.refuse("Authorization was sent several times"), nil
	}
	text := r.Append(func(dst []byte) []byte { return appendCredentials(dst, sent) })
	name, password, found := bytes.Cut(text, colon)
	if !found {
		return g.refuse("Authorization is not that of Basic, with name:password in base64"), nil
	}
	u := g.users[string(name)]
	compared := u
	if u == nil { // it takes as long as a user that there is, and always the same
		compared = g.list[maphash.Bytes(g.verifier.seed, name)%uint64(len(g.list))]
	}
	both := r.Append(func(dst []byte) []byte { return append(append(dst, text...), compared.digest[:]...) })
	key := r.Append(func(dst []byte) []byte { return g.verifier.known.AppendKey(dst, both) })
	if u != nil && g.verifier.known.Get(key, 0) != nil {
		g.admit(r, u)
		return nil, nil
	}
	return g.verify(r, u, compared.hash, password, key)
}

var colon = []byte(":")

// authorization finds the field, and counts its lines.
func authorization(h *message.Header) (value []byte, lines int) {
	for i := range *h {
		if f := &(*h)[i]; f.ID == message.Unknown && !f.Dropped && message.EqualFold(f.Name, "authorization") {
			value = f.Value
			lines++
		}
	}
	return value, lines
}

// appendCredentials appends name:password; what isn't such has no colon.
func appendCredentials(dst, value []byte) []byte {
	const scheme = "basic "
	if len(value) <= len(scheme) || !message.EqualFold(value[:len(scheme)-1], scheme[:len(scheme)-1]) || value[len(scheme)-1] != ' ' {
		return dst
	}
	with, err := base64.StdEncoding.Strict().AppendDecode(dst, message.Trim(value[len(scheme):]))
	if err != nil {
		return dst
	}
	return with
}

// admit makes the request that of a user.
func (g *guard) admit(r *policy.Request, u *user) {
	r.User = u.name
	r.Leave(kind, u)
	if !g.pass {
		for i := range *r.Header {
			if f := &(*r.Header)[i]; f.ID == message.Unknown && message.EqualFold(f.Name, "authorization") {
				f.Dropped = true
			}
		}
	}
	if len(g.field) > 0 {
		r.SetOwned(g.field, u.name)
	}
}

// verify compares a password with a hash, which takes long. u is nil where there is no
// such user, and the hash another's.
func (g *guard) verify(r *policy.Request, u *user, h hash, password, key []byte) (*policy.Answer, error) {
	verdict, answer, err := g.count(r, g.look)
	if err != nil {
		return nil, fmt.Errorf("cannot look at the client's failures: %w", err)
	}
	if answer != nil {
		return answer, nil
	}
	if verdict.Remaining < 1 {
		return g.limit(verdict), nil
	}
	var good, first bool
	err = r.Wait(func(ctx context.Context) (err error) {
		good, first, err = g.verifier.verify(ctx, key, func(ctx context.Context) (bool, error) { return g.compare(ctx, h, password) })
		return err
	})
	switch {
	case errors.Is(err, errBusy):
		return &policy.Answer{Refusal: busy, Cause: errBusy, Header: retryAfter(time.Second)}, nil
	case err != nil:
		return nil, err
	case good && u != nil:
		g.admit(r, u)
		return nil, nil
	}
	if first { // the same once more teaches nobody anything
		if _, answer, err := g.count(r, g.cost); err != nil {
			return nil, fmt.Errorf("cannot count the client's failure: %w", err)
		} else if answer != nil {
			return answer, nil
		}
	}
	if u == nil {
		return g.refuse("there is no user of that name"), nil
	}
	return g.refuse(fmt.Sprintf("the password is not that of user %.64q", u.name)), nil
}

// count asks for what the quota costs of the client's failures, of all gateways together
// where there is a store; where that doesn't decide, as on_store_error says.
func (g *guard) count(r *policy.Request, q store.Quota) (v store.Verdict, answer *policy.Answer, err error) {
	if g.shared != nil && g.shared.Configured() {
		client := r.Append(func(dst []byte) []byte { return g.client.Append(dst, r) })
		v, failed, err := r.TakeShared(g.shared, kind, client, q)
		switch {
		case err != nil || failed == nil:
			return v, nil, err //nolint:wrapcheck // callers do
		case g.onError == policy.OnErrorOpen:
			return store.Verdict{Allowed: true, Remaining: 1}, nil, nil
		case g.onError == policy.OnErrorClosed:
			return v, policy.Unavailable(failed), nil
		}
	}
	v, err = r.Take(g.store, string(g.client.Append([]byte("\x00"+kind+":"), r)), q)
	return v, nil, err //nolint:wrapcheck // callers do
}

// compare hashes a password when it is its turn.
func (g *guard) compare(ctx context.Context, h hash, password []byte) (bool, error) {
	turns := []chan struct{}{g.verifier.turns, g.places.any}
	if h.large() {
		turns = append(turns, g.places.large)
	}
	for _, turn := range turns {
		if err := acquire(ctx, turn); err != nil {
			return false, err
		}
		defer release(turn) //nolint:revive // all are kept until the password is hashed
	}
	if g.processor != nil {
		end := g.processor()
		defer end()
	}
	return h.matches(password), nil
}

// Explain is policy.Explainer's.
func (g *guard) Explain(r *policy.Request) string {
	return fmt.Sprintf("user %.64q has sent the right password", r.User)
}

func (g *guard) refuse(why string) *policy.Answer {
	return &policy.Answer{Refusal: denied, Cause: errors.New(why), Header: g.challenge}
}

// limit refuses until one more failure is allowed.
func (g *guard) limit(v store.Verdict) *policy.Answer {
	wait := v.Reset - failureTime + failureTime/time.Duration(g.failures)
	return &policy.Answer{
		Refusal: limited, Header: retryAfter(wait),
		Cause: fmt.Errorf("the client has sent failures (%d) wrong passwords in a minute", g.failures),
	}
}

func retryAfter(wait time.Duration) (h message.Header) {
	h.Add([]byte("Retry-After"), strconv.AppendInt(nil, max(1, int64((wait+time.Second-1)/time.Second)), 10))
	return h
}
