package proxy_test

import (
	"bufio"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// recipe is what the configuration under a heading of docs/recipes.md is to do: each
// request, with the status, and texts of the answer, "!" before those that it hasn't.
var recipes = map[string][][]string{
	"Static files beside an API": {
		{"GET /api/users HTTP/1.1\r\nHost: app.example.com", "200", "seven", "GET /api/users "},
		{"GET /app.js HTTP/1.1\r\nHost: app.example.com", "200", "Content-Type: text/javascript; charset=utf-8", "the script"},
		{"GET /app.js HTTP/1.1\r\nHost: app.example.com\r\nAccept-Encoding: gzip, br", "200", "Content-Encoding: gzip", "in gzip"},
		{"GET /app.js HTTP/1.1\r\nHost: app.example.com\r\nRange: bytes=4-", "206", "Content-Range: bytes 4-9/10"},
		{"GET / HTTP/1.1\r\nHost: app.example.com", "200", "<h1>The application</h1>"},
		{"GET /orders/7 HTTP/1.1\r\nHost: app.example.com", "200", "<h1>The application</h1>"},
		{"GET /.env HTTP/1.1\r\nHost: app.example.com", "200", "<h1>The application</h1>", "!secret"},
	},
	"An application behind a password": {
		{"GET /a HTTP/1.1\r\nHost: wiki.example.com", "401", `Www-Authenticate: Basic realm="Wiki"`},
		{"GET /a HTTP/1.1\r\nHost: wiki.example.com\r\nAuthorization: Basic YWxpY2U6c2VjcmV0\r\nX-Auth-User: root", "200", "seven", "alice", "!root"},
		{"GET /a HTTP/1.1\r\nHost: wiki.example.com\r\nAuthorization: Basic YWxpY2U6b3RoZXI=", "401", "basic_auth_denied"},
	},
	"An API with JSON Web Tokens": {
		{"GET /a HTTP/1.1\r\nHost: api.example.com", "401", "jwt_denied"},
		{"GET /a HTTP/1.1\r\nHost: api.example.com\r\nX-User: root\r\nAuthorization: Bearer TOKEN", "200", "seven", "alice", "!root"},
		{"GET /a HTTP/1.1\r\nHost: api.example.com\r\nAuthorization: Bearer TOKENx", "401", "jwt_denied"},
	},
	"An application behind a login elsewhere": {
		{"GET /a HTTP/1.1\r\nHost: app.example.com", "302", "Location: https://login.example.com"},
		{"GET /a HTTP/1.1\r\nHost: app.example.com\r\nCookie: session=alice\r\nRemote-User: root", "200", "seven", "alice", "!root"},
	},
	"Hosts, and a wildcard host": {
		{"GET /a HTTP/1.1\r\nHost: example.com", "200", "seven"},
		{"GET /a HTTP/1.1\r\nHost: shop.example.com", "200", "seven"},
		{"GET /a HTTP/1.1\r\nHost: a.b.shop.example.com", "200", "eight"},
		{"GET /a HTTP/1.1\r\nHost: example.org", "404", "no_tenant"},
	},
	"Path prefixes": {
		{"GET /apis HTTP/1.1\r\nHost: example.com", "200", "seven", "GET /apis "},
		{"GET /api/users?a HTTP/1.1\r\nHost: example.com", "200", "eight", "GET /users?a "},
		{"GET /api HTTP/1.1\r\nHost: example.com", "200", "eight", "GET / "},
		{"GET /x/../api/users HTTP/1.1\r\nHost: example.com", "200", "eight", "GET /users "},
	},
	"HTTP to HTTPS, and www to the apex": {
		{"GET /a?b HTTP/1.1\r\nHost: www.example.com", "308", "Location: https://example.com/a?b"},
		{"GET /a?b HTTP/1.1\r\nHost: example.com", "308", "Location: https://example.com/a?b"},
		{"GET /a?b HTTP/1.1\r\nHost: www.example.com\r\nX-Forwarded-Proto: https", "308", "Location: https://example.com/a?b"},
		{"GET /a?b HTTP/1.1\r\nHost: example.com\r\nX-Forwarded-Proto: https", "200", "seven"},
	},
	"An API that scripts of another origin use": {
		{"GET /a HTTP/1.1\r\nHost: api.example.com\r\nOrigin: https://app.example.com", "200", "Access-Control-Allow-Origin: https://app.example.com", "Access-Control-Allow-Credentials: true"},
		{"GET /a HTTP/1.1\r\nHost: api.example.com\r\nOrigin: https://evil.net", "200", "!Access-Control-Allow-Origin"},
		{"OPTIONS /a HTTP/1.1\r\nHost: api.example.com\r\nOrigin: https://app.example.com\r\nAccess-Control-Request-Method: DELETE", "204", "Access-Control-Allow-Methods: GET, HEAD, POST, PUT, PATCH, DELETE"},
		{"OPTIONS /a HTTP/1.1\r\nHost: api.example.com\r\nOrigin: https://evil.net\r\nAccess-Control-Request-Method: DELETE", "403", "cors_denied"},
	},
	"Ten requests a second from each client": {
		{"GET /a HTTP/1.1\r\nHost: api.example.com", "200", "Ratelimit-Policy: \"client\";q=20;w=2", "seven"},
	},
	"Only from these networks": {
		{"GET /a HTTP/1.1\r\nHost: intern.example.com\r\nX-Forwarded-For: 10.1.1.1", "200", "seven"},
		{"GET /a HTTP/1.1\r\nHost: intern.example.com\r\nX-Forwarded-For: 2001:db8::5", "200", "seven"},
		{"GET /a HTTP/1.1\r\nHost: intern.example.com\r\nX-Forwarded-For: 192.0.2.1", "403", "ip_denied"},
		{"GET /a HTTP/1.1\r\nHost: intern.example.com\r\nX-Forwarded-For: 10.1.1.1, 192.0.2.1", "403", "ip_denied"},
	},
	"Security headers everywhere": {
		{"GET /a HTTP/1.1\r\nHost: shop.example.com", "200", "X-Content-Type-Options: nosniff", "!Strict-Transport-Security", "seven"},
		{"GET /a HTTP/1.1\r\nHost: blog.example.com\r\nX-Forwarded-Proto: https", "200", "Strict-Transport-Security: max-age=31536000", "eight"},
	},
	"Large uploads for one tenant only": {
		{"POST /a HTTP/1.1\r\nHost: example.com\r\nContent-Length: 2000000", "413", "body_too_large"},
		{"POST /a HTTP/1.1\r\nHost: uploads.example.com\r\nContent-Length: 2000000\r\n\r\n" + strings.Repeat("x", 2_000_000), "200", "eight"},
	},
	"A regular expression rewrites paths": {
		{"GET /2026/spring HTTP/1.1\r\nHost: blog.example.com", "200", "seven", "GET /posts/spring?year=2026 "},
		{"GET /20267/spring HTTP/1.1\r\nHost: blog.example.com", "200", "seven", "GET /20267/spring "},
		{"GET /old/a/b?c HTTP/1.1\r\nHost: blog.example.com", "308", "Location: /archive/a/b?c"},
	},
	"Large uploads to one path only": {
		{"POST /a HTTP/1.1\r\nHost: example.com\r\nContent-Length: 2000000", "413", "body_too_large"},
		{"POST /upload HTTP/1.1\r\nHost: example.com\r\nContent-Length: 2000000\r\n\r\n" + strings.Repeat("x", 2_000_000), "200", "eight"},
	},
	"A maintenance page from a file": {
		{"GET /a HTTP/1.1\r\nHost: shop.example.com", "503", "Retry-After: 3600", "Content-Type: text/html; charset=utf-8", "<h1>Back at noon</h1>"},
		{"GET /a HTTP/1.1\r\nHost: shop.example.com\r\nX-Forwarded-For: 10.1.1.1", "200", "seven"},
	},
	"Own error pages": {
		{"GET /a HTTP/1.1\r\nHost: shop.example.com", "200", "seven"},
		{"GET /broken HTTP/1.1\r\nHost: shop.example.com", "502", "<h1>Something failed</h1><p>", "X-Gateway-Error: upstream_bad_response"},
		{"GET /broken HTTP/1.1\r\nHost: shop.example.com\r\nAccept: application/json", "502", `"code":"upstream_bad_response"`, "Content-Type: application/problem+json"},
	},
	"Several applications behind one host": {
		{"GET /a HTTP/1.1\r\nHost: shop.example.com", "200", "seven", "GET /a "},
		{"GET /api/users?q HTTP/1.1\r\nHost: shop.example.com", "200", "eight", "GET /v1/users?q "},
	},
	"A canary for some clients": {
		{"GET /a HTTP/1.1\r\nHost: shop.example.com\r\nX-User: alice", "200", "seven"},
		{"GET /a HTTP/1.1\r\nHost: shop.example.com\r\nX-User: alice\r\nCookie: canary=yes", "200", "eight"},
	},
	"Sessions that live in one server": {
		{"GET /a HTTP/1.1\r\nHost: app.example.com", "200", "Set-Cookie: backend=", "; Path=/; HttpOnly; SameSite=Lax", "seven"},
		{"GET /a HTTP/1.1\r\nHost: app.example.com", "200", "Set-Cookie: backend=", "eight"},
	},
	"A standby that takes over": {
		{"GET /a HTTP/1.1\r\nHost: example.com", "200", "seven"},
		{"GET /a HTTP/1.1\r\nHost: example.com", "200", "seven"},
	},
	"Compressed responses": {
		{"GET /a HTTP/1.1\r\nHost: example.com\r\nAccept-Encoding: gzip, deflate, br, zstd", "200", "Content-Encoding: zstd", "Vary: Accept-Encoding", "!                    "},
		{"GET /a HTTP/1.1\r\nHost: example.com\r\nAccept-Encoding: gzip, deflate, br", "200", "Content-Encoding: br", "!                    "},
		{"GET /a HTTP/1.1\r\nHost: example.com\r\nAccept-Encoding: gzip, br;q=0.5", "200", "Content-Encoding: gzip", "!                    "},
		{"GET /a HTTP/1.1\r\nHost: example.com", "200", "!Content-Encoding", "seven"},
	},
}

// TestRecipes runs what docs/recipes.md shows, each by itself, behind a proxy that is
// trusted, and demands that it does what it says.
func TestRecipes(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/recipes.md")
	if err != nil {
		t.Fatal(err)
	}
	seven, eight := naming(t, "seven"), naming(t, "eight")
	sections := strings.Split(string(page), "\n## ")[1:]
	if len(sections) != len(recipes) {
		t.Errorf("%d recipes, and %d are tried", len(sections), len(recipes))
	}
	for _, section := range sections {
		name, text, _ := strings.Cut(section, "\n")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tries := recipes[name]
			if tries == nil {
				t.Fatal("it isn't tried")
			}
			_, block, _ := strings.Cut(text, "```yaml\n")
			block, _, _ = strings.Cut(block, "```")
			if n := strings.Count(block, "\n"); n > 60 {
				t.Errorf("it has %d lines", n)
			}
			dir, token := pantry(t)
			block = strings.NewReplacer("10.0.0.7:8080", seven, "10.0.0.8:8080", eight, "file: maintenance.html", "file: '"+dir+"/maintenance.html'",
				"root: site", "root: '"+dir+"/site'", "users_file: users.htpasswd", "users_file: '"+dir+"/users.htpasswd'", "jwks_file: jwks.json", "jwks_file: '"+dir+"/jwks.json'").Replace(block)
			server := serve(t, "server: {address: '127.0.0.1:0', trusted_proxies: [127.0.0.1]}\naccess_log: {enabled: false}\n"+block)
			for _, try := range tries {
				request := strings.ReplaceAll(try[0], "TOKEN", token)
				if !strings.Contains(request, "\r\n\r\n") {
					request += "\r\n\r\n"
				}
				answer, body := askRaw(t, server.Addr().String(), request)
				var all strings.Builder
				_ = answer.Header.Write(&all)
				if fmt.Sprint(answer.StatusCode) != try[1] {
					t.Errorf("%.100q: got %d %.200q, want %s", try[0], answer.StatusCode, body, try[1])
				}
				for _, want := range try[2:] {
					without, not := strings.CutPrefix(want, "!")
					if strings.Contains(all.String()+body, without) == not {
						t.Errorf("%.100q: want %q in\n%s%.300q", try[0], want, all.String(), body)
					}
				}
			}
		})
	}
}

