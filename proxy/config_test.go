package proxy_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy"
	"github.com/keystone-gateway/keystone-gateway/proxy/exchange"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
)

// TestEarlierConfiguration holds everything that the earlier Keystone Gateway
// accepted to its name and meaning.
func TestEarlierConfiguration(t *testing.T) {
	directory := t.TempDir()
	if err := os.Mkdir(filepath.Join(directory, "scripts"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(directory, "scripts", "routes.lua"), []byte("local x = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	config, err := proxy.Parse(filepath.Join(directory, "config.yaml"), []byte(`
admin_base_path: "/ops"
server:
  port: "8088"
lua_routing:
  enabled: true
  scripts_dir: "./scripts"
  global_scripts: [routes]
request_limits:
  max_body_size: 1048576
  max_header_size: 0
  max_url_size: 4096
compression:
  enabled: true
  level: 6
  content_types: ["text/html"]
tls:
  enabled: false
  cert_file: ""
  key_file: ""
tenants:
  - name: app
    domains: ["app.example.com"]
    path_prefix: "/api/"
    lua_routes: ["routes.lua"]
    health_interval: 10
    services:
      - name: one
        url: "http://localhost:3001"
        health: "/health"
`))
	if err != nil {
		t.Fatal(err)
	}
	limits := config.RequestLimits
	if config.Server.Address != ":8088" || config.AdminBasePath != "/ops" || config.Tenants[0].Probes().Interval.Std() != 10*time.Second ||
		limits.MaxBodySize != 1<<20 || limits.MaxHeaderSize != 32<<10 || limits.MaxURLSize != 4096 ||
		config.Compression.Level != 6 || config.Tenants[0].Routing() != "hybrid" || !config.Tenants[0].PreserveHost {
		t.Errorf("%+v", config)
	}
	warnings, err := proxy.CheckScripts(filepath.Join(directory, "config.yaml"), config)
	if err != nil || len(warnings) != 1 || !strings.HasPrefix(warnings[0], "routes.lua: ") {
		t.Errorf("warnings %q, %v; want one, that the script, which is named twice, declares nothing", warnings, err)
	}
}

// TestCheckReportsAll checks that every error is reported at once, with its place.
func TestCheckReportsAll(t *testing.T) {
	directory := t.TempDir()
	if err := os.Mkdir(filepath.Join(directory, "scripts"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(directory, "scripts", "broken.lua"), []byte("local = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := proxy.Parse(filepath.Join(directory, "c.yaml"), []byte(`server:
  adress: "127.0.0.1:80"
  timeouts: {header: soon}
  trusted_proxies: [10.0.0.0/99]
admin: {address: "0.0.0.0:9090"}
tls: {enabled: true, cert_file: no.pem, key_file: no.pem}
access_log: {sample: 2}
lua_routing: {enabled: true}
tenants:
  - name: a
    domains: [nodot]
    lua_routes: [missing.lua, broken.lua, ../escape.lua]
    services: [{url: "ftp://x"}]
  - name: a
    path_prefix: /x
    services: [{url: "http://127.0.0.1:1"}]
  - name: b
    path_prefix: /x/
    services: [{url: "http://127.0.0.1:1"}]
`))
	list, ok := errors.AsType[settings.Errors](err)
	if !ok {
		t.Fatalf("%v", err)
	}
	all := list.Error()
	for _, want := range []string{
		`c.yaml:2:3: `, `did you mean "address"`, `c.yaml:3:22: `, `trusted proxy "10.0.0.0/99"`, `admin.token`, `no.pem`, `sample 2`,
		`"nodot"`, `cannot open script "missing.lua"`, `c.yaml:12:31: broken.lua:1:7: `, `"../escape.lua" is not a path below`,
		`scheme "ftp"`, `tenant name "a" is already taken`, `same match as tenant "a"`,
	} {
		if !strings.Contains(all, want) {
			t.Errorf("missing %q in\n%s", want, all)
		}
	}
	for _, e := range list {
		if e.Line == 0 || e.Column == 0 {
			t.Errorf("no place: %v", e)
		}
	}
}

func TestConfigurationThatCantWork(t *testing.T) {
	const tenant = "tenants: [{name: a, path_prefix: /, services: [{url: \"http://127.0.0.1:1\"}]}]\n"
	for text, want := range map[string]string{
		"":            "no tenants",
		"tenants: []": "no tenants",
		tenant + "server: {port: 1, address: \":2\"}":                                         "both server.port and server.address",
		tenant + "server: {address: \"127.0.0.1\"}":                                           "is not an address",
		tenant + "server: {address: \"unix:relative\"}":                                       "no absolute path",
		tenant + "admin_base_path: admin":                                                     "is not a path",
		tenant + "admin: {token: short}":                                                      "at least 16",
		tenant + "request_limits: {max_url_size: 1MiB}":                                       "larger than max_header_size",
		tenant + "compression: {level: 11}":                                                   "expected 1 to 9",
		tenant + "compression: {content_types: [nonsense]}":                                   "is not a media type",
		tenant + "log: {level: loud}":                                                         "loud",
		tenant + "tls: {enabled: true}":                                                       "expected both",
		tenant + "lua_routing: {enabled: true, scripts_dir: nowhere}":                         "nowhere",
		tenant + "server: {via: \"a b\"}":                                                     "is not a name",
		tenant + "server: {timeouts: {keepalive: 0}}":                                         "too short",
		tenant + "server: {timeouts: {linger: -1s}}":                                          "linger",
		tenant + "server: {timeouts: {linger_idle: 0}}":                                       "linger_idle 0s is too short",
		tenant + "server: {identity_fields: [\"X Real\"]}":                                    "is not a field's name",
		tenant + "server: {identity_fields: [x-forwarded-for]}":                               "looks after by itself",
		tenant + "server: {identity_fields: ['*']}":                                           "is not a field's name",
		tenant + "server: {identity_fields: [Accept]}":                                        "looks after by itself",
		"tenants: [{name: a, domains: [a.b], services: [{url: \"http://h\", weight: 1001}]}]": "weight 1001",
	} {
		if _, err := proxy.Parse("c.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// TestFaultsAreDocumented keeps docs/http.md complete.
func TestFaultsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/http.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range exchange.Faults() {
		if !strings.Contains(string(text), "`"+fault.Code+"`") {
			t.Errorf("docs/http.md has nothing about %q", fault.Code)
		}
	}
}

// TestScriptsDir: the directory of the scripts is looked for beside the
// configuration, then below the working directory.
func TestScriptsDir(t *testing.T) {
	working := t.TempDir()
	t.Chdir(working)
	write := func(path string) {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("chi_route('GET', '/', function() end)\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	load := func() error {
		file := filepath.Join("configs", "config.yaml")
		config, err := proxy.Parse(file, []byte("lua_routing: {enabled: true, scripts_dir: ./scripts/lua}\ntenants: [{name: a, path_prefix: /, lua_routes: api-routes.lua}]\n"))
		if err == nil {
			_, err = proxy.CheckScripts(file, config)
		}
		return err
	}
	if err := load(); err == nil || !strings.Contains(err.Error(), "expected a directory beside the configuration file or below the working directory") {
		t.Errorf("there is none: %v", err)
	}
	write("scripts/lua/examples/api-routes.lua")
	if err := load(); err != nil {
		t.Errorf("below the working directory: %v", err)
	}
	write("configs/scripts/lua/other.lua")
	if err := load(); err == nil || !strings.Contains(err.Error(), `cannot open script "api-routes.lua"`) {
		t.Errorf("the one beside the configuration comes first: %v", err)
	}
}
