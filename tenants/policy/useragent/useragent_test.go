package useragent_test

import (
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy/policytest"
)

func TestPrograms(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		list, fields string
		passes       bool
	}{
		{"{deny: ['*GPTBot*', 'curl/*']}", "User-Agent: Mozilla/5.0 (compatible; gptbot/1.2)", false},
		{"{deny: ['*GPTBot*', 'curl/*']}", "USER-agent: CURL/8.1", false},
		{"{deny: ['*GPTBot*', 'curl/*']}", "User-Agent: my curl/8.1", true},
		{"{deny: ['*GPTBot*', 'curl/*']}", "X: y", true},
		{"{deny: 'curl/*'}", "User-Agent: good\r\nUser-Agent: curl/8", false},
		{"{deny_missing: true}", "X: y", false},
		{"{deny_missing: true}", "User-Agent: ", false},
		{"{deny_missing: true}", "User-Agent: x", true},
		{"{allow: 'app/*'}", "User-Agent: App/1", true},
		{"{allow: 'app/*'}", "User-Agent: app/1\r\nUser-Agent: other", false},
		{"{allow: 'app/*'}", "X: y", false},
		{"{allow: 'app/*', deny: '*beta*'}", "User-Agent: app/1-beta", false},
		{"{allow: ab*ba}", "User-Agent: aba", false}, // the two ends don't overlap
		{"{allow: ab*ba}", "User-Agent: abba", true},
		{"{allow: a*b*c}", "User-Agent: axbxbxc", true},
		{"{allow: a*b*b*c}", "User-Agent: axbxc", false},
		{"{allow: '*'}", "User-Agent: x", true},
		{"{deny: '*ÄRA*'}", "User-Agent: the Ära", false}, // case counts beyond ASCII
		{"{deny: '*ÄRA*'}", "User-Agent: the ära", true},
		{"{deny: curl}", "User-Agent: " + strings.Repeat("x", 2048), true},
		{"{deny: curl}", "User-Agent: " + strings.Repeat("x", 2049), false},
		{"{deny: curl}", "User-Agent: " + strings.Repeat("x", 1024) + "\r\nUser-Agent: " + strings.Repeat("y", 1025), false},
		{"{allow: '*x'}", "User-Agent: " + strings.Repeat("x", 2049), false},
		{"{deny_missing: true}", "User-Agent: " + strings.Repeat("x", 2049), true}, // nothing is compared
	} {
		o := policytest.Ask(policytest.Build(t, "[{user_agent: "+c.list+"}]", policy.Deps{}), policytest.Request("GET /a HTTP/1.1\r\n"+c.fields, ""))
		if (o.Status == 200) != c.passes || !c.passes && (o.Code != "user_agent_denied" || o.Cause == "") {
			t.Errorf("%s of %q: got %d %s %s", c.list, c.fields, o.Status, o.Code, o.Cause)
		}
	}
	for list, want := range map[string]string{
		"{}":         "user_agent refuses nobody",
		"{deny: []}": "deny has 0 patterns",
		"{deny: ''}": `deny has "", expected a text of 1 to 256 bytes`,
		"{deny: '" + strings.Repeat("*a", 9) + "'}":  "with at most 8",
		"{deny: '" + strings.Repeat("a", 257) + "'}": "expected a text of 1 to 256 bytes",
	} {
		if _, err := policytest.Check("[{user_agent: "+list+"}]", ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", list, err, want)
		}
	}
}

func TestAllocates0(t *testing.T) { //nolint:paralleltest // it counts allocations
	policytest.Allocates0(t, policytest.Build(t, "[{user_agent: {allow: '*Mozilla*', deny: ['*bot*', 'a*b*c*d*e']}}]", policy.Deps{}),
		policytest.Request("GET /a HTTP/1.1\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", ""))
}

// FuzzGlob: a pattern matches what the plain definition of it does.
func FuzzGlob(f *testing.F) {
	f.Add("a*b", "axb")
	f.Add("**a", "a")
	f.Add("ab*ba", "aba")
	f.Add("*", "")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if len(pattern) > 12 || len(text) > 24 {
			return
		}
		pattern, text = strings.ToLower(pattern), strings.ToLower(text)
		glob := policy.NewGlob(pattern)
		if got, want := glob.Match([]byte(text)), matches(pattern, text); got != want {
			t.Errorf("%q matches %q: %v, want %v", pattern, text, got, want)
		}
	})
}

func matches(pattern, text string) bool {
	if pattern == "" {
		return text == ""
	}
	if pattern[0] == '*' {
		return matches(pattern[1:], text) || text != "" && matches(pattern, text[1:])
	}
	return text != "" && text[0] == pattern[0] && matches(pattern[1:], text[1:])
}
