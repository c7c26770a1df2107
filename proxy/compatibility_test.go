package proxy_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy"
)

// TestCompatibility: a file of the earlier Keystone Gateway gets the defaults of
// its time where it says nothing else, and only with the key.
func TestCompatibility(t *testing.T) {
	t.Parallel()
	const key = "compatibility: keystone-1\n"
	const tenant = "tenants: [{name: a, path_prefix: /, services: [{url: \"http://127.0.0.1:1\"}]}]\n"
	parse := func(text string) *proxy.Config {
		t.Helper()
		config, err := proxy.Parse("config.yaml", []byte(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return config
	}

	plain := parse(tenant)
	if plain.Server.Address != "127.0.0.1:8080" || plain.Compression.Enabled || plain.Admin.OnPublic || plain.Tenants[0].StripSlashes {
		t.Errorf("without the key: %+v", plain)
	}
	earlier := parse(key + "default_health_interval: 45\n" + tenant)
	if earlier.Server.Address != ":8080" || !earlier.Compression.Enabled || earlier.Compression.Level != 5 || !earlier.Admin.OnPublic ||
		!earlier.Tenants[0].StripSlashes || earlier.Tenants[0].Probes().Interval.Std() != 45*time.Second {
		t.Errorf("with the key: %+v", earlier)
	}
	said := parse(key + `
default_health_interval: 45
server: {address: "127.0.0.1:9999"}
admin: {on_public: false}
compression: {level: 0, content_types: []}
tenants:
  - {name: a, path_prefix: /a, strip_slashes: false, health_interval: 5, services: [{url: "http://127.0.0.1:1"}]}
  - {name: b, path_prefix: /b, health: {interval: 6s}, services: [{url: "http://127.0.0.1:1"}]}
`)
	if said.Server.Address != "127.0.0.1:9999" || said.Compression.Enabled || said.Compression.Level != 5 || len(said.Compression.ContentTypes) == 0 ||
		said.Admin.OnPublic || said.Tenants[0].StripSlashes {
		t.Errorf("what the file says: %+v", said)
	}
	if a, b := said.Tenants[0].Probes().Interval.Std(), said.Tenants[1].Probes().Interval.Std(); a != 5*time.Second || b != 6*time.Second {
		t.Errorf("intervals of tenants: %v and %v", a, b)
	}
	if port := parse(key + "server: {port: \"8090\"}\n" + tenant); port.Server.Address != ":8090" {
		t.Errorf("port: %s", port.Server.Address)
	}
	if none := parse(key + "lua_routing: {enabled: true, scripts_dir: ./none}\n"); len(none.Tenants) != 0 {
		t.Errorf("no tenants: %+v", none)
	}

	for text, want := range map[string]string{
		"compatibility: keystone-2\n" + tenant:          "compatibility: expected one of keystone-1",
		"default_health_interval: 30\n" + tenant:        "config.yaml:1:26: default_health_interval is a key of the earlier Keystone Gateway, expected compatibility: keystone-1 with it; keystone-gateway migrate OLD > NEW",
		key + "default_health_interval: 1ms\n" + tenant: "config.yaml:2:26: interval 1ms is too short",
		key + "lua_routing: {enabled: true, scripts_dir: ./none}\ntenants: [{name: a, path_prefix: /, lua_routes: x}]\n": `scripts_dir "./none" can't be opened`,
		"tenants: []\n": "no tenants",
	} {
		if _, err := proxy.Parse("config.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, expected %s", text, err, want)
		}
	}
}

// TestCompatibleCertificates: relative paths started from the working directory.
func TestCompatibleCertificates(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("configs", 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"cert.pem", "key.pem"} {
		if err := os.WriteFile(name, []byte("none"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const text = "tls: {enabled: true, cert_file: cert.pem, key_file: key.pem}\ntenants: [{name: a, path_prefix: /, services: [{url: \"http://127.0.0.1:1\"}]}]\n"
	for prefix, want := range map[string]string{"compatibility: keystone-1\n": "PEM", "": "no such file"} {
		if _, err := proxy.Parse("configs/config.yaml", []byte(prefix+text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, expected %s", prefix, err, want)
		}
	}
}

// TestEarlierKeys: a key that only the earlier Keystone Gateway had says what is
// in its place, and how to get there.
func TestEarlierKeys(t *testing.T) {
	t.Parallel()
	_, err := proxy.Parse("config.yaml", []byte(`
gateway: {port: 8080}
middleware: {timeout: 5}
metrics: {enabled: true}
lua_routing: {state_pool_size: 10, module_paths: [a], nothing: 1}
tenants:
  - name: a
    host: a.example.com
    routes: [{method: GET, pattern: /x, handler: f}]
    services: [{url: "http://127.0.0.1:1", labels: {a: b}}]
`))
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		`config.yaml:2:1: unknown key "gateway"; it is a key of the earlier Keystone Gateway: server.port`,
		`config.yaml:3:1: unknown key "middleware"; it is a key of the earlier`,
		`config.yaml:4:1: unknown key "metrics"; it is a key of the earlier`,
		`unknown key "state_pool_size" in lua_routing; it is a key of the earlier`,
		`unknown key "module_paths" in lua_routing; it is a key of the earlier`,
		`unknown key "nothing" in lua_routing; expected one of enabled`,
		`config.yaml:8:5: unknown key "host" in tenants[0]; it is a key of the earlier Keystone Gateway: domains`,
		`unknown key "pattern" in tenants[0].routes[0]; it is a key of the earlier Keystone Gateway: path is the pattern`,
		`unknown key "handler" in tenants[0].routes[0]; it is a key of the earlier Keystone Gateway: scripts declare routes`,
		`unknown key "labels" in tenants[0].services[0]; it is a key of the earlier Keystone Gateway: a script chooses a target by its name, request:upstream(name); keystone-gateway migrate OLD > NEW makes a file of this one of it`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %s in\n%v", want, err)
		}
	}
}
