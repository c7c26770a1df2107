package test

import (
	"strings"
	"testing"
)

// TestTarget checks request targets: their four forms (RFC 9112 §3.2), and that
// routing and the upstream see one and the same canonical path.
func TestTarget(t *testing.T) {
	t.Parallel()
	runClientCases(t, append(append(pathCases(), refusedPathCases()...), formCases()...))
}

func pathCases() []clientCase {
	path := func(name, sent string, wants ...string) clientCase { return ok(name, get(sent), target(wants...)) }
	return []clientCase{
		path("root", "/", "/"),
		path("trailing slash stays", "/a/", "/a/"),
		path("query byte for byte", "/a?x=%zz&y=/../a//b;c&&=?", "/a?x=%zz&y=/../a//b;c&&=?"),
		path("backslash in the query", `/a?x=\b\..\c`, `/a?x=\b\..\c`),
		path("empty query", "/a?", "/a?"),
		path("query only of question marks", "/a???", "/a???"),
		path("escaped NUL in the query is data", "/a?x=%00%0d%0a", "/a?x=%00%0d%0a"),
		path("dot segment", "/a/./b", "/a/b"),
		path("trailing dot segment", "/a/.", "/a/"),
		path("dot-dot segment", "/a/../b", "/b"),
		path("trailing dot-dot segment", "/a/b/..", "/a/"),
		path("dot-dot back to the root", "/a/..", "/"),
		path("encoded dot-dot segment", "/a/%2e%2E/b", "/b"),
		path("half encoded dot-dot segment", "/a/.%2e/b", "/b"),
		path("encoded dot segment", "/a/%2e/b", "/a/b"),
		path("three dots are a name", "/a/.../b", "/a/.../b"),
		path("dots within a name", "/a/..b/c../.d", "/a/..b/c../.d"),
		path("encoded letter", "/%61dmin", "/admin"),
		path("encoded tilde", "/%7Euser", "/~user"),
		path("lower-case escape", "/a%c3%a4", "/a%C3%A4", "/a%c3%a4"),
		path("encoded slash stays data", "/@scope%2fname", "/@scope%2Fname", "/@scope%2fname"),
		path("encoded slash in capitals", "/a%2Fb/c", "/a%2Fb/c"),
		path("encoded space", "/a%20b", "/a%20b"),
		path("encoded percent sign", "/a%25b", "/a%25b"),
		path("twice encoded dots stay data", "/a/%252e%252e/b", "/a/%252e%252e/b", "/a/%252E%252E/b"),
		path("twice encoded slash stays data", "/a%252fb", "/a%252fb", "/a%252Fb"),
		path("encoded question mark stays data", "/a%3Fb", "/a%3Fb"),
		path("encoded number sign stays data", "/a%23b", "/a%23b"),
		path("repeated slashes", "//a///b", "/a/b"),
		path("looks like an authority", "//{victim}/a", "/{victim}/a", "/"+victimHost+"/a"),
		path("path parameters", "/a;x=1/b;y", "/a;x=1/b;y"),
		path("sub-delimiters", "/a!$&'()*+,=:@b", "/a!$&'()*+,=:@b"),
		{name: "high bytes", send: get("/caf\xc3\xa9"), want: "200|400",
			up: []func(request) string{target("/caf\xc3\xa9", "/caf%C3%A9")}},
		{name: "braces and pipes", send: get("/a{b}|c^d`\"<>"), want: "200|400"},
		{name: "square brackets", send: get("/a[b]"), want: "200|400", up: []func(request) string{target("/a[b]", "/a%5Bb%5D")}},
		{name: "backslash", send: get("/a\\..\\b"), want: "400", closed: true},
		{name: "encoded backslash stays data", send: get("/a%5cb"), want: "200|400",
			up: []func(request) string{target("/a%5Cb", "/a%5cb")}},
	}
}

