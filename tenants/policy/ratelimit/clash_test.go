package ratelimit_test

import (
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants"
)

// TestSameLimitTwice: what is one limit in the store, and would be counted twice for a
// request, is an error; what only looks alike is none.
func TestSameLimitTwice(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ tenant, first, second, wrong string }{
		{"", "name: a", "name: a", "routes[0].policies[0]"},
		{"name: a", "", "name: a", "policies[0]"},
		{"name: a", "name: b", "name: c, burst: 2", ""},
		{"", "name: a", "name: a, dry_run: true, headers: false", "routes[0].policies[0]"},
		{"", "name: a", "name: a, on_store_error: closed, store: redis", "routes[0].policies[0]"},
		{"", "name: a, store: local", "name: a", ""}, // one in each
		{"", "name: a", "name: a, store: local", ""},
		{"", "name: a", "name: a, burst: 20", ""},
		{"", "name: a", "name: a, by: tenant", ""},
		{"", "name: a", "name: b", ""},
		{"", "", "", ""}, // limits without names are told apart by their places
	} {
		limit := func(more string) string {
			return "{rate_limit: {rate: 10/s" + strings.TrimSuffix(", "+more, ", ") + "}}"
		}
		text := "tenants:\n- name: x\n  path_prefix: /\n  services: [{url: 'http://127.0.0.1:1'}]\n  policies: [" + limit(c.tenant) + "]\n" +
			"  routes:\n  - {path: /a, policies: [" + limit(c.first) + ", {ip: {deny: 192.0.2.1}}, " + limit(c.second) + "], respond: {status: 204}}\n" +
			"  - {path: /b, policies: [" + limit(c.first) + "], respond: {status: 204}}\n" // which other requests pass
		var s struct {
			Tenants []tenants.Config `yaml:"tenants"`
		}
		document := settings.Decode("c.yaml", []byte(text), &s, nil)
		tenants.CheckAll(s.Tenants, document, nil)
		err := document.Err()
		if c.wrong == "" {
			if err != nil {
				t.Errorf("%+v: %v", c, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), `c.yaml:7:`) || !strings.Contains(err.Error(), `routes[0].policies[2].rate_limit: name "a"`) || !strings.HasSuffix(err.Error(), "it is the limit of "+c.wrong) {
			t.Errorf("%+v: got %v", c, err)
		}
	}
}
