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
	dir := t.TempDir()
	certify(t, dir, "c")
	named := strings.NewReplacer("[ca.pem]", "["+filepath.Join(dir, "c.crt")+"]", "ca_file: ca.pem", "ca_file: "+filepath.Join(dir, "c.crt"), "c.pem", filepath.Join(dir, "c.crt"), "c.key", filepath.Join(dir, "c.key"))
	for _, c := range []struct{ tenant, top, want string }{
		{"", "tls: {cert_file: a.pem, key_file: b.pem}", "config.yaml:3:6: tls has cert_file and key_file, and isn't enabled: the listener speaks HTTP without TLS"},
		{"", "tls: {enabled: false, cert_file: a.pem, key_file: b.pem}", ""},
		{"", "tls: {cert_file: a.pem}", ""}, {"", "tls: {key_file: b.pem}", ""},
		{"", "compatibility: keystone-1\ndefault_health_interval: 1801", "default_health_interval is 30m1s, "}, {"", "compatibility: keystone-1\ndefault_health_interval: 1800", ""},
		{"health_interval: 1800", "", ""}, {"health: {path: /, interval: 1801}", "", "health.interval is 30m1s, "},
		{"", "listeners: [{address: ':81'}, {address: ':82', proxy_protocol: {from: [unix]}}]", "config.yaml:3:71: proxy_protocol.from is for peers on a Unix socket, and the listener is none"},
		{"", "listeners: [{address: 'unix:/tmp/s', proxy_protocol: {from: [10.0.0.0/8]}}]", "proxy_protocol.from has networks alone, and the listener is a Unix socket"}, {"", "listeners: [{address: 'unix:/tmp/s', proxy_protocol: {from: [unix]}}]", ""},
		{"client_tls: {client_auth: require, ca_files: [ca.pem]}", "", `client_tls of tenant "a" requires certificates, and the listener speaks no TLS: its requests get 421`}, {"client_tls: {client_auth: require, ca_files: [ca.pem], allow_without_tls: true}", "", ""}, {"client_tls: {client_auth: request, ca_files: [ca.pem]}", "", ""},
		{"target_tls: {client_certificate: {cert_file: c.pem, key_file: c.key}}", "", "is for no target"}, {"target_tls: {ca_file: ca.pem}", "", "is for no target"},
		{"lua_routes: a.lua", "lua_routing: {enabled: false}", `tenant "a" has scripts, but lua_routing.enabled is false: its requests are answered with 503`},
		{"", "certificates: {acme: {email: a@example.com}}", "certificates.acme is set, and no tenant has tls: auto, so that nothing is ordered"},
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
		{"policies: [{headers: {request: {remove: ['X-*']}}}]", "", `config.yaml:2:121: "X-*" is the field of just that name, since names have no wildcards`},
		{"policies: [{headers: {response: {set: {-Server: a}}}}]", "", `"-Server" is the field of just that name; expected remove: [Server] to remove one`},
		{"policies: [{headers: {response: {set: {+Link: a}}}}]", "", `"+Link" is the field of just that name; expected add: {Link: …} to add one`},
		{"policies: [{headers: {response: {set: {content_encoding: gzip}}}}]", "", `field "content_encoding" says how the body is encoded, which stays as it is`},
		{"policies: [{headers: {request: {set: {Content-Encoding: gzip}}}}]", "", ""},
		{"policies: [{headers: {request: {set: {X-A: $remote_addr}}}}]", "", `"$remote_addr" is taken as it stands, and no variable: what is known of each request is ${client_address}, ${host}`},
		{"policies: [{headers: {request: {set: {X-A: ['for {remote_host}']}}}}]", "", `config.yaml:2:124: "{remote_host}" is taken as it stands`},
		{"policies: [{headers: {request: {set: {X-A: '{http.request.remote.host}'}}}}]", "", `"{http.request.remote.host}" is taken as it stands`},
		{"policies: [{headers: {request: {set: {X-A: 'https://{host}/'}}}}]", "", `"{host}" is taken as it stands`},
		{"policies: [{headers: {request: {set: {X-A: '%{Host}i'}}}}]", "", `"%{Host}i" is taken as it stands`},
		{"policies: [{headers: {request: {set: {X-A: '%[src]'}}}}]", "", `"%[src]" is taken as it stands`},
		{"policies: [{headers: {request: {set: {X-A: '%DOWNSTREAM_REMOTE_ADDRESS%'}}}}]", "", `"%DOWNSTREAM_REMOTE_ADDRESS%" is taken as it stands`},
		{"policies: [{headers: {response: {set: {Report-To: '{\"group\":\"x\",\"max_age\":10,\"endpoints\":[{\"url\":\"https://a/%7Bb%7D\"}]}', X: 'a$b $5 100% {A}', Y: '${host}${client_address}'}}}}]", "", ""},
		{"policies: [{ip: {allow: [10.0.0.1/8]}}]", "", "config.yaml:2:105: 10.0.0.1/8 is all of 10.0.0.0/8; expected that, or 10.0.0.1 for the one address"},
		{"policies: [{ip: {allow: ['2001:db8::/32', 10.0.0.1/32], deny: ['::ffff:10.0.0.0/104']}}]", "", "allow 10.0.0.1/32 lies within ::ffff:10.0.0.0/104 of deny, so that nobody there is served"},
		{"policies: [{ip: {allow: [10.0.0.0/8, unix], deny: [10.1.0.0/16, '::/0']}}]", "", ""},
		{"", "server: {proxy_protocol: {from: [unix]}}", "config.yaml:3:33: proxy_protocol.from is for peers on a Unix socket, and the listener is none"},
		{"", "server: {address: 'unix:/tmp/s', proxy_protocol: {from: [10.0.0.0/8]}}", "proxy_protocol.from has networks alone, and the listener is a Unix socket"},
		{"", "server: {address: 'unix:/tmp/s', proxy_protocol: {from: [10.0.0.0/8, unix]}}", ""},
		{"", "server: {proxy_protocol: {from: [10.0.0.0/8, unix]}}", ""},
		{"", "server: {address: 'unix:/not-there/s'}", `config.yaml:3:19: "unix:/not-there/s" can't be listened on: there is no directory "/not-there"`},
		{"", "admin: {address: 'unix:/dev/null/s'}", `config.yaml:3:18: "unix:/dev/null/s" can't be listened on: there is no directory "/dev/null"`},
		{"", "listeners: [{address: 'unix:/dev/null'}]", `config.yaml:3:23: "unix:/dev/null" can't be listened on: there is a file that is no socket`},
	} {
		config := "tenants:\n- {name: a, domains: [a.example.com], services: [{url: \"http://127.0.0.1:1\"}]"
		if c.tenant != "" {
			config += ", " + c.tenant
		}
		parsed, err := proxy.Parse("config.yaml", []byte(named.Replace(config+"}\n"+c.top+"\n")))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(parsed.Warnings(), "\n"); !strings.HasPrefix(got, c.want) && (c.want == "" || !strings.Contains(got, c.want)) || c.want == "" && got != "" {
			t.Errorf("%s%s\ngot  %s\nwant %s", c.tenant, c.top, got, c.want)
		} else if strings.Contains(got, "\n") {
			t.Errorf("%s%s: more than one thing is said: %s", c.tenant, c.top, got)
		}
	}
}

// TestWarningsOfSecrets: what a file has given is meant as it is, and a tenant with
// mistakes isn't looked at.
func TestWarningsOfSecrets(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t, "scripts/none.lua", "", "secret", "$remote_addr", "c.yaml", "tenants:\n"+
		"- {name: a, domains: [a.example.com], services: [{url: 'http://127.0.0.1:1'}], policies: [{headers: {request: {set: {X-A: '${file:secret}'}}}}]}\n"+
		"- {name: b, domains: [b.example.com], services: [{url: 'http://127.0.0.1:1'}], policies: [{headers: {request: {remove: ['', 'X-*']}}}, {}]}\n")
	config, err := proxy.Load(filepath.Join(w.dir, "c.yaml"))
	if err != nil || config.Err() == nil {
		t.Fatal(err)
	}
	if got := config.Warnings(); len(got) > 0 {
		t.Errorf("got %q, want none", got)
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
