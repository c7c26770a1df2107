package test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/test/port"
)

// earlier is a project of the earlier Keystone Gateway: its configurations and
// scripts, and what requests to it must come to. {backend} and {other} are
// targets, {dir} the directory of the project, from which the gateway is started.
const earlier = "testdata/keystone-1"

type earlierCase struct {
	file string // below configs
	// said are parts of what migrate says.
	said []string
	// allow are what scripts may reach on this machine, which they could before.
	allow bool
	env   []string
	talk  []said
}

// TestEarlierFiles migrates each configuration of the earlier Keystone Gateway,
// starts it from where it was started, and asks it for what its scripts promise.
func TestEarlierFiles(t *testing.T) {
	t.Parallel()
	large := strings.Repeat(`{"a": "b"}`, 500)
	for _, c := range []earlierCase{
		{file: "defaults/gateway.yaml", talk: []said{
			say("GET /admin/health\nHost: a.example", 200, "*", bodyHas(`"status": "healthy"`)),
			say("GET /x\nHost: a.example", 404, "*"),
		}},
		{file: "environments/high-load.yaml", talk: []said{
			say("GET /health/\nHost: localhost", 200, `{"status": "healthy", "at": "1970-01-01T00:00:00Z"}`, answerLine("X-Gateway: Keystone")),
			say("GET /other\nHost: 127.0.0.1", 200, "answer to GET /other", answerLine("Access-Control-Allow-Origin: *")),
			say("GET /large\nHost: localhost\nAccept-Encoding: gzip", 200, "*", answerLine("Content-Encoding: gzip")),
		}},
		{file: "environments/staging.yaml", said: []string{"targets of tenant staging-lb get the path with its path_prefix"}, talk: []said{
			say("GET /time\nHost: localhost", 200, "1970", answerLine("X-Gateway: Keystone")),
			say("GET /lb/x/\nHost: any.example", 200, "answer to GET /lb/x/", answerWithout("X-Gateway")),
			say("GET /large\nHost: localhost\nAccept-Encoding: gzip", 200, "*", answerLine("Content-Encoding: gzip")),
			say("GET /large\nHost: localhost", 200, large, answerWithout("Content-Encoding")),
			say("GET /admin/health\nHost: localhost", 200, "*", bodyHas(`"staging-api": "`, `"staging-lb": "`, ` healthy"`)),
			say("GET /admin/tenants\nHost: any.example", 404, "*"),
		}},
		{file: "examples/development.yaml", talk: []said{
			say("GET /\nHost: dev.local", 200, `{"message": "welcome"}`),
			say("GET /api/health/\nHost: localhost", 200, `{"status": "healthy"}`),
			say("GET /test/api/test\nHost: a.example", 200, `{"message": "fine"}`, answerLine("X-RateLimit-Remaining: 2")),
			say("GET /mock/health\nHost: a.example", 200, "*", bodyHas("healthy")),
		}},
		{file: "examples/multi-tenant.yaml", talk: []said{
			say("GET /api/profile\nHost: api.example.com", 401, `{"error": "no key"}`, answerLine("X-Powered-By: Keystone", "Content-Type: application/json")),
			say("GET /api/profile\nHost: api.example.com\nX-Api-Key: wrong", 403, `{"error": "wrong key"}`),
			say("GET /api/profile/\nHost: api.example.org\nX-Api-Key: right", 200, `{"user": "user7"}`),
			say("GET /api/other\nHost: api.example.com", 401, `{"error": "no key"}`),
			say("GET /api/other\nHost: api.example.com\nX-Api-Key: right", 200, "answer to GET /api/other"),
			say("POST /auth/login\nHost: api.example.com\n\nname", 200, `{"token": "right", "length": 4}`),
			say("GET /app/api/test\nHost: a.example", 200, `{"message": "fine"}`, answerLine("X-RateLimit-Limit: 3", "X-RateLimit-Remaining: 2")),
			say("GET /app/api/other\nHost: a.example", 200, "answer to GET /app/api/other", answerLine("X-RateLimit-Remaining: 1")),
			say("GET /app/api/test\nHost: a.example", 200, "*", answerLine("X-RateLimit-Remaining: 0")),
			say("GET /app/api/test\nHost: a.example", 429, `{"error": "too many"}`, answerLine("X-RateLimit-Remaining: 0")),
			say("GET /app/x\nHost: a.example", 200, "answer to GET /app/x"),
			say("GET /health\nHost: legacy.example.com", 200, "*", bodyHas("healthy"), answerLine("X-Gateway: Keystone")),
		}},
		{file: "examples/production.yaml", talk: []said{
			say("GET /api/profile\nHost: api.example.com", 401, `{"error": "no key"}`),
			say("GET /dashboard/\nHost: a.example", 200, `{"message": "welcome"}`),
			say("GET /dashboard/x\nHost: a.example", 200, "answer to GET /dashboard/x"),
		}},
		{file: "examples/simple.yaml", talk: []said{
			say("GET /\nHost: api.example.com", 200, `{"message": "welcome"}`),
			say("GET /api/health\nHost: api.example.com", 200, `{"status": "healthy"}`),
			say("GET /x?y=z\nHost: api.example.com", 200, "answer to GET /x?y=z"),
		}},
		{
			file: "oauth.yaml", allow: true, env: []string{"OAUTH_CLIENT_ID=me", "OAUTH_CLIENT_SECRET=secret", "OAUTH_URL=http://{backend}/token"},
			said: []string{`tenant "api": lua.env lets its scripts read the environment's OAUTH_CLIENT_ID, OAUTH_CLIENT_SECRET, OAUTH_LEEWAY, OAUTH_URL`, "http_get and http_post reach nothing on this machine"},
			talk: []said{
				say("GET /api/x\nHost: a.example", 200, "Bearer portal GET /api/x"),
				say("GET /api/auth?redirect_uri=http%3A%2F%2F{backend}%2Ffar\nHost: a.example", 200, "Bearer portal GET /far"),
				say("GET /api/auth/\nHost: a.example", 400, `{"error": "missing redirect_uri"}`),
			},
		},
		{
			file: "oauth-proxy.yaml", said: []string{`proxy.lua:4: the global "io" is not defined anywhere`, "scripts have no io"},
			talk: []said{
				say("GET /auth\nHost: a.example", 404, `{"error": "no redirect_uri"}`),
				say("GET /auth?redirect_uri=x\nHost: a.example", 500, "*", answerLine("X-Gateway-Error: script_error")), // no file is read
				say("GET /x\nHost: a.example", 404, "*"),
			},
		},
		{file: "enhanced.yaml", talk: []said{
			say("POST /echo/?a=b\nHost: a.example\n\ndata", 200, "data|4|POST /echo/?a=b"),
			say("POST /echo\nHost: a.example\nContent-Length: 0", 400, "no body"),
			say("GET /v1/users/7\nHost: a.example", 200, "user 7 ", answerLine("X-Version: 1")),
			say("GET /secret/\nHost: a.example", 401, "who?"),
			say("GET /secret\nHost: a.example\nAuthorization: x", 200, "told"),
			say("GET /static/a/b\nHost: a.example", 200, "static /static/a/b"),
			say("GET /nothing\nHost: a.example", 404, `{"error": "nothing here"}`, answerLine("Content-Type: application/json")),
			say("DELETE /echo\nHost: a.example", 405, `{"error": "not so"}`),
		}},
		{file: "multi-scripts.yaml", said: []string{"path_prefix of tenant multi matches whole segments"}, talk: []said{
			say("GET /api/items\nHost: a.example", 401, "no key"),
			say("GET /api/items/\nHost: a.example\nX-Key: k", 200, "items", answerLine("X-Counted: yes")),
			say("DELETE /api/items/7\nHost: a.example\nX-Key: k", 200, "gone 7"),
		}},
	} {
		t.Run(c.file, func(t *testing.T) {
			t.Parallel()
			c.run(t, large)
		})
	}
}

