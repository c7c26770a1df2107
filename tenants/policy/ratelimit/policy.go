package ratelimit

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/tenants/network"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
	"github.com/keystone-gateway/keystone-gateway/tenants/store"
)

// mostKeys is how many keys all rate limits of a tenant count at once: 3 MiB of them.
const mostKeys = 1 << 17

// limits are those of all policies of a tenant.
type limits struct{ *store.Limits }

// New builds the policy. What it has counted outlives reloads, as long as its settings
// and its place in the list stay the same.
func (c *Config) New(deps policy.Deps) (policy.Policy, error) {
	quota, err := c.quota()
	if err != nil {
		return nil, fmt.Errorf("cannot limit to %s: %w", c.Rate, err)
	}
	now := deps.Now
	if now == nil {
		now = time.Now
	}
	kept := policy.Keep(deps.Kept.Tenant, func() *limits { return &limits{store.NewLimits(mostKeys, now)} })
	l := &limit{config: c, limits: kept.Limits, quota: quota, key: policy.ParseKey(c.By), number: c.number(deps.Place)}
	l.exempt, l.unix = network.ParseSet(c.Exempt)
	if l.shared.store, err = deps.SharedBy(c.Store); err != nil {
		return nil, err
	}
	l.shared.name = c.sharedName(deps.Place)
	if !c.Headers {
		return l, nil
	}
	name := nameOf(append(slices.Clip(deps.Earlier), c))
	window := time.Duration(float64(c.burst()) / float64(c.Rate.Count) * float64(c.Rate.Per))
	return &told{limit: l, begin: strconv.AppendQuote(nil, name), policy: fmt.Appendf(nil, "%q;q=%d;w=%d", name, c.burst(), seconds(window))}, nil
}

// nameOf returns the name of the last one of a tenant's limits: one of by, and a number
// if an earlier one has the same.
func nameOf(list []policy.Section) (name string) {
	taken := map[string]bool{}
	for _, section := range list {
		c, ok := section.(*Config)
		if !ok {
			continue
		}
		first := cmp.Or(strings.Join(c.By, "+"), "client")
		name = cmp.Or(c.Name, first)
		for n := 2; c.Name == "" && taken[name]; n++ {
			name = first + "-" + strconv.Itoa(n)
		}
		taken[name] = true
	}
	return name
}

// number tells limits apart whose requests aren't counted together.
func (c *Config) number(place string) uint64 {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%s %s %d %q", place, c.Rate, c.burst(), c.By)
	return h.Sum64()
}

// sharedName is number for all gateways: what has a name is the same wherever it stands.
func (c *Config) sharedName(place string) string {
	if c.Name != "" {
		place = "name"
	}
	return "rate_limit:" + c.Name + ":" + strconv.FormatUint(c.number(place), 36)
}

// limit is the policy where clients aren't told.
type limit struct {
	config *Config
	limits *store.Limits
	quota  store.Quota
	key    policy.Key
	number uint64
	shared shared
	exempt network.Set
	unix   bool // clients on Unix sockets are exempt
}

// What a memo's numbers are.
const (
	memoState = iota
	memoLeft
	memoReset // nanoseconds
	memoBy    // who has decided
)

// The states of a memo.
const (
	notAsked = iota
	counted
	exempted
	wouldRefuse // but for dry_run
	uncounted   // the store hasn't said, and on_store_error is not local
)

