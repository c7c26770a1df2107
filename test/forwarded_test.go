package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestClientAddress: what a trusted proxy says of the client, in whichever
// form, is what scripts see as its address, and what the target is told in
// every field alike.
func TestClientAddress(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script := "chi_middleware(function(request, response, next)\n" +
		"  request:set_header('X-Seen', request.remote_addr .. ' ' .. request.scheme)\n  next()\nend)\n"
	if err := os.WriteFile(filepath.Join(dir, "seen.lua"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	const trusted = "server:\n  trusted_proxies: [127.0.0.0/8, 198.51.100.0/24, \"2001:db8:1::/48\"]\n"
	scripts := fmt.Sprintf("lua_routing: {enabled: true, scripts_dir: %q}\n", dir)
	believing := startFlow(t, trusted+scripts, nil, "lua_routes: [seen.lua]")
	adding := startFlow(t, trusted+"  forwarded: true\n"+scripts, nil, "lua_routes: [seen.lua]")
	for _, c := range []struct{ name, fields, seen, list, elements string }{
		{"one", "X-Forwarded-For: 203.0.113.9", "203.0.113.9 http", "203.0.113.9, 127.0.0.1", "for=203.0.113.9, "},
		{"a port", "X-Forwarded-For: 203.0.113.9:54321", "203.0.113.9 http", "203.0.113.9:54321, 127.0.0.1", "for=203.0.113.9, "},
		{"brackets and a port", "X-Forwarded-For: [2001:db8::1]:443", "2001:db8::1 http", "[2001:db8::1]:443, 127.0.0.1", `for="[2001:db8::1]", `},
		{"brackets", "X-Forwarded-For: [2001:db8::1]", "2001:db8::1 http", "[2001:db8::1], 127.0.0.1", `for="[2001:db8::1]", `},
		{"IPv6", "X-Forwarded-For: 2001:DB8::1", "2001:db8::1 http", "2001:DB8::1, 127.0.0.1", `for="[2001:db8::1]", `},
		{"IPv4 in IPv6", "X-Forwarded-For: ::ffff:203.0.113.9", "203.0.113.9 http", "::ffff:203.0.113.9, 127.0.0.1", "for=203.0.113.9, "},
		{"an empty element last", "X-Forwarded-For: 203.0.113.9,", "203.0.113.9 http", "203.0.113.9, 127.0.0.1", "for=203.0.113.9, "},
		{"empty elements", "X-Forwarded-For: , 203.0.113.9 ,, 198.51.100.1 , ", "203.0.113.9 http", "203.0.113.9 ,, 198.51.100.1, 127.0.0.1", "for=203.0.113.9, for=198.51.100.1, "},
		{"two fields, the last one empty", "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For:", "203.0.113.9 http", "203.0.113.9, 127.0.0.1", "for=203.0.113.9, "},
		{"two fields", "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For: [2001:db8:1::1]:1", "203.0.113.9 http", "203.0.113.9, [2001:db8:1::1]:1, 127.0.0.1", `for=203.0.113.9, for="[2001:db8:1::1]", `},
		{"the last that isn't trusted", "X-Forwarded-For: 6.6.6.6, 203.0.113.9:1, 198.51.100.1:2", "203.0.113.9 http", "6.6.6.6, 203.0.113.9:1, 198.51.100.1:2, 127.0.0.1", "for=6.6.6.6, for=203.0.113.9, for=198.51.100.1, "},
		{"garbage before a trusted one", "X-Forwarded-For: 203.0.113.9, unknown, 198.51.100.1", "198.51.100.1 http", "203.0.113.9, unknown, 198.51.100.1, 127.0.0.1", "for=203.0.113.9, for=unknown, for=198.51.100.1, "},
		{"garbage", "X-Forwarded-For: 203.0.113.9:x", "127.0.0.1 http", "203.0.113.9:x, 127.0.0.1", "for=unknown, "},
		{"an octet too large", "X-Forwarded-For: 203.0.113.256", "127.0.0.1 http", "203.0.113.256, 127.0.0.1", "for=unknown, "},
		{"an open bracket", "X-Forwarded-For: [2001:db8::1", "127.0.0.1 http", "[2001:db8::1, 127.0.0.1", "for=unknown, "},
		{"IPv4 in brackets", "X-Forwarded-For: [203.0.113.9]", "127.0.0.1 http", "[203.0.113.9], 127.0.0.1", "for=unknown, "},
		{"nothing", "X-A: b", "127.0.0.1 http", "127.0.0.1", ""},
		{"scheme", "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https", "203.0.113.9 https", "203.0.113.9, 127.0.0.1", "for=203.0.113.9;proto=https, "},
		{"Forwarded alone", "Forwarded: for=203.0.113.9;proto=https;host=shop.example", "203.0.113.9 https", "203.0.113.9, 127.0.0.1",
			"for=203.0.113.9;proto=https;host=shop.example, "},
		{"Forwarded with a port", `Forwarded: For="203.0.113.9:54321"`, "203.0.113.9 http", "203.0.113.9, 127.0.0.1", `For="203.0.113.9:54321", `},
		{"Forwarded with IPv6", `forwarded: for="[2001:db8::1]:_x1" ; PROTO=https`, "2001:db8::1 https", "2001:db8::1, 127.0.0.1", `for="[2001:db8::1]:_x1" ; PROTO=https, `},
		{"Forwarded's last that isn't trusted", `Forwarded: for=6.6.6.6;proto=http, , for=203.0.113.9;proto=https;ext="a,b;c\"", for=198.51.100.1;proto=http`, "203.0.113.9 https",
			"6.6.6.6, 203.0.113.9, 198.51.100.1, 127.0.0.1", `for=6.6.6.6;proto=http, , for=203.0.113.9;proto=https;ext="a,b;c\"", for=198.51.100.1;proto=http, `},
		{"Forwarded in two fields", "Forwarded: for=203.0.113.9;proto=https\r\nForwarded: for=198.51.100.1", "203.0.113.9 https", "203.0.113.9, 198.51.100.1, 127.0.0.1",
			"for=203.0.113.9;proto=https, for=198.51.100.1, "},
		{"Forwarded of somebody unknown", "Forwarded: for=203.0.113.9, for=unknown;proto=https", "127.0.0.1 https", "203.0.113.9, unknown, 127.0.0.1", "for=203.0.113.9, for=unknown;proto=https, "},
		{"Forwarded behind a quotation mark", `Forwarded: for=", for="[2001:db8::1]:443"`, "2001:db8::1 http", "unknown, 2001:db8::1, 127.0.0.1", `for=", for="[2001:db8::1]:443", `},
		{"Forwarded behind an escape", `Forwarded: for=6.6.6.6;x="\", for=203.0.113.9;y="\\";z="a\", b"`, "203.0.113.9 http", "6.6.6.6, 203.0.113.9, 127.0.0.1", `for=6.6.6.6;x="\", for=203.0.113.9;y="\\";z="a\", b", `},
		{"Forwarded, obfuscated", "Forwarded: for=_hidden", "127.0.0.1 http", "unknown, 127.0.0.1", "for=_hidden, "},
		{"an empty list and Forwarded", "X-Forwarded-For: ,\r\nForwarded: for=203.0.113.9", "203.0.113.9 http", "203.0.113.9, 127.0.0.1", "for=203.0.113.9, "},
		{"both: X-Forwarded-For counts", "Forwarded: for=6.6.6.6;proto=https\r\nX-Forwarded-For: 203.0.113.9", "203.0.113.9 http", "203.0.113.9, 127.0.0.1", "for=6.6.6.6;proto=https, "},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, f := range []*flow{believing, adding} {
				client := dial(t, f.gateway.address)
				client.send(t, f.expand(get("/p", strings.Split(c.fields, "\r\n")...)))
				if answer := client.answer(t, "GET"); answer.status != 200 {
					t.Fatal(answer.start)
				}
				seen := f.mock.seen()
				r := seen[len(seen)-1]
				checks := []func(request) string{values("X-Seen", c.seen), values("X-Forwarded-For", c.list)}
				if f == adding {
					checks = append(checks, values("Forwarded", c.elements+f.expand(`for=127.0.0.1;host="{host}";proto=http`)))
				}
				if strings.HasSuffix(c.seen, "https") {
					checks = append(checks, values("X-Forwarded-Proto", "https"))
				}
				if c.name == "Forwarded alone" {
					checks = append(checks, values("X-Forwarded-Host", "shop.example"))
				}
				for _, check := range checks {
					if wrong := check(r); wrong != "" {
						t.Error(wrong)
					}
				}
			}
		})
	}
}

