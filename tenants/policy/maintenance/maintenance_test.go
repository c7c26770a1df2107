package maintenance_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy/policytest"
)

const get = "GET /a HTTP/1.1\r\nHost: example.com\r\n"

func TestAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		list, client string
		status       int
		kind, body   string
	}{
		{"{}", "192.0.2.1", 503, "", ""},
		{"{enabled: false}", "192.0.2.1", 200, "", ""},
		{"{text: Back soon, allow: [10.0.0.0/8, unix]}", "192.0.2.1", 503, "text/plain; charset=utf-8", "Back soon"},
		{"{text: Back soon, allow: [10.0.0.0/8, unix]}", "10.1.1.1", 200, "", ""},
		{"{text: Back soon, allow: [10.0.0.0/8, unix]}", "", 200, "", ""},
		{"{text: Back soon, allow: [10.0.0.0/8, unix]}", "?", 503, "text/plain; charset=utf-8", "Back soon"},
		{"{text: Back soon, allow: 10.0.0.0/8}", "", 503, "text/plain; charset=utf-8", "Back soon"},
		{"{text: ' <h1>Back</h1>', status: 200, retry_after: 0}", "192.0.2.1", 200, "text/html; charset=utf-8", " <h1>Back</h1>"},
		{"{text: '{}', content_type: application/json, status: 418}", "192.0.2.1", 418, "application/json", "{}"},
	} {
		o := policytest.Ask(policytest.Build(t, "[{maintenance: "+c.list+"}]", policy.Deps{}), policytest.Request(get, c.client))
		answers := o.By != ""
		if o.Status != c.status || o.Body != c.body || o.Field("Content-Type") != c.kind || answers && o.Code != "maintenance" ||
			answers && (o.Field("Cache-Control") != "no-store" || (o.Field("Retry-After") == "300") != !strings.Contains(c.list, "retry_after")) {
			t.Errorf("%s for %q: got %+v", c.list, c.client, o)
		}
	}
}

func TestSwitch(t *testing.T) {
	t.Parallel()
	chain := policytest.Build(t, "[{maintenance: {enabled: false}}, {maintenance: {enabled: false}}]", policy.Deps{})
	for _, on := range []bool{false, true, false} {
		if on {
			chain.Switch("maintenance", true)
		} else {
			chain.Switch("maintenance", false)
		}
		if is, found := chain.Switched("maintenance"); is != on || !found {
			t.Errorf("it is %v %v, want %v", is, found, on)
		}
		if o := policytest.Ask(chain, policytest.Request(get, "192.0.2.1")); (o.Status == 503) != on {
			t.Errorf("on %v: got %d", on, o.Status)
		}
	}
	if policytest.Build(t, "[{ip: {deny: 10.0.0.1}}]", policy.Deps{}).Switch("maintenance", true) {
		t.Error("a tenant without the policy was switched")
	}
}

func TestFileAndCheck(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, content := range map[string]string{"page.html": "<h1>Back</h1>", "empty": "", "large": strings.Repeat("x", 1<<20+1)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config, err := policytest.Check("[{maintenance: {file: page.html}}]", dir)
	if err != nil {
		t.Fatal(err)
	}
	chain, err := config.BuildPolicies(policy.Deps{}, func(string) *policy.Counter { return &policy.Counter{} })
	if err != nil {
		t.Fatal(err)
	}
	if o := policytest.Ask(chain, policytest.Request(get, "192.0.2.1")); o.Body != "<h1>Back</h1>" || o.Field("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("got %+v", o)
	}
	for list, want := range map[string]string{
		"{file: empty}":                      `file "empty" can't be used: it is empty`,
		"{file: large}":                      `file "large" can't be used: it is too large`,
		"{file: none}":                       `file "none" can't be used`,
		"{file: page.html, text: x}":         "maintenance has text and file",
		"{text: x, status: 302}":             "status 302 is out of range",
		"{status: 500}":                      "status 500 needs text or file",
		"{text: x, content_type: \"a\\nb\"}": "content_type",
		"{allow: 10.0.0}":                    `allow "10.0.0" is not a network`,
	} {
		if _, err := policytest.Check("[{maintenance: "+list+"}]", dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", list, err, want)
		}
	}
}

func TestAllocates0(t *testing.T) { //nolint:paralleltest // it counts allocations
	policytest.Allocates0(t, policytest.Build(t, "[{maintenance: {enabled: false}}, {maintenance: {allow: 10.0.0.0/8}}]", policy.Deps{}), policytest.Request(get, "10.1.1.1"))
}