func (c *earlierCase) run(t *testing.T, large string) {
	t.Helper()
	answer := func(r *request) reply {
		switch {
		case strings.HasPrefix(r.target, "/token"):
			return reply{parts: []string{replyOf("application/json", `{"access_token": "portal", "expires_in": 3600}`)}}
		case r.target == "/large":
			return reply{parts: []string{replyOf("application/json", large)}}
		case len(r.values("Authorization")) > 0:
			return reply{parts: []string{replyOf("text/plain", strings.Join(r.values("Authorization"), ",")+" "+r.method+" "+r.target)}}
		}
		return answerOK(r)
	}
	backend, other := startMock(t, "backend", answer), startMock(t, "other", answer)
	dir := t.TempDir()
	expand := strings.NewReplacer("{backend}", backend.address, "{other}", other.address, "{dir}", dir)
	copyTree(t, earlier, dir, expand)
	old := filepath.Join("configs", c.file)
	stdout, stderr, code := runIn(t, dir, "migrate", old)
	if code != 0 {
		t.Fatalf("migrate ended with %d: %s", code, stderr)
	}
	for _, part := range c.said {
		if !strings.Contains(stderr, part) {
			t.Errorf("migrate doesn't say %q: %s", part, stderr)
		}
	}
	g := &gateway{address: port.Reserve(t), admin: port.Reserve(t), dir: dir}
	for _, variable := range c.env {
		g.env = append(g.env, expand.Replace(variable))
	}
	text := oldServer.ReplaceAllString(stdout, "")
	if c.allow {
		text = strings.Replace(text, "lua: {env:", "lua: {http: {allow: [127.0.0.0/8]}, env:", 1)
	}
	g.config = filepath.Join(dir, filepath.Dir(old), "new.yaml")
	text += fmt.Sprintf("server: {address: %q}\nadmin: {address: %q}\n", g.address, g.admin)
	if err := os.WriteFile(g.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	g.launch(t)
	g.awaitReady(t)
	client := dial(t, g.address)
	for _, s := range c.talk {
		s.send, s.body = expand.Replace(s.send), expand.Replace(s.body)
		raw := s.raw("")
		client.write([]string{raw}, false)
		answer := s.answer(t, client, raw)
		if answer == nil {
			return
		}
		s.judge(t, expand, answer, nil)
		if answer.closes() {
			client.close()
			client = dial(t, g.address)
		}
	}
}

// oldServer is the section of a file whose port the test can't have.
var oldServer = regexp.MustCompile(`(?m)^server:\n  port: .*\n`)

func replyOf(kind, body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", kind, len(body), body)
}

// TestEarlierFilesUnchanged: those of the files that have no key which only the
// earlier Keystone Gateway had are good as they are, from where they were used.
func TestEarlierFilesUnchanged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	copyTree(t, earlier, dir, strings.NewReplacer("{backend}", "127.0.0.1:3001", "{other}", "127.0.0.1:3002", "{dir}", dir))
	files, err := filepath.Glob(filepath.Join(dir, "configs", "*", "*.yaml"))
	more, _ := filepath.Glob(filepath.Join(dir, "configs", "*.yaml"))
	if files = append(files, more...); err != nil || len(files) < 10 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		name, _ := filepath.Rel(dir, file)
		stdout, stderr, code := runIn(t, dir, "check", "-config", name)
		if filepath.Base(file) == "gateway.yaml" {
			if want := "default_health_interval is a key of the earlier Keystone Gateway"; code != 1 || !strings.Contains(stderr, want) || !strings.Contains(stderr, "keystone-gateway migrate OLD > NEW") {
				t.Errorf("%s: status %d, %s", name, code, stderr)
			}
		} else if code != 0 || !strings.Contains(stdout, "is fine") {
			t.Errorf("%s: status %d, %s", name, code, stderr)
		}
	}
}

