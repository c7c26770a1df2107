package errorpages_test

import (
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy/policytest"
)

func TestWording(t *testing.T) {
	t.Parallel()
	chain := policytest.Build(t, "[{errors: {pages: {'404': {text: '{status} {reason} {code} {message} {request_id} {other}'}, 4xx: {text: '<p>{message}</p>'}, 5xx: {text: 'x{message}', content_type: text/x}}}}, "+
		"{errors: {problem: true, pages: {'499': {text: never}}}}]", policy.Deps{})
	for _, c := range []struct {
		status     int
		json       bool
		kind, body string
	}{
		{404, false, "text/plain; charset=utf-8", "404 Not Found some_code a <b> & c id {other}"},
		{403, false, "text/html; charset=utf-8", "<p>a &lt;b&gt; &amp; c</p>"},
		{502, false, "text/x", "xa <b> & c"},
		{404, true, "application/problem+json", `{"type":"about:blank","title":"Not Found","status":404,"detail":"a \u003cb\u003e \u0026 c","code":"some_code","request_id":"id"}` + "\n"},
		{308, false, "", ""},
	} {
		r := policytest.Request("GET / HTTP/1.1", "")
		chain.Begin(r)
		kind, body := chain.Word(r, policy.Error{Refusal: policy.Refusal{Status: c.status, Code: "some_code", Message: "a <b> & c"}, JSON: c.json})
		if kind != c.kind || string(body) != c.body {
			t.Errorf("%d, JSON %v: got %q %q", c.status, c.json, kind, body)
		}
	}
	r := policytest.Request("GET / HTTP/1.1", "")
	chain.Begin(r)
	if _, body := chain.Word(r, policy.Error{Refusal: policy.Refusal{Status: 403, Message: strings.Repeat("<", 5000)}}); string(body) != "<p>"+strings.Repeat("&lt;", 1024)+"</p>" {
		t.Errorf("a long message makes a page of %d bytes", len(body))
	}
	if policytest.Build(t, "[{ip: {deny: 10.0.0.1}}]", policy.Deps{}).Words() {
		t.Error("ip words errors")
	}
	for list, want := range map[string]string{
		"{}":                                   "errors changes nothing",
		"{pages: {'200': {text: x}}}":          `"200" is no status of errors`,
		"{pages: {'600': {text: x}}}":          `"600" is no status of errors`,
		"{pages: {'4x4': {text: x}}}":          `"4x4" is no status of errors`,
		"{pages: {'404': {}}}":                 "the page for 404 has neither text nor file",
		"{pages: {'404': {text: x, file: y}}}": "the page for 404 has text and file",
		"{pages: {'404': {text: '" + strings.Repeat("{code}{x}", 101) + "'}}}": "text has 101 values like {status}, expected at most 100",
		"{pages: {'404': {file: y}}}":                                          `file "y" can't be used`,
	} {
		if _, err := policytest.Check("[{errors: "+list+"}]", t.TempDir()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", list, err, want)
		}
	}
}
