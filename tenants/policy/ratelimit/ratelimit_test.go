package ratelimit_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy/policytest"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy/ratelimit"
)

const get = "GET /a HTTP/1.1\r\nHost: example.com\r\n"

// TestRate: a burst passes, then what the rate gives back; clients are told.
func TestRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		chain := policytest.Build(t, "[{rate_limit: {rate: 10/s, burst: 3}}]", policy.Deps{})
		for i, want := range []string{`"client";r=2;t=1`, `"client";r=1;t=1`, `"client";r=0;t=1`} {
			if o := policytest.Ask(chain, policytest.Request(get, "192.0.2.1"), "RateLimit", `"own";r=1`); o.Status != 200 || o.Field("RateLimit") != `"own";r=1|`+want || o.Field("RateLimit-Policy") != `"client";q=3;w=1` {
				t.Errorf("%d: got %d %q %q", i, o.Status, o.Field("RateLimit"), o.Field("RateLimit-Policy"))
			}
		}
		o := policytest.Ask(chain, policytest.Request(get, "192.0.2.1"))
		if o.Status != 429 || o.Code != "rate_limited" || o.By != "rate_limit" || o.Field("Retry-After") != "1" || o.Field("RateLimit") != `"client";r=0;t=1` ||
			o.Cause != "rate 10/s with a burst of 3 is used up by client 192.0.2.1, for 100ms more" {
			t.Errorf("got %+v %q", o, o.Field("RateLimit"))
		}
		if o := policytest.Ask(chain, policytest.Request(get, "192.0.2.2")); o.Status != 200 {
			t.Errorf("another client got %d", o.Status)
		}
		time.Sleep(99 * time.Millisecond)
		if o := policytest.Ask(chain, policytest.Request(get, "192.0.2.1")); o.Status != 429 {
			t.Errorf("after 99 ms got %d", o.Status)
		}
		time.Sleep(time.Millisecond)
		if o := policytest.Ask(chain, policytest.Request(get, "192.0.2.1")); o.Status != 200 {
			t.Errorf("after 100 ms got %d", o.Status)
		}
	})
}

// TestKeys: whose requests are counted together; each pair is the same key, or not.
func TestKeys(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		by   string
		a, b string // fields, "@" and the client's address; a leading path
		same bool
	}{
		{"client", "@192.0.2.1", "@192.0.2.2", false},
		{"client", "@192.0.2.1", "@::ffff:192.0.2.1", true},
		{"client", "@2001:db8::1", "@2001:db8::ffff:ffff:ffff:ffff", true},
		{"client", "@2001:db8::1", "@2001:db8:0:1::1", false},
		{"client", "@", "@", true},
		{"client", "@", "@?", false},
		{"client", "@?", "@?", true},
		{"client", "@192.0.2.1", "X-Forwarded-For: 6.6.6.6@192.0.2.1", true}, // who the client is was decided before
		{"tenant", "@192.0.2.1", "@192.0.2.2", true},
		{"path", "/a@192.0.2.1", "/a@192.0.2.2", true},
		{"path", "/a@192.0.2.1", "/b@192.0.2.1", false},
		{"'header:X-Key'", "X-Key: a@192.0.2.1", "x_kEY: a@192.0.2.2", true},
		{"'header:X-Key'", "X-Key: a@192.0.2.1", "X-Key: b@192.0.2.1", false},
		{"'header:X-Key'", "X-Key: a@192.0.2.1", "X-Key: a\r\nX-Key: b@192.0.2.1", false},
		{"'header:X-Key'", "X-Key: @192.0.2.1", "@192.0.2.1", true}, // neither has one
		{"'header:X-Key'", "@192.0.2.1", "@192.0.2.2", false},
		{"'cookie:s'", "Cookie: s=1; t=2@192.0.2.1", "Cookie: t=3; s=1@192.0.2.2", true},
		{"'cookie:s'", "Cookie: s=1@192.0.2.1", "Cookie: s=2@192.0.2.1", false},
		{"'cookie:s'", "Cookie: S=1@192.0.2.1", "Cookie: S=1@192.0.2.2", false}, // cookies' names have a case
		{"['header:A', 'header:B']", "A: 1@192.0.2.1", "B: 1@192.0.2.1", false},
		{"['header:A', 'header:B']", "A: ab\r\nB: c@192.0.2.1", "A: a\r\nB: bc@192.0.2.1", false},
		{"path", "/a@192.0.2.1", "/a;x=1@192.0.2.1", true},
		{"path", "/a/b@192.0.2.1", "/a%2Fb@192.0.2.1", true},
		{"path", "/a%20b@192.0.2.1", "/a@192.0.2.1", false},
		{"['header:A', 'header:B']", "A: x\r\nA: y\r\nB: z@192.0.2.1", "A: x\r\nB: y\r\nB: z@192.0.2.1", false},
		{"[client, path]", "/a@192.0.2.1", "/b@192.0.2.1", false},
		{"[client, path]", "/a@192.0.2.1", "/a@192.0.2.1", true},
		{"[method, host]", "@192.0.2.1", "@192.0.2.2", true},
		{"jwt.sub", "@192.0.2.1", "@192.0.2.2", false}, // nothing was found out
		{"jwt.sub", "@192.0.2.1", "@192.0.2.1", true},
		{"certificate", "@192.0.2.1", "@192.0.2.2", false}, // without one by client
	} {
		chain := policytest.Build(t, "[{rate_limit: {rate: 1/h, by: "+c.by+"}}]", policy.Deps{})
		first, second := policytest.Ask(chain, requestOf(c.a)), policytest.Ask(chain, requestOf(c.b))
		if first.Status != 200 || (second.Status == 429) != c.same {
			t.Errorf("by %s: %q and %q got %d and %d, want one key: %v", c.by, c.a, c.b, first.Status, second.Status, c.same)
		}
		if c.same && !strings.Contains(second.Cause, "is used up by ") {
			t.Errorf("by %s: the cause is %q", c.by, second.Cause)
		}
	}
}