// TestMigrateCommand is about the command itself.
func TestMigrateCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"empty.yaml": "", "kept.yaml": "tenants:\n  - name: a\n    path_prefix: /\n    route_groups: []\n    services: [{url: \"http://127.0.0.1:1\"}]\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		{[]string{"migrate"}, 1, "", "0 files are named, expected one"},
		{[]string{"migrate", "none.yaml"}, 1, "", "none.yaml"},
		{[]string{"migrate", "empty.yaml"}, 1, "", "is empty"},
		{[]string{"migrate", "kept.yaml"}, 1, "compatibility: keystone-1\ntenants:", "left to do before NEW can be used:\n- line 4 of OLD: tenants[0].route_groups stays"},
		{[]string{"migrate", "-h"}, 0, "usage: keystone-gateway migrate OLD > NEW", ""},
	} {
		stdout, stderr, code := runIn(t, dir, c.args...)
		if code != c.code || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) {
			t.Errorf("%q: status %d, %q, %q", c.args, code, stdout, stderr)
		}
	}
}

// runIn is runBinary in a directory.
func runIn(t *testing.T, dir string, arguments ...string) (stdout, stderr string, code int) {
	t.Helper()
	command := exec.Command(gatewayBinary(t), arguments...) // #nosec G204 -- the binary that this test built
	command.Dir = dir
	var out, errs bytes.Buffer
	command.Stdout, command.Stderr = &out, &errs
	if err := command.Run(); err != nil && command.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), command.ProcessState.ExitCode()
}

// copyTree copies text files, and replaces what stands for something.
func copyTree(t *testing.T, from, to string, expand *strings.Replacer) {
	t.Helper()
	var walk func(dir string)
	walk = func(dir string) {
		entries, err := os.ReadDir(filepath.Join(from, dir))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(to, dir), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			path := filepath.Join(dir, entry.Name())
			if entry.IsDir() {
				walk(path)
				continue
			}
			text, err := os.ReadFile(filepath.Join(from, path))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(to, path), []byte(expand.Replace(string(text))), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	walk("")
}
