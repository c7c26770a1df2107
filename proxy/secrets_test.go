package proxy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
)

// shown is what the admin API tells of a configuration.
func shown(t *testing.T, config *proxy.Config) string {
	t.Helper()
	text, err := json.Marshal(settings.Effective(config))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const greeter = "chi_route('GET', '/v', function(request, response) response:write(get_env('GREETING')) end)\n"

// TestSecretsFromFiles takes values of many kinds from files, shows none of them,
// and reads them again at a reload of a text that hasn't changed.
func TestSecretsFromFiles(t *testing.T) {
	t.Setenv("KEYSTONE_TEST_DIRECTORY", "run")
	one, two := newWeb(t, "one-of-two"), newWeb(t, "two-of-two")
	w := newWorkshop(t, "scripts/a.lua", greeter, "run/token", "sixteen-bytes-or-more\n", "run/greeting", "hello-from-a-file\r\n",
		"run/url", one.URL, "run/weight", "7\n", "run/via", "via-secret",
		"c.yaml", "admin_base_path: '${file:run/base}'\n"+tenantsOf(
			"a", plainTenant("a", "secrets: {GREETING: '${file:${KEYSTONE_TEST_DIRECTORY}/greeting}'}"),
			"b", "domains: [b.example.com], health: {headers: {X: 'Bearer ${file:run/token}'}}, services: [{url: '${file:run/url}', weight: '${file:run/weight}'}]"))
	w.write("run/base", "/base-secret")
	w.run()
	if a, b := w.ask("a"), w.ask("b"); a != "hello-from-a-file" || b != "one-of-two" {
		t.Errorf("got %q and %q", a, b)
	}
	config := w.server.Config()
	if config.AdminBasePath != "/base-secret" || config.Tenants[1].Services[0].Weight != 7 {
		t.Errorf("got %q, %d", config.AdminBasePath, config.Tenants[1].Services[0].Weight)
	}
	text := shown(t, config)
	for _, secret := range []string{"base-secret", "hello-from", strings.TrimPrefix(one.URL, "http://"), "sixteen", `"weight":7`} {
		if strings.Contains(text, secret) {
			t.Errorf("the effective configuration shows %q", secret)
		}
	}
	for _, part := range []string{`"url":"***"`, `"weight":"***"`, `"admin_base_path":"***"`, `"name":"b"`, `"domains":["b.example.com"]`} {
		if !strings.Contains(text, part) {
			t.Errorf("the effective configuration lacks %s: %s", part, text)
		}
	}

	w.write("run/greeting", "hello-again", "run/url", two.URL+"\n")
	if result := w.server.Reload(); !result.OK || len(result.Changes) != 2 {
		t.Errorf("got %+v, expected two tenants to have changed", result)
	}
	if a, b := w.ask("a"), w.ask("b"); a != "hello-again" || b != "two-of-two" {
		t.Errorf("after the reload: got %q and %q", a, b)
	}
	if result := w.server.Reload(); !result.OK || len(result.Changes) != 0 {
		t.Errorf("nothing has changed: got %+v", result)
	}

	if err := os.Remove(filepath.Join(w.dir, "run/url")); err != nil {
		t.Fatal(err)
	}
	w.write("run/greeting", "hello-the-third")
	result := w.server.Reload()
	if !result.Applied || result.OK || len(result.Errors) != 1 || !strings.Contains(result.Errors[0], "tenants[1].services[0].url: cannot read ${file:run/url}: there is no such file") {
		t.Errorf("got %+v", result)
	}
	if a, b := w.ask("a"), w.ask("b"); a != "hello-the-third" || b != "two-of-two" {
		t.Errorf("one file is missing: got %q and %q, expected the other tenant's news, and b's last good generation", a, b)
	}
	if text := shown(t, w.server.Config()); strings.Contains(text, strings.TrimPrefix(two.URL, "http://")) {
		t.Error("what was kept shows its secret")
	}
	w.write("run/url", one.URL)
	if result := w.server.Reload(); !result.OK {
		t.Errorf("the file is back: got %+v", result)
	}
	if got := w.ask("b"); got != "one-of-two" {
		t.Errorf("the file is back: got %q", got)
	}
}

// TestSecretsThatCantBeRead are errors which name the key and the file, and which
// come without waiting.
func TestSecretsThatCantBeRead(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t, "scripts/a.lua", "", "empty", "\n", "large", strings.Repeat("x", 65<<10), "binary", "a\x00b", "latin", "caf\xe9", "token", "tiny-token", "listen", "do-not-tell-this:port", "enum", "louder-than-loud")
	if err := syscall.Mkfifo(filepath.Join(w.dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for text, expected := range map[string]string{
		"admin: {token: '${file:nowhere}'}":             "admin.token: cannot read ${file:nowhere}: there is no such file",
		"admin: {token: '${file:nowhere:-x}'}":          "there is no such file; ${file:PATH} takes no default",
		"admin: {token: '${file:pipe}'}":                "admin.token: cannot read ${file:pipe}: it is a pipe: not a regular file",
		"admin: {token: '${file:scripts}'}":             "it is a directory",
		"admin: {token: '${file:/dev/zero}'}":           "it is a device",
		"admin: {token: '${file:large}'}":               "it is too large, expected at most 65536 bytes",
		"admin: {token: '${file:empty}'}":               "admin.token: ${file:empty} is empty",
		"admin: {token: '${file:binary}'}":              "${file:binary} holds bytes that are no text",
		"admin: {token: '${file:latin}'}":               "${file:latin} holds bytes that are no text",
		"admin: {token: '${file:}'}":                    "has no path",
		"admin: {token: '${file:run'}":                  "unfinished ${",
		"admin: {token: '${file:${NOT_SET_AT_ALL}/x}'}": "NOT_SET_AT_ALL is not set",
		"admin: {token: '${file:token}'}":               "token is 10 bytes long, expected at least 16",
		"admin_base_path: 'x${file:token}'":             "the value from a file is refused, expected one like /admin",
		"server: {address: '${file:listen}'}":           "the value from a file is refused, expected \"host:port\"",
		"server: {max_connections: '${file:token}'}":    "server.max_connections: expected a whole number",
		"server: {drain_timeout: '${file:token}'}":      "server.drain_timeout: expected a duration",
		"log: {level: '${file:enum}'}":                  "log.level: expected one of debug, info, warn, error, got another value",
	} {
		file := filepath.Join(w.dir, "d.yaml")
		_, err := proxy.Parse(file, []byte(text+"\ntenants: [{name: a, domains: [a.example.com], services: [{url: 'http://127.0.0.1:9'}]}]\n"))
		if err == nil || !strings.Contains(err.Error(), expected) {
			t.Errorf("%s: got %v, expected %q", text, err, expected)
		}
		for _, secret := range []string{"tiny-token", "do-not-tell", "louder"} {
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("%s: the error tells %q: %v", text, secret, err)
			}
		}
	}
}

// TestSecretsInOtherMessages have a tenant's name come from a file.
func TestSecretsInOtherMessages(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t, "name", "whispered")
	_, err := proxy.Parse(filepath.Join(w.dir, "c.yaml"), []byte(fmt.Sprintf("tenants: [%[1]s, %[1]s]\n", "{name: '${file:name}', domains: [a.example.com]}")))
	if err == nil || strings.Contains(err.Error(), "whispered") || !strings.Contains(err.Error(), `tenant "***" has neither services nor lua_routes`) {
		t.Errorf("got %v", err)
	}
}

