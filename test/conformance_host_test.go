package test

import (
	"strings"
	"testing"
)

// TestHost checks the Host field (RFC 9110 §7.2, RFC 9112 §3.2): one, valid, and
// the only thing that chooses the tenant.
func TestHost(t *testing.T) {
	t.Parallel()
	runClientCases(t, append(hostCases(), badHostCases()...))
}

func hostCases() []clientCase {
	send := func(lines ...string) string { return lined("GET /p HTTP/1.1", lines...) }
	return []clientCase{
		ok("Host is kept", send("Host: {host}"), ownHost),
		ok("Host in capitals", send("HOST: {host}"), ownHost),
		ok("Host without space", send("Host:{host}"), ownHost),
		ok("Host with spaces around", send("Host: \t {host} \t "), ownHost),
		ok("Host is not the first field", send("X-A: 1", "Accept: */*", "Host: {host}"), ownHost),
		ok("Host with a port", send("Host: {host}:8080"), ownHost),
		ok("Host with a trailing dot", send("Host: {host}."), ownHost),
		ok("Host with a trailing dot and a port", send("Host: {host}.:80"), ownHost),
		{name: "Host with an empty port", send: send("Host: {host}:"), want: "200|400"},
		{name: "Host in another case", send: send("Host: {HOST}"), want: "200", alive: true},
		{name: "unknown Host", send: send("Host: nobody.example"), want: "404", alive: true},
		{name: "unknown IPv6 Host", send: send("Host: [2001:db8::1]:80"), want: "404", alive: true},
		{name: "unknown IPv4 Host", send: send("Host: 192.0.2.1"), want: "404", alive: true},
		{name: "Host of a suffix", send: send("Host: x.{host}"), want: "404"},
		{name: "Host of a prefix", send: send("Host: {host}.evil.example"), want: "404"},
		{name: "unknown Host with a body", send: lined("POST /p HTTP/1.1", "Host: nobody.example", "Content-Length: {len}") + "{canary}",
			want: "404"},
		{name: "unknown Host with a chunked body", want: "404",
			send: lined("POST /p HTTP/1.1", "Host: nobody.example", "Transfer-Encoding: chunked") + "{hex}\r\n{canary}\r\n0\r\n\r\n"},
		{name: "unknown Host, then a request", send: send("Host: nobody.example"), pieces: []string{get("/p")}, want: "404 200"},
		ok("X-Forwarded-Host of another tenant", get("/p", "X-Forwarded-Host: {victim}"), ownHost, forwardedHost),
		ok("X-Host and X-Original-Host", get("/p", "X-Host: {victim}", "X-Original-Host: {victim}"), ownHost),
		ok("Forwarded of another tenant", get("/p", "Forwarded: host={victim};for=1.2.3.4"), ownHost, notIn("1.2.3.4")),
		ok("X-Original-URL doesn't route", get("/p", "X-Original-URL: /canary", "X-Rewrite-URL: /canary"), target("/p")),
		okOrBad("Connection can't name Host away", get("/p", "Connection: Host"), ownHost),
	}
}

// forwardedHost demands the case's own host in X-Forwarded-Host.
func forwardedHost(r request) string {
	return differs("X-Forwarded-Host", strings.Join(r.values("X-Forwarded-Host"), ","), strings.Join(r.values("Host"), ","))
}

func badHostCases() (cases []clientCase) {
	for _, host := range []string{
		"", " ", "a b.example", "{host} {victim}", "{host}\t{victim}", "{host}, {victim}", "{host},{host}", "{host};{victim}",
		"user@{host}", "{victim}@{host}", "{host}@{victim}", "{host}/", "{host}/p", "http://{host}", "{host}?q", "{host}#f",
		"{host}:x", "{host}:80x", "{host}:-1", "{host}:+80", "{host}:99999", "{host}:80:80", "{host}: 80", "{host} :80", ":80", ":",
		"[::1", "::1]", "[::g]", "[]", "[::1]x", "[::1]:x", "[{host}]", "{host}\\", "{host}%00", "{host}\"", "<{host}>",
		"{host}\x00", "\x00{host}", "{host}\x00.{victim}", "{host}\x01", "{host}\x7f", "{host}\x0b", "{host}\xff", "\xe4{host}",
		"{host}\r{victim}", "{host}\n{victim}", "{host}..", ".", "..", "*.example", "*",
		strings.Repeat("a", 300) + ".example",
	} {
		c := bad("Host "+strings.ToValidUTF8(host, "?"), lined("GET /p HTTP/1.1", "Host: "+host))
		switch host {
		case "{host}..", ".", "..", "*.example", "*", ".example": // odd names, which no tenant has
			c.want = "400|404"
			c.send, c.closed = strings.TrimSuffix(c.send, "{canary}"), false
		}
		cases = append(cases, c)
	}
	line := func(name string, lines ...string) clientCase { return bad(name, lined("GET /p HTTP/1.1", lines...)) }
	return append(cases,
		line("no Host"),
		line("no Host among others", "Accept: */*", "X-Host: {host}"),
		line("two equal Hosts", "Host: {host}", "Host: {host}"),
		line("two different Hosts", "Host: {host}", "Host: {victim}"),
		line("two different Hosts, the other way round", "Host: {victim}", "Host: {host}"),
		line("two Hosts in different case", "Host: {host}", "hOST: {victim}"),
		line("two Hosts far apart", "Host: {host}", "A: 1", "B: 2", "C: 3", "Host: {victim}"),
		line("an empty Host and a real one", "Host:", "Host: {host}"),
		line("a real Host and an empty one", "Host: {host}", "Host:"),
		line("space after Host", "Host : {host}"),
		line("tab after Host", "Host\t: {host}"),
		line("space before Host", " Host: {host}"),
		line("a folded Host", "Host:\r\n {host}"),
		line("a Host continued on the next line", "Host: {host}", " {victim}"),
		line("a second Host in a folded line", "Host: {host}", "\tHost: {victim}"),
		line("a second Host behind a bare LF", "Host: {host}\nHost: {victim}"),
		line("a second Host behind a bare CR", "Host: {host}\rHost: {victim}"),
		line("a second Host with a space before its colon", "Host: {host}", "Host : {victim}"),
		line("two Hosts with HTTP/1.1 and keep-alive", "Connection: keep-alive", "Host: {host}", "Host: {host}"),
	)
}