func requestOf(text string) *policy.Request {
	fields, client, _ := strings.Cut(text, "@")
	path := "/a"
	if strings.HasPrefix(fields, "/") {
		path, fields = fields, ""
	}
	return policytest.Request("GET "+path+" HTTP/1.1\r\nHost: example.com\r\n"+fields, client)
}

// TestSecretsStaySecret: what a key is made of isn't told by the log.
func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	chain := policytest.Build(t, "[{rate_limit: {rate: 1/h, by: ['header:Authorization', 'cookie:s']}}]", policy.Deps{})
	text := ""
	for range 2 {
		r := policytest.Request(get+"Authorization: Bearer s3cr3t\r\nCookie: s=s3cr3t", "192.0.2.1")
		text += strings.Join(policytest.Explanations(chain, r), "\n") + "\n"
	}
	if want := "rate_limit passed: 0 of 1 are left to its field authorization, its cookie s, at 1/h\nrate_limit answered: rate 1/h with a burst of 1 is used up by its field authorization, its cookie s, for "; !strings.HasPrefix(text, want) || strings.Contains(text, "s3cr3t") {
		t.Errorf("got %q", text)
	}
}

// TestExemptAndDryRun: neither is refused; the second is counted.
func TestExemptAndDryRun(t *testing.T) {
	t.Parallel()
	chain := policytest.Build(t, "[{rate_limit: {rate: 1/h, exempt: [10.0.0.0/8, unix]}}]", policy.Deps{})
	for client, want := range map[string]int{"10.1.1.1": 200, "": 200, "::ffff:10.1.1.1": 200, "?": 429, "11.0.0.1": 429} {
		policytest.Ask(chain, policytest.Request(get, client))
		if o := policytest.Ask(chain, policytest.Request(get, client)); o.Status != want || (o.Field("RateLimit") == "") != (want == 200) {
			t.Errorf("%q: got %d %q, want %d", client, o.Status, o.Field("RateLimit"), want)
		}
	}
	chain = policytest.Build(t, "[{rate_limit: {rate: 1/h, dry_run: true, headers: false}}]", policy.Deps{})
	for range 3 {
		if o := policytest.Ask(chain, policytest.Request(get, "192.0.2.1")); o.Status != 200 || o.Field("RateLimit") != "" {
			t.Errorf("dry_run: got %d %q", o.Status, o.Field("RateLimit"))
		}
	}
	chain.Kinds(func(_ string, c *policy.Counter) {
		if c.Passed.Load() != 3 || c.WouldAnswer.Load() != 2 {
			t.Errorf("counted %d of %d", c.WouldAnswer.Load(), c.Passed.Load())
		}
	})
	if got := policytest.Explanations(chain, policytest.Request(get, "192.0.2.1")); len(got) != 1 || got[0] != "rate_limit passed: dry_run: rate 1/h with a burst of 1 is used up by client 192.0.2.1" {
		t.Errorf("explained %q", got)
	}
}

