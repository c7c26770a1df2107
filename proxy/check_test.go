package proxy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy"
)

// TestSettingsToTheLast: what each setting may be at most and at least, and what is
// said of the next value.
func TestSettingsToTheLast(t *testing.T) {
	t.Parallel()
	timeout := func(key string) []string {
		return []string{"server: {timeouts: {" + key + ": 10ms}}", "", "server: {timeouts: {" + key + ": 9ms}}", key + " 9ms is too short, expected at least 10ms"}
	}
	name := func(length int) string { return "server: {identity_fields: [" + strings.Repeat("n", length) + "]}" }
	for _, c := range [][]string{ // what is written and what is said of it, "" is nothing
		{"admin_base_path: /a", ""}, {"admin_base_path: /a/b-c", ""},
		{"admin_base_path: /", "is not a path"}, {"admin_base_path: ''", "is not a path"}, {"admin_base_path: a/b", "is not a path"}, {"admin_base_path: /a/", "is not a path"},
		{"admin_base_path: /a//b", "is not a path"}, {"admin_base_path: /a/../b", "is not a path"}, {"admin_base_path: '/{a}'", "is not a path"}, {"admin_base_path: '/a*'", "is not a path"}, {"admin_base_path: '/a?b'", "is not a path"},
		{"server: {port: '1'}", ""}, {"server: {port: '65535'}", ""}, {"server: {port: '0'}", `port "0" is not a port`}, {"server: {port: '65536'}", `port "65536" is not a port`}, {"server: {port: http}", `port "http" is not a port`},
		{"server: {drain_notice: 0}", ""}, {"server: {drain_notice: 1h}", ""}, {"server: {drain_notice: -1s}", "expected a duration of 0 or more"}, {"server: {drain_notice: 3601s}", "drain_notice 1h0m1s is out of range"},
		{"server: {upgrade: {ready_timeout: 1ms}}", ""}, {"server: {upgrade: {ready_timeout: 1h}}", ""}, {"server: {upgrade: {ready_timeout: 0}}", "ready_timeout 0s is out of range"}, {"server: {upgrade: {ready_timeout: 3601s}}", "is out of range"},
		{"server: {upgrade: {drain_timeout: 0}}", ""}, {"server: {upgrade: {drain_timeout: 168h}}", ""}, {"server: {upgrade: {drain_timeout: -1s}}", "expected a duration of 0 or more"}, {"server: {upgrade: {drain_timeout: 604801s}}", "is out of range"},
		{"server: {max_connections: 0}", ""}, {"server: {max_connections: -1}", "max_connections -1"}, {"server: {max_connections_per_address: 0}", ""}, {"server: {max_connections_per_address: -1}", "max_connections_per_address -1"},
		timeout("header"), timeout("body_idle"), timeout("write_idle"), timeout("keepalive"), timeout("half_close"), timeout("linger_idle"),
		{"server: {timeouts: {linger: 0}}", ""}, {"server: {timeouts: {linger: -1ms}}", "expected a duration of 0 or more"},
		{"server: {via: a-B.c_9}", ""}, {"server: {via: 'a b'}", `via "a b" is not a name`}, {"server: {via: 'a/b'}", "is not a name"},
		{name(63), ""}, {name(64), "is not a field's name of at most 63 bytes"}, {"server: {identity_fields: ['']}", "is not a field's name"}, {"server: {identity_fields: [X-Own]}", ""}, {"server: {identity_fields: [Host]}", "looks after by itself"},
		{"server: {trusted_proxies: [10.0.0.0/8, unix, '::1']}", ""}, {"server: {trusted_proxies: [10.0.0.0/33]}", "10.0.0.0/33"},
		{"admin: {address: '127.0.0.1:1'}", ""}, {"admin: {address: '[::1]:1'}", ""}, {"admin: {address: 'localhost:1'}", ""}, {"admin: {address: 'unix:/tmp/a'}", ""}, {"admin: {address: '[::ffff:127.0.0.1]:1'}", ""},
		{"admin: {address: '0.0.0.0:1'}", "is not a loopback one"}, {"admin: {address: ':1'}", "is not a loopback one"}, {"admin: {address: '10.0.0.1:1'}", "is not a loopback one"}, {"admin: {address: 'a.example:1'}", "is not a loopback one"},
		{"admin: {address: '0.0.0.0:1', token: 0123456789abcdef}", ""}, {"admin: {token: 0123456789abcde}", "token is 15 bytes long, expected at least 16"}, {"admin: {address: '127.0.0.1'}", `write "127.0.0.1:9090"`},
		{"admin: {enabled: false, address: nonsense, token: x}", ""}, {"admin: {address: '127.0.0.1:8080'}", "is that of a listener too"},
		{"access_log: {sample: 0}", ""}, {"access_log: {sample: 1}", ""}, {"access_log: {sample: -0.01}", "sample -0.01"}, {"access_log: {sample: 1.01}", "sample 1.01"},
		{"access_log: {output: ''}", "output is empty"}, {"access_log: {output: stderr}", ""}, {"access_log: {output: nowhere/a.log}", `output "nowhere/a.log" can't be written to`}, {"access_log: {enabled: false, output: nowhere/a.log}", ""},
		{"access_log: {output: scripts}", `output "scripts" can't be written to`}, {"access_log: {output: new.log}", ""}, {"access_log: {output: old.log}", ""},
		{"lua_routing: {enabled: true}", ""}, {"lua_routing: {enabled: true, scripts_dir: nowhere}", `scripts_dir "nowhere" can't be opened`}, {"lua_routing: {enabled: true, scripts_dir: old.log}", `scripts_dir "old.log" can't be opened`}, {"lua_routing: {scripts_dir: nowhere}", ""},
		{"listeners: [{address: '127.0.0.1:1'}, {address: '127.0.0.1:2'}]", ""}, {"listeners: []", "listeners is empty"},
		{"listeners: [{address: '127.0.0.1:1'}, {address: '127.0.0.1:1'}]", `address "127.0.0.1:1" is that of another listener too`},
		{"listeners: [{name: a, address: '127.0.0.1:1'}, {name: a, address: '127.0.0.1:2'}]", `listener name "a" is already taken`},
		{"listeners: [{address: '127.0.0.1:9090'}]", `address "127.0.0.1:9090" is that of the admin API too`},
		{"listeners: [{address: '127.0.0.1:1'}]\nserver: {address: ':2'}", "both server.address and listeners are set, expected one of them: listeners: [{address: …}]"},
		{"listeners: [{address: '127.0.0.1:1'}]\nserver: {port: '2'}", "both server.port and listeners are set"},
		{"listeners: [{address: '127.0.0.1:1'}]\ntls: {enabled: false}", "both tls.enabled and listeners are set, expected one of them: listeners: [{address: …, tls: true}]"},
		{"listeners: [{address: '127.0.0.1:1', redirect_to_https: true}]", "redirect_to_https is set, and no listener has tls: true"},
		{"listeners: [{address: '127.0.0.1:1', redirect_to_https: true, https_port: 443}]", ""},
		{"listeners: [" + sections(64) + "]", ""}, {"listeners: [" + sections(65) + "]", "there are 65 listeners, expected at most 64"},
	} {
		for i := 0; i < len(c); i += 2 {
			dir := t.TempDir()
			if err := os.Mkdir(filepath.Join(dir, "scripts"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "old.log"), []byte("a line\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := proxy.Parse(filepath.Join(dir, "c.yaml"), []byte(c[i]+"\ntenants: [{name: a, path_prefix: /, services: [{url: 'http://192.0.2.1:1'}]}]\n"))
			switch {
			case c[i+1] == "" && err != nil:
				t.Errorf("%s: %v", c[i], err)
			case c[i+1] != "" && (err == nil || !strings.Contains(err.Error(), c[i+1])):
				t.Errorf("%s: got %v, want %q", c[i], err, c[i+1])
			}
			if _, err := os.Stat(filepath.Join(dir, "new.log")); err == nil {
				t.Errorf("%s: to check it has made the file", c[i])
			}
		}
	}
}

// sections are those of so many listeners.
func sections(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("{address: '127.0.0.1:%d'}", i+1)
	}
	return strings.Join(list, ", ")
}

// TestGatewayIsNoTarget: a target that is a listener of the gateway's is refused.
func TestGatewayIsNoTarget(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ listener, url, want string }{
		{"server: {address: '127.0.0.1:7001'}", "http://127.0.0.1:7001", "is the gateway's own address"},
		{"server: {address: '127.0.0.1:7001'}", "http://127.0.0.1:7002", ""},
		{"server: {address: '127.0.0.1:7001'}", "http://192.0.2.1:7001", ""},
		{"listeners: [{address: '127.0.0.1:7000'}, {address: '127.0.0.1:7001'}]", "http://127.0.0.1:7001", "is the gateway's own address"},
		{"server: {address: 'unix:/tmp/s'}", "unix:/tmp/s", "is the gateway's own address"},
		{"server: {address: 'unix:/tmp/s'}", "unix:/tmp/t", ""},
	} {
		config, err := proxy.Parse("c.yaml", []byte(c.listener+"\ntenants: [{name: a, path_prefix: /, services: [{url: '"+c.url+"'}]}, {name: b, path_prefix: /b, services: [{url: 'http://192.0.2.1'}]}]\n"))
		if err != nil {
			t.Errorf("%s: %v", c.url, err)
			continue
		}
		got := ""
		if config.Err() != nil {
			got = config.Err().Error()
		}
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s at %s: got %q, want %q", c.url, c.listener, got, c.want)
		}
	}
}