// pantry is a directory with the files that recipes name, and a token for the key set.
func pantry(t *testing.T) (dir, token string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	dir = t.TempDir()
	for name, text := range map[string]string{
		"maintenance.html": "<h1>Back at noon</h1>", "site/index.html": "<h1>The application</h1>", "site/app.js": "the script", "site/app.js.gz": "in gzip", "site/.env": "secret",
		"users.htpasswd": "alice:" + hashed(t, "secret", 4) + "\n",
		"jwks.json":      `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"` + encode(public) + `"}]}`,
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text := encode([]byte(`{"alg":"EdDSA"}`)) + "." + encode(fmt.Appendf(nil, `{"iss":"https://id.example.com","aud":"api","sub":"alice","exp":%d}`, time.Now().Add(time.Hour).Unix()))
	return dir, text + "." + encode(ed25519.Sign(private, []byte(text)))
}

// naming is a target that answers with its name and the request's first line.
func naming(t *testing.T, name string) (address string) {
	t.Helper()
	return target(t, func(conn net.Conn) {
		reader := bufio.NewReader(conn)
		for {
			r, err := http.ReadRequest(reader)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
			user := r.Header.Get("X-Auth-User") + r.Header.Get("X-User") + r.Header.Get("Remote-User")
			body := name + "\n" + r.Method + " " + r.RequestURI + strings.Repeat(" ", 1000) + user
			answer := fmt.Sprintf("HTTP/1.1 200 OK\r\nServer: x\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
			switch session, _ := r.Cookie("session"); {
			case r.URL.Path == "/api/authz/forward-auth" && session == nil:
				answer = "HTTP/1.1 302 Found\r\nLocation: https://login.example.com/\r\nContent-Length: 0\r\n\r\n"
			case r.URL.Path == "/api/authz/forward-auth":
				answer = "HTTP/1.1 200 OK\r\nRemote-User: " + session.Value + "\r\nContent-Length: 0\r\n\r\n"
			case r.URL.Path == "/broken":
				answer = "HTTP/1.1 what\r\n\r\n"
			}
			if _, err := io.WriteString(conn, answer); err != nil {
				return
			}
		}
	})
}

// TestRecipesOfNginx has nginx check what docs/recipes.md shows of its configuration.
func TestRecipesOfNginx(t *testing.T) {
	t.Parallel()
	nginx, err := exec.LookPath("nginx")
	if err != nil && os.Getenv("KEYSTONE_CI") == "" {
		t.Skip("nginx is missing")
	}
	page, err := os.ReadFile("../docs/recipes.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := 0
	for line, b := range codeBlocks(string(page)) {
		if b.language != "nginx" {
			continue
		}
		blocks++
		dir := t.TempDir()
		text := "pid " + dir + "/pid; error_log stderr; events {}\nhttp { access_log off;"
		for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
			text += " " + kind + "_temp_path " + dir + "/" + kind + ";"
		}
		file := filepath.Join(dir, "nginx.conf")
		if err := os.WriteFile(file, []byte(text+"\n"+b.text+"}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), nginx, "-t", "-c", file).CombinedOutput(); err != nil {
			t.Errorf("docs/recipes.md:%d: %v\n%s", line, err, out)
		}
	}
	if blocks != len(recipes) {
		t.Errorf("%d blocks for %d recipes", blocks, len(recipes))
	}
}