// TestReload: what was counted outlives a reload, unless the settings or the place
// are others; two policies of the same settings count for themselves.
func TestReload(t *testing.T) {
	t.Parallel()
	var deps policy.Deps
	deps.Kept.Tenant = &policy.Kept{}
	ask := func(list string) int {
		return policytest.Ask(policytest.Build(t, list, deps), policytest.Request(get, "192.0.2.1")).Status
	}
	for i, step := range []struct {
		list string
		want int
	}{
		{"[{rate_limit: {rate: 2/h}}, {rate_limit: {rate: 2/h}}]", 200},
		{"[{rate_limit: {rate: 2/h}}, {rate_limit: {rate: 2/h}}]", 200},
		{"[{rate_limit: {rate: 2/h}}, {rate_limit: {rate: 2/h}}]", 429},
		{"[{rate_limit: {rate: 2/h, dry_run: true}}]", 200},
		{"[{rate_limit: {rate: 2/h}}]", 429},
		{"[{rate_limit: {rate: 3/h}}]", 200},
	} {
		if got := ask(step.list); got != step.want {
			t.Errorf("step %d: got %d, want %d", i, got, step.want)
		}
	}
}

// TestNames: no two limits that clients are told of have the same name, unless the
// configuration says so.
func TestNames(t *testing.T) {
	t.Parallel()
	chain := policytest.Build(t, "[{rate_limit: {rate: 1/s}}, {rate_limit: {rate: 100/h, by: client}}, {rate_limit: {rate: 1/s, by: path, name: client-3}}, {ip: {deny: 10.0.0.1}}, {rate_limit: {rate: 1/d, by: [client]}}, {rate_limit: {rate: 1/s, by: path}}]", policy.Deps{})
	o := policytest.Ask(chain, policytest.Request(get, "192.0.2.1"))
	names := []string{}
	for value := range strings.SplitSeq(o.Field("RateLimit-Policy"), "|") {
		name, _, _ := strings.Cut(value, ";")
		names = append([]string{name}, names...)
	}
	if got := strings.Join(names, " "); got != `"client" "client-2" "client-3" "client-4" "path"` {
		t.Errorf("got %s", got)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]string{
		"{}":                                            "rate is missing, expected one like 10/s",
		"{rate: 10}":                                    `expected a rate like 10/s, 300/m, 1000/h, 5000/d or 20/10s, got "10"`,
		"{rate: 0/s}":                                   `expected a rate of 1 to 1000000000 requests, got "0/s"`,
		"{rate: -1/s}":                                  `expected a rate like 10/s`,
		"{rate: 1.5/s}":                                 `expected a rate like 10/s`,
		"{rate: 10r/s}":                                 `expected a rate like 10/s`,
		"{rate: 10/0s}":                                 `expected a rate like 10/s`,
		"{rate: 10/-1s}":                                `expected a rate like 10/s`,
		"{rate: 99999999999999999999/s}":                `expected a rate like 10/s`,
		"{rate: 2000000/s}":                             "rate 2000000/s with a burst of 2000000 can't be kept: rate is more than a million a second",
		"{rate: 1/d, burst: 4000}":                      "rate 1/d with a burst of 4000 can't be kept: burst would take more than ten years to come back",
		"{rate: 1/s, burst: -1}":                        "burst -1 is out of range",
		"{rate: 1/s, burst: 1000000001}":                "burst 1000000001 is out of range",
		"{rate: 1/s, by: clinet}":                       `by "clinet" is nothing that requests have, expected client, tenant, path, host, method, certificate, header:NAME, cookie:NAME, or POLICY.VALUE of what an earlier policy has found out, such as jwt.sub; did you mean "client"?`,
		"{rate: 1/s, by: 'header:'}":                    `by "header:" is nothing that requests have`,
		"{rate: 1/s, by: 'header:a b'}":                 `by "header:a b" is nothing that requests have`,
		"{rate: 1/s, by: []}":                           "by is empty",
		"{rate: 1/s, by: [client, client]}":             `by has "client" twice`,
		"{rate: 1/s, by: ['header:X_A', 'header:x-a']}": `by has "header:x-a" twice`,
		"{rate: 1/s, name: 'a b'}":                      `name "a b" is no name`,
		"{rate: 1/s, name: " + strings.Repeat("n", 65) + "}": `" is no name, expected at most 64 letters`,
		"{rate: 1000000001/h}":                               `expected a rate of 1 to 1000000000 requests`,
		"{rate: 1/s, exempt: [10.0.0/8]}":                    `exempt "10.0.0/8" is not a network`,
		"{rate: 1/s, excempt: 10.0.0.1}":                     `unknown key "excempt" in tenants[0].policies[0].rate_limit; did you mean "exempt"?`,
	} {
		if _, err := policytest.Check("[{rate_limit: "+list+"}]", ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", list, err, want)
		}
	}
	for _, list := range []string{"{rate: 10/s}", "{rate: 1000000000/h, name: " + strings.Repeat("n", 64) + "}", "{rate: 300/m, burst: 1}", "{rate: 5000/d}", "{rate: 20/10s, by: [client, path]}", "{rate: 1/30d}", "{rate: 1000000/s, burst: 1000000000}",
		"{rate: 1/s, by: ['header:X-Api-Key', 'cookie:__Host-s', jwt.realm_access.tenant, host, certificate, method, tenant, path], name: a-b_c.d, exempt: unix}"} {
		if _, err := policytest.Check("[{rate_limit: "+list+"}]", ""); err != nil {
			t.Errorf("%s: %v", list, err)
		}
	}
}