// TestPartsOfSecrets: a message takes values apart and changes their case, as a
// password is the rest of a URL that can't be read.
func TestPartsOfSecrets(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t, "cut", "Left-Part/Right-Part", "label", "Left-Part", "wild", "*.Left-Part.example.com")
	const service = "services: [{url: 'http://127.0.0.1:9'}]"
	for text, expected := range map[string]string{
		"a: {domains: [a.example.com], services: [{url: 'http://user:${file:cut}@example.com'}]}":          "the value from a file is refused",
		"a: {domains: [a.example.com], services: [{url: 'http://example.com:${file:cut}'}]}":               "the value from a file is refused",
		"a: {domains: ['${file:label}'], " + service + "}":                                                 "the value from a file is refused",
		"a: {domains: ['${file:wild}'], " + service + "}\nb: {domains: ['${file:wild}'], " + service + "}": `(host "***" and any path)`,
		"a: {domains: [a.example.com], lua_routes: ['${file:label}']}":                                     `cannot open script "***.lua"`,
		"a: {domains: [a.example.com], health: {path: /, host: '${file:cut}'}, " + service + "}":           "the value from a file is refused, expected a name or an address",
		"a: {domains: [a.example.com], health: {path: '${file:label}'}, " + service + "}":                  "the value from a file is refused, expected one that starts with /",
	} {
		var tenants []string
		for line := range strings.Lines(text) {
			name, rest, _ := strings.Cut(strings.TrimSpace(line), ": {")
			tenants = append(tenants, "  - {name: "+name+", "+rest)
		}
		config, err := proxy.Parse(filepath.Join(w.dir, "c.yaml"), []byte("lua_routing: {enabled: true, scripts_dir: .}\ntenants:\n"+strings.Join(tenants, "\n")+"\n"))
		if err == nil {
			_, err = proxy.CheckScripts(filepath.Join(w.dir, "c.yaml"), config)
		}
		if err == nil || !strings.Contains(err.Error(), expected) || strings.Contains(strings.ToLower(err.Error()), "t-part") {
			t.Errorf("%s: got %v, expected %q and no part of what a file holds", text, err, expected)
		}
	}
}