// Judge lets a request pass while its key has tokens left.
func (l *limit) Judge(r *policy.Request) (*policy.Answer, error) {
	if l.exempts(r) {
		r.Memo.Numbers[memoState] = exempted
		return nil, nil
	}
	key := r.Append(func(dst []byte) []byte { return l.key.Append(dst, r) })
	var v store.Verdict
	var answer *policy.Answer
	var shares bool
	m := &r.Memo.Numbers
	if l.shared.asks() {
		var ok bool
		var err error
		if v, ok = l.shared.store.Try(l.shared.name, key, l.quota); ok {
			m[memoBy] = byStore
		} else if v, answer, err = l.take(r, key); err != nil {
			return nil, err
		}
	}
	if by := m[memoBy]; answer == nil && (by == byProcess || by == byProcessInstead) {
		client := r.Append(func(dst []byte) []byte { return policy.AppendClient(dst, r) })
		v, shares = l.limits.Take(l.number, key, client, l.quota)
	}
	if m[memoState], m[memoLeft], m[memoReset] = counted, v.Remaining, int64(v.Reset); m[memoBy] == byNobody || answer != nil {
		m[memoState] = uncounted
	}
	switch {
	case v.Allowed:
		return nil, nil
	case l.config.DryRun:
		if answer == nil {
			m[memoState] = wouldRefuse
		}
		r.WouldAnswer = true
		return nil, nil
	case answer != nil:
		return answer, nil
	}
	return l.refuse(r, v, shares), nil
}

// refuse answers who has used a limit up.
func (l *limit) refuse(r *policy.Request, v store.Verdict, shares bool) *policy.Answer {
	cause := fmt.Errorf("rate %s with a burst of %d is used up by %s, for %v more", l.config.Rate, l.config.burst(), l.key.Describe(r), v.RetryAfter.Round(time.Millisecond))
	if shares {
		cause = fmt.Errorf("%w; more keys than there is room for share what is left", cause)
	}
	if r.Memo.Numbers[memoBy] == byProcessInstead {
		cause = fmt.Errorf("%w; this gateway has counted by itself, since the store has not", cause)
	}
	return &policy.Answer{Refusal: limited, Cause: cause, Header: message.Header{
		{Name: []byte("Retry-After"), Value: strconv.AppendInt(nil, seconds(v.RetryAfter), 10)},
	}}
}

func (l *limit) exempts(r *policy.Request) bool {
	if !r.Client.IsValid() {
		return l.unix && !r.Unnamed
	}
	return l.exempt.Contains(r.Client)
}

// Explain is policy.Explainer's.
func (l *limit) Explain(r *policy.Request) string {
	switch r.Memo.Numbers[memoState] {
	case exempted:
		return "the client is in exempt"
	case wouldRefuse:
		return fmt.Sprintf("dry_run: rate %s with a burst of %d is used up by %s", l.config.Rate, l.config.burst(), l.key.Describe(r))
	case uncounted:
		return "the store has not decided, and on_store_error is " + l.config.OnStoreError
	}
	where := [...]string{byProcess: "", byStore: ", in the store", byProcessInstead: ", of this gateway alone, since the store has not decided"}[r.Memo.Numbers[memoBy]]
	return fmt.Sprintf("%d of %d are left to %s, at %s"+where, r.Memo.Numbers[memoLeft], l.config.burst(), l.key.Describe(r), l.config.Rate)
}

// told is the policy where clients are told, by the fields of
// draft-ietf-httpapi-ratelimit-headers-10.
type told struct {
	*limit
	begin  []byte // of RateLimit: the limit's name
	policy []byte // RateLimit-Policy
}

var policyName, limitName = []byte("RateLimit-Policy"), []byte("RateLimit")

// Amend tells of the limit, and of what is left to whom the response is for.
func (t *told) Amend(r *policy.Request, response *policy.Response) {
	m := &r.Memo.Numbers
	if m[memoState] != counted && m[memoState] != wouldRefuse {
		return
	}
	value := r.Append(func(dst []byte) []byte {
		dst = strconv.AppendInt(append(append(dst, t.begin...), ";r="...), m[memoLeft], 10)
		return strconv.AppendInt(append(dst, ";t="...), seconds(time.Duration(m[memoReset])), 10)
	})
	*response.Header = append(*response.Header, message.Field{Name: policyName, Value: t.policy}, message.Field{Name: limitName, Value: value})
}

// seconds rounds up, to what a field can say.
func seconds(d time.Duration) int64 { return int64(math.Ceil(d.Seconds())) }