// TestAllocates0: nothing is allocated for requests that pass, whatever the key is,
// those included whose bucket is full again each time.
func TestAllocates0(t *testing.T) { //nolint:paralleltest // it counts allocations
	for _, by := range []string{"client", "[client, path, host, method, tenant]", "'header:Authorization'", "['cookie:s', certificate, jwt.sub]"} {
		for _, rate := range []string{"1000000/s", "1000000/d"} {
			chain := policytest.Build(t, "[{rate_limit: {rate: "+rate+", by: "+by+"}}]", policy.Deps{})
			r := policytest.Request(get+"Authorization: Bearer "+strings.Repeat("x", 2000)+"\r\nCookie: a=b; s=1", "2001:db8::1")
			policytest.Allocates0(t, chain, r)
		}
	}
}

// FuzzRate: whatever a rate is read from, it can be kept or is refused, and what is
// shown of it reads back as the same.
func FuzzRate(f *testing.F) {
	for _, text := range []string{"10/s", "300/m", "1/30d", "20/1h30m", "0/s", "1/9223372036854775807ns", "18446744073709551616/s", "1/"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var rate, again ratelimit.Rate
		if rate.UnmarshalText([]byte(text)) != nil {
			return
		}
		if rate.Count < 1 || rate.Per <= 0 {
			t.Errorf("%q is %+v", text, rate)
		}
		if err := again.UnmarshalText(fmt.Append(nil, rate)); err != nil || again != rate {
			t.Errorf("%q is shown as %s, which is %+v %v", text, rate, again, err)
		}
	})
}

// TestByValues: what an earlier policy has found out tells requests apart, whoever
// sends them.
func TestByValues(t *testing.T) {
	t.Parallel()
	chain := policytest.Build(t, "[{rate_limit: {rate: 1/h, by: jwt.sub}}]", policy.Deps{})
	for i, step := range []struct {
		sub, client string
		want        int
	}{
		{"alice", "192.0.2.1", 200},
		{"alice", "192.0.2.2", 429},
		{"bob", "192.0.2.1", 200},
		{"", "192.0.2.1", 200}, // by client
		{"", "192.0.2.1", 429},
	} {
		r := policytest.Request(get, step.client)
		r.Leave("jwt", subject(step.sub))
		if o := policytest.Ask(chain, r); o.Status != step.want {
			t.Errorf("%d: %q from %s got %d, want %d", i, step.sub, step.client, o.Status, step.want)
		}
	}
}

// subject is what a policy has found out.
type subject string

func (s subject) Value(name string) []byte {
	if name != "sub" {
		return nil
	}
	return []byte(s)
}