// TestSecretsWithinSecrets: where one secret is a part of another, or overlaps it,
// nothing is left of either; warnings tell none too.
func TestSecretsWithinSecrets(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t, "short", "left", "over", "right-more", "long", "*.left-right.example.com", "name", "left-right")
	const shared = "domains: ['${file:long}'], services: [{url: 'http://127.0.0.1:9'}], lua: {secrets: {A: '${file:short}', B: '${file:over}'}}"
	for _, order := range []string{shared, "lua: {secrets: {B: '${file:over}', A: '${file:short}'}}, domains: ['${file:long}'], services: [{url: 'http://127.0.0.1:9'}]"} {
		config, err := proxy.Parse(filepath.Join(w.dir, "c.yaml"), []byte("tenants:\n  - {name: a, "+order+"}\n  - {name: b, "+order+"}\n"))
		if err == nil {
			_, err = proxy.CheckScripts(filepath.Join(w.dir, "c.yaml"), config)
		}
		if err == nil || !strings.Contains(err.Error(), `(host "***" and any path)`) {
			t.Errorf("got %v", err)
		}
	}
	config, err := proxy.Parse(filepath.Join(w.dir, "c.yaml"), []byte("tenants: [{name: '${file:name}', domains: [a.example.com], services: [{url: 'http://127.0.0.1:9', weight: 0}]}]"))
	if err != nil {
		t.Fatal(err)
	}
	if got := config.Warnings(); len(got) != 1 || !strings.Contains(got[0], `"***"`) {
		t.Errorf("got %q", got)
	}
}

// TestWatchAwaitsMissingFiles reloads when a file comes for whose lack the whole
// configuration was refused.
func TestWatchAwaitsMissingFiles(t *testing.T) {
	t.Parallel()
	config := tenantsOf("a", plainTenant("a", "secrets: {GREETING: one}"))
	w := newWorkshop(t, "scripts/a.lua", greeter, "c.yaml", config)
	w.run()
	w.write("c.yaml", "log: {level: '${file:level}'}\n"+strings.ReplaceAll(config, "one", "two"))
	if result := w.server.Reload(); result.Applied {
		t.Fatalf("it was applied: %v", result)
	}
	refused := w.server.LastReload().At
	ctx, stop := context.WithCancel(context.Background())
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		w.server.Watch(ctx, true)
	}()
	t.Cleanup(func() {
		stop()
		<-watched
	})
	eventually(t, "the first look has been acted upon", func() bool { return !w.server.LastReload().At.Equal(refused) })
	w.write("level", "warn")
	eventually(t, "what was refused is in use", func() bool { return w.ask("a") == "two" })
}

// TestWatchFollowsFiles reloads when a file that the configuration names changes,
// also one that a link leads to, as Kubernetes exchanges them.
func TestWatchFollowsFiles(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t, "scripts/a.lua", greeter, "one/greeting", "one", "two/greeting", "two-of-them",
		"c.yaml", tenantsOf("a", plainTenant("a", "secrets: {GREETING: '${file:data/greeting}'}")))
	link := filepath.Join(w.dir, "data")
	if err := os.Symlink("one", link); err != nil {
		t.Fatal(err)
	}
	w.run()
	ctx, stop := context.WithCancel(context.Background())
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		w.server.Watch(ctx, true)
	}()
	t.Cleanup(func() {
		stop()
		<-watched
	})
	if got := w.ask("a"); got != "one" {
		t.Errorf("got %q", got)
	}
	if err := os.Symlink("two", link+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link+".new", link); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the file behind the exchanged link is in use", func() bool { return w.ask("a") == "two-of-them" })
}