func refusedPathCases() (cases []clientCase) {
	for _, path := range []string{
		"/..", "/../", "/../p", "/a/../../p", "/%2e%2e/p", "/.%2E/p", "/a/%2e%2e/%2e%2e/p",
		"/a/..;/p", "/a/..;x=1/p", "/a/.;/p", "/a/%2e%2e;/p",
		"/..%2fp", "/%2e%2e%2fp", "/a%2f..%2fp", "/a/..%2f..%2fp", "/a%2f%2e%2e%2fp", "/a/..%5cp", "/a%5c..%5cp",
		"/%00", "/a%00b", "/a%0d%0aX:%20y", "/a%0ab", "/a%09b", "/a%1fb", "/a%7fb",
		"/%", "/%4", "/%zz", "/a%2", "/a%2gb", "/%u002e%u002e/p", "/%c0%ae%c0%ae/p", "/%c0%afp",
		"/a#b", "/#", "/a?b#c", "/a\x01b", "/a\x7fb", "/a\x00b", "/a\tb", "/a\rb", "/a\nb", "/a b", "/a?b c", "/a?b\x00c",
	} {
		cases = append(cases, bad("path "+path, get(path)))
	}
	return append(cases,
		okOrBad("an encoded semicolon after dots", get("/a/..%3b/p"), target("/a/..%3b/p", "/a/..%3B/p")),
		bad("target without slash", get("p")),
		bad("target of a query", get("?q=1")),
		bad("target of a dot segment", get("../p")),
		bad("target of a backslash", get("\\p")),
		bad("target of an at sign", get("@{victim}/p")),
		bad("asterisk with GET", get("*")),
		bad("asterisk with a path", lined("OPTIONS */p HTTP/1.1", "Host: {host}")),
		bad("authority form with GET", get("{host}:80")),
		refused("414", "URL over the limit", get("/"+strings.Repeat("a", urlLimit+64))),
		refused("414", "query over the limit", get("/?"+strings.Repeat("a", urlLimit+64))),
		refused("414|431", "URL over every limit", get("/"+strings.Repeat("a", 4*headerLimit))),
		ok("URL within the limit", get("/"+strings.Repeat("a", urlLimit-64)), target("/"+strings.Repeat("a", urlLimit-64))),
		clientCase{name: "many segments", send: get(strings.Repeat("/a", urlLimit/2-32)), want: "200|400"},
		clientCase{name: "many dot-dot segments", send: get(strings.Repeat("/a/..", urlLimit/5-32)), want: "200|400",
			up: []func(request) string{target("/")}},
	)
}

// formCases are absolute-form targets: routing and the upstream's Host go by
// the same authority, whichever of the two the gateway prefers.
func formCases() []clientCase {
	h := "Host: {host}"
	absolute := func(name, uri string, up ...func(request) string) clientCase {
		return ok(name, lined("GET "+uri+" HTTP/1.1", h), append(up, notIn("http://"))...)
	}
	tolerated := func(name, want, uri, host string) clientCase {
		return clientCase{name: name, send: lined("GET "+uri+" HTTP/1.1", "Host: "+host), want: want,
			up: []func(request) string{ownHost, target("/p")}}
	}
	return []clientCase{
		absolute("absolute form", "http://{host}/p?q=1", target("/p?q=1"), ownHost),
		absolute("absolute form in capitals", "HTTP://{host}/p", target("/p"), ownHost),
		absolute("absolute form without path", "http://{host}", target("/")),
		absolute("absolute form with only a query", "http://{host}?q=1", target("/?q=1")),
		absolute("absolute form with dot segments", "http://{host}/a/../p", target("/p")),
		absolute("absolute form with the default port", "http://{host}:80/p", target("/p"), ownHost),
		tolerated("Host with the default port", "200", "http://{host}/p", "{host}:80"),
		tolerated("authority and Host in other spellings", "200", "http://{host}.:80/p", "{HOST}"),
		tolerated("authority and Host with other ports", "400", "http://{host}:8080/p", "{host}"),
		tolerated("absolute form of https", "200|400|404|421", "https://{host}/p", "{host}"),
		tolerated("absolute form of another scheme", "400|404|421|501", "ftp://{host}/p", "{host}"),
		tolerated("authority and Host disagree", "200|400|421", "http://{host}/p", victimHost),
		tolerated("authority with user information", "200|400", "http://user:pw@{host}/p", "{host}"),
		tolerated("authority with another host as user", "200|400", "http://"+victimHost+"@{host}/p", "{host}"),
		refused("400|404", "Host of a tenant, authority of none", lined("GET http://nobody.example/p HTTP/1.1", h)),
		refused("400|404", "absolute form with a bare host as user", lined("GET http://{host}@nobody.example/p HTTP/1.1", h)),
		bad("absolute form without Host field", lined("GET http://{host}/p HTTP/1.1")),
		bad("absolute form with two Hosts", lined("GET http://{host}/p HTTP/1.1", h, h)),
		bad("absolute form without authority", lined("GET http:///p HTTP/1.1", h)),
		bad("absolute form with one slash", lined("GET http:/p HTTP/1.1", h)),
		bad("absolute form with a bad port", lined("GET http://{host}:x/p HTTP/1.1", h)),
		bad("absolute form with a fragment", lined("GET http://{host}/p#f HTTP/1.1", h)),
		bad("absolute form with backslashes", lined("GET http:\\\\{host}\\p HTTP/1.1", h)),
		bad("absolute form with an encoded slash after the host", lined("GET http://{host}%2f@{victim}/p HTTP/1.1", h)),
		bad("absolute form above the root", lined("GET http://{host}/../p HTTP/1.1", h)),
		bad("relative authority", lined("GET :80/p HTTP/1.1", h)),
	}
}

// ownHost demands a Host of the tables' own tenants, never the victim's, and no
// user information.
func ownHost(r request) string {
	host := strings.Join(r.values("Host"), ",")
	if strings.Contains(host, victimHost) || strings.Contains(host, "@") || !strings.HasPrefix(host, "c") {
		return "Host is " + host
	}
	return ""
}
