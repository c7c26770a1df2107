package proxy_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy"
)

// TestDoubts: what is allowed and seldom meant is said with its place, and what
// is meant isn't.
func TestDoubts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ tenant, top, want string }{
		{"", "tls: {cert_file: a.pem, key_file: b.pem}", "config.yaml:3:6: tls has cert_file and key_file, and isn't enabled: the listener speaks HTTP without TLS"},
		{"", "tls: {enabled: false, cert_file: a.pem, key_file: b.pem}", ""},
		{"target_tls: {server_name: a.internal}", "", `config.yaml:2:92: target_tls of tenant "a" is for no target: expected a service with a url that begins with https`},
		{"target_tls: {insecure_skip_verify: true}", "", "is for no target"},
		{"target_tls: {}", "", ""},
		{"health: {path: /, interval: 5000}", "", "config.yaml:2:108: health.interval is 1h23m20s, so that a target that is down is found late; a number without a unit is seconds: expected one like 5s"},
		{"health_interval: 30000", "", "config.yaml:2:97: health_interval is 8h20m, "},
		{"health: {path: /, interval: 1800}", "", ""},
		{"", "admin: {token: $ADMIN_TOKEN_OF_OURS}", "config.yaml:3:16: admin.token is taken as it stands, and no variable: expected ${NAME}"},
		{"", "admin: {token: '{{ env.ADMIN_TOKEN }}'}", "admin.token is taken as it stands"},
		{"", "admin: {token: '{$ADMIN_TOKEN:default}'}", "admin.token is taken as it stands"},
		{"", "admin: {token: '{env.ADMIN_TOKEN_X}'}", "admin.token is taken as it stands"},
		{"", "admin: {token: '%ADMIN_TOKEN_OF_OURS%'}", "admin.token is taken as it stands"},
		{"", "admin: {token: '$ecret$ecret$ecret'}", ""},
		{"lua: {secrets: {KEY: $KEY}}", "", "config.yaml:2:95: a value of lua.secrets is taken as it stands"},
		{"health: {path: /, headers: {Authorization: '{{ token }}'}}", "", "a value of health.headers is taken as it stands"},
		{"health: {path: /, headers: {Authorization: 'Bearer a'}}", "", ""},
	} {
		config := "tenants:\n- {name: a, domains: [a.example.com], services: [{url: \"http://127.0.0.1:1\"}]"
		if c.tenant != "" {
			config += ", " + c.tenant
		}
		parsed, err := proxy.Parse("config.yaml", []byte(config+"}\n"+c.top+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(parsed.Warnings(), "\n"); !strings.HasPrefix(got, c.want) && (c.want == "" || !strings.Contains(got, c.want)) || c.want == "" && got != "" {
			t.Errorf("%s%s\ngot  %s\nwant %s", c.tenant, c.top, got, c.want)
		}
	}
}

// TestWarningsBesideErrors: one tenant's error hides no warning of another's.
func TestWarningsBesideErrors(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t, "scripts/a.lua", "chi.get('/users/:id', function(_, r) r:write('') end)", "scripts/b.lua", "chi.get('/x'", "c.yaml",
		"tenants:\n- {name: a, domains: [a.example.com], lua_routes: a}\n- {name: b, domains: [b.example.com], lua_routes: b}\n")
	file := filepath.Join(w.dir, "c.yaml")
	config, err := proxy.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	warnings, err := proxy.CheckScripts(file, config)
	if err == nil || !strings.Contains(err.Error(), "b.lua:1:") {
		t.Errorf("the error is %v", err)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], `a.lua:1: the pattern "/users/:id" matches just that text`) {
		t.Errorf("the warnings are %q", warnings)
	}
}