// TestIdentityFields: what applications take for a proxy's word of the client
// passes from trusted proxies only, in no spelling and in no trailer from
// others, and scripts don't see it either.
func TestIdentityFields(t *testing.T) {
	t.Parallel()
	spoofed := []string{"X-Real-IP: 6.6.6.6", "true-client-ip: 6.6.6.6", "CF_Connecting_IP: 6.6.6.6", "X-Scheme: 6.6.6.6", "FRONT-END-HTTPS: 6.6.6.6",
		"X-Original-URL: /6.6.6.6", "X-Rewrite-URL: /6.6.6.6", "X_Real-ip: 6.6.6.6", "Client-Cert: :6.6.6.6:", "Fastly-Client-IP: 6.6.6.6"}
	dir := t.TempDir()
	script := "chi_middleware(function(request, response, next)\n" +
		"  request:set_header('X-Seen', tostring(request:header('X-Real-IP')))\n  request:set_header('True-Client-IP', 'set')\n  next()\nend)\n"
	if err := os.WriteFile(filepath.Join(dir, "seen.lua"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	scripts := fmt.Sprintf("lua_routing: {enabled: true, scripts_dir: %q}\n", dir)
	for _, c := range []struct {
		name, settings string
		tenant         []string
		checks         []func(request) string
	}{
		{"not trusted", "", nil, []func(request) string{notIn("6.6.6.6"), line("X-Stay: 1"), trailer("X-T", "1")}},
		{"trusted", "server:\n  trusted_proxies: [127.0.0.1]\n", nil, []func(request) string{line(spoofed...), trailer("X_Real_IP", "6.6.6.6")}},
		{"own list", "server:\n  identity_fields: [x_stay]\n", nil, []func(request) string{line(spoofed...), without("X-Stay")}},
		{"none", "server:\n  identity_fields: []\n", nil, []func(request) string{line(spoofed...), line("X-Stay: 1")}},
		{"scripts", scripts, []string{"lua_routes: [seen.lua]"}, []func(request) string{notIn("6.6.6.6"), values("X-Seen", "nil"), values("True-Client-IP", "set")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := startFlow(t, c.settings, nil, c.tenant...)
			client := dial(t, f.gateway.address)
			client.send(t, f.expand(post(append(append([]string{}, spoofed...), "X-Stay: 1", chunked)...))+
				"5\r\nhello\r\n0\r\nX-T: 1\r\nX_Real_IP: 6.6.6.6\r\n\r\n")
			if answer := client.answer(t, "POST"); answer.status != 200 {
				t.Fatal(answer.start)
			}
			for _, check := range c.checks {
				if wrong := check(f.mock.seen()[0]); wrong != "" {
					t.Error(wrong)
				}
			}
		})
	}
}

// TestForwardedFieldsOfScripts: scripts see what a peer says of the client only
// if the peer is trusted.
func TestForwardedFieldsOfScripts(t *testing.T) {
	t.Parallel()
	script := `chi.get("/", function(request, response)
		local names = {"X-Forwarded-For", "x-forwarded-proto", "X-Forwarded-Host", "X-Forwarded-Port", "Forwarded"}
		for _, name in ipairs(names) do
			local found = 0
			for other in pairs(request.headers) do if other:lower() == name:lower() then found = found + 1 end end
			response:write(tostring(request:header(name)), tostring(request.headers[name]), #request:headers_all(name), found, " ")
		end
	end)`
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.lua"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	request := lined("GET / HTTP/1.1", "Host: a", "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: b", "X-Forwarded-Port: 1", "Forwarded: for=192.0.2.1")
	for server, want := range map[string]string{
		"": strings.Repeat("nilnil00 ", 5),
		"server:\n  trusted_proxies: [127.0.0.1]\n": "192.0.2.1192.0.2.111 httpshttps11 bb11 1111 for=192.0.2.1for=192.0.2.111 ",
	} {
		g := startGateway(t, server+fmt.Sprintf("lua_routing: {enabled: true, scripts_dir: %q}\ntenants:\n  - {name: a, path_prefix: /, lua_routes: [a.lua], lua: {%s}}\n", dir, patientLua))
		client := dial(t, g.address)
		client.send(t, request)
		if got := string(client.answer(t, "GET").body); got != want {
			t.Errorf("%q: scripts see %q, want %q", server, got, want)
		}
	}
}
