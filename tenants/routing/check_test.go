package routing_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants/routing"
)

// complaints are what a check reports.
type complaints []string

func (c *complaints) Errorf(_ any, format string, args ...any) {
	*c = append(*c, fmt.Sprintf(format, args...))
}

// decode reads routes as a configuration has them, an element a text.
func decode(t *testing.T, list ...string) []*routing.Config {
	t.Helper()
	var s struct {
		Routes []routing.Config `yaml:"routes"`
	}
	text := "routes:\n"
	for _, one := range list {
		text += "- " + one + "\n"
	}
	if err := settings.Decode("c.yaml", []byte(text), &s, nil).Err(); err != nil {
		t.Fatalf("%s%v", text, err)
	}
	configs := make([]*routing.Config, len(s.Routes))
	for i := range configs {
		configs[i] = &s.Routes[i]
	}
	return configs
}

// numbered is so many elements of a map or list, in braces.
func numbered(n int, format string) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(format, i)
	}
	return strings.Join(list, ", ")
}

// TestRoutesToTheLast: what a route may say, and what is said of what it may not.
func TestRoutesToTheLast(t *testing.T) {
	t.Parallel()
	of := func(n int) string { return strings.Repeat("x", n) }
	const nowhere = " is neither a path nor a URL, expected one like /new or https://example.com/new, with captures in path or query only"
	for _, c := range [][2]string{ // "" is nothing
		{"{}", ""}, {"{path: /a}", ""}, {"{path: []}", "path has 0 patterns, expected 1 to 32"}, {"{path: [" + numbered(32, "/a%d") + "]}", ""}, {"{path: [" + numbered(33, "/a%d") + "]}", "path has 33 patterns, expected 1 to 32"},
		{"{path: '/{'}", `pattern "/{"`},
		{"{methods: GET}", ""}, {"{methods: [GET, PURGE, M-SEARCH]}", ""}, {"{methods: []}", "methods has 0 of them, expected 1 to 32; every method is what holds without the key"},
		{"{methods: [" + strings.ToUpper(numbered(32, "M%d")) + "]}", ""}, {"{methods: [" + strings.ToUpper(numbered(33, "M%d")) + "]}", "methods has 33 of them, expected 1 to 32"},
		{"{methods: ANY}", `method "ANY" is none: every method is what holds without the key methods`}, {"{methods: '*'}", `method "*" is none`},
		{"{methods: TRACE}", "method TRACE is answered by no route: the gateway refuses it"}, {"{methods: CONNECT}", "method CONNECT is answered by no route"},
		{"{methods: get}", `method "get" is none, expected an upper-case word such as GET`}, {"{methods: ''}", `method "" is none`}, {"{methods: 'A B'}", `method "A B" is none`},
		{"{methods: " + strings.Repeat("M", 32) + "}", ""}, {"{methods: " + strings.Repeat("M", 33) + "}", `method "` + strings.Repeat("M", 33) + `" is none`},
		{"{headers: {X-A: '*'}}", ""}, {"{headers: {'a b': x}}", `headers: "a b" is not the name of a field, expected one like X-Version`}, {"{query: {'a b': x}}", ""}, {"{cookies: {'a b': x}}", `cookies: "a b" is not the name of a cookie, expected one like session`},
		{"{query: {'': x}}", `query: "" is not the name of a parameter, expected one of 1 to 64 bytes`},
		{"{query: {" + of(64) + ": x}}", ""}, {"{query: {" + of(65) + ": x}}", `query: "` + of(64) + `" is not the name of a parameter`},
		{"{query: {a: " + of(256) + "}}", ""}, {"{query: {a: " + of(257) + "}}", `query: "a" has the value "` + of(100) + `", expected a text of 1 to 256 bytes with at most 8 "*"; "*" alone is any value`},
		{"{query: {a: ''}}", `query: "a" has the value "", expected a text`}, {"{headers: {A: '" + strings.Repeat("*x", 8) + "'}}", ""}, {"{headers: {A: '" + strings.Repeat("*x", 9) + "'}}", `headers: "A" has the value`},
		{"{query: {" + numbered(32, "a%d: x") + "}}", ""}, {"{query: {" + numbered(33, "a%d: x") + "}}", "query has 33 conditions, expected at most 32"},
		{"{clients: [10.0.0.0/8, '2001:db8::/32', 192.0.2.7, unix]}", ""}, {"{clients: []}", "clients names nobody, expected a network"}, {"{clients: nobody}", `"nobody" is not a network, expected one like 10.0.0.0/8`},
		{"{redirect: {to: /x}, respond: {}}", "the route has redirect and respond, expected one of them\nto \"/x\" is led on"},
		{"{path: /a, redirect: {to: /x, status: 301}}", ""}, {"{path: /a, redirect: {to: /x, status: 308}}", ""}, {"{path: /a, redirect: {to: /x, status: 304}}", "status 304 is no redirect's, expected 301, 302, 303, 307 or 308"}, {"{path: /a, redirect: {to: /x, status: 200}}", "status 200 is no redirect's"},
		{"{path: /a, redirect: {to: /x, status: 302}}", ""}, {"{path: /a, redirect: {to: /x, status: 303}}", ""}, {"{path: /a, redirect: {to: /x, status: 307}}", ""}, {"{path: /a, redirect: {to: /x, status: 306}}", "status 306"},
		{"{path: /a, redirect: {to: /x}, rewrite: /y}", "the route has redirect, and rewrite, max_body_size or timeouts, which are for requests that services get"},
		{"{path: /a, redirect: {to: /x}, max_body_size: 1}", "the route has redirect, and rewrite"}, {"{path: /a, respond: {}, timeouts: {idle: 1s}}", "the route has respond, and rewrite"}, {"{path: /a, rewrite: /y, max_body_size: 1, timeouts: {idle: 1s}}", ""},
		{"{files: {root: x}}", ""}, {"{methods: [POST, GET], files: {root: x}}", ""}, {"{methods: POST, files: {root: x}}", "files are there for GET and HEAD, expected GET among the methods"}, {"{files: {root: x}, respond: {}}", "the route has respond and files, expected one of them"}, {"{files: {root: x}, rewrite: /y}", "the route has files, and rewrite"},
		{"{max_body_size: 1024TiB}", ""}, {"{max_body_size: 1125899906842625}", "max_body_size 1125899906842625B is out of range, expected 0 to 1024TiB"},
		{"{timeouts: {idle: 10ms, total: 24h, response_header: 0}}", ""}, {"{timeouts: {idle: 9ms}}", "timeout 9ms is out of range, expected 10ms to 24h, or 0 for the tenant's"}, {"{timeouts: {total: 86401s}}", "timeout 24h0m1s is out of range"}, {"{timeouts: {response_header: 1ms}}", "timeout 1ms is out of range"},
		// Where redirects and rewritten paths lead.
		{"{path: '/a/{id}/*', redirect: {to: '/x/{id}?q={*}#f'}}", ""}, {"{path: /a, redirect: {to: 'https://example.com'}}", ""}, {"{path: '/a/*', redirect: {to: 'http://example.com:8080/{*}'}}", ""}, {"{path: /a, redirect: {to: 'https://example.com?x'}}", ""},
		{"{path: /a, redirect: {to: ''}}", `to ""` + nowhere}, {"{path: /a, redirect: {to: x}}", `to "x"` + nowhere}, {"{path: /a, redirect: {to: '//example.com/'}}", `to "//example.com/"` + nowhere}, {"{path: /a, redirect: {to: 'ftp://example.com/'}}", nowhere},
		{"{path: /a, redirect: {to: 'https://a@example.com/'}}", nowhere}, {"{path: /a, redirect: {to: 'https:///x'}}", nowhere}, {"{path: /a, redirect: {to: 'https://example.com:x/'}}", nowhere}, {"{path: /a, redirect: {to: '/a b'}}", nowhere}, {"{path: /a, redirect: {to: '/é'}}", nowhere}, {"{path: /a, redirect: {to: '/a#b c'}}", nowhere},
		{"{path: '/{h}', redirect: {to: 'https://{h}/'}}", nowhere}, {"{path: '/{h}', redirect: {to: 'https://a{h}/'}}", nowhere}, {"{path: '/{h}', redirect: {to: 'https://example.com{h}'}}", nowhere}, {"{path: '/{h}', redirect: {to: 'https://example.com/{h}'}}", ""}, {"{path: '/{h}', redirect: {to: 'https://example.com?{h}'}}", ""}, {"{path: '/{h}', redirect: {to: '/x#{h}'}}", nowhere},
		{"{path: /a, redirect: {to: '/x/{id}'}}", `to "/x/{id}" has {id}, and the path "/a" has no such parameter, expected one of []`}, {"{redirect: {to: '/x/{id}'}}", `to "/x/{id}" has {id}, and the route's path has no such parameter, expected one like /old/{id}`},
		{"{path: ['/{id}', '/{x}'], redirect: {to: '/x/{id}'}}", `the path "/{x}" has no such parameter, expected one of ["x"]`}, {"{path: '/{id}', redirect: {to: '/x/{id'}}", `has a "{" that begins no name, expected one like {id}, or {*}`}, {"{path: '/{id}', redirect: {to: '/x/{}'}}", `has a "{" that begins no name`},
		{"{path: /a, redirect: {to: /" + of(4095) + "}}", ""}, {"{path: /a, redirect: {to: /" + of(4096) + "}}", "is 4097 bytes long, expected at most 4096"}, {"{path: /a, redirect: {to: /x/../y}}", "has a dot segment, expected a path without"},
		{"{path: '/a{x}', redirect: {to: '/" + strings.Repeat("{x}", 16) + "'}}", ""}, {"{path: '/a{x}', redirect: {to: '/" + strings.Repeat("{x}", 17) + "'}}", "has more than 16 captures"},
		{"{redirect: {to: /x}}", `to "/x" is led on, again and again: it is itself one of the route's paths, expected another`}, {"{path: '/a/*', redirect: {to: /a/b}}", "is led on"}, {"{path: ['/b', '/a/{x}'], redirect: {to: '/a/b?c'}}", "is led on"}, {"{path: '/a/*', redirect: {to: /b}}", ""},
		{"{path: '/a/*', methods: POST, redirect: {to: /a/b}}", ""}, {"{path: '/a/*', headers: {A: b}, redirect: {to: /a/b}}", ""}, {"{path: '/a/*', query: {A: b}, redirect: {to: /a/b}}", ""}, {"{path: '/a/*', cookies: {A: b}, redirect: {to: /a/b}}", ""}, {"{path: '/a/*', clients: unix, redirect: {to: /a/b}}", ""}, {"{path: '/a/*', redirect: {to: 'https://example.com/a/b'}}", ""},
		{"{path: /a, redirect: {to: '/x%00'}}", `to "/x%00" has no canonical path: `},
		{"{path: '/a/*', rewrite: '/b/{*}?c'}", ""}, {"{rewrite: 'https://example.com/'}", `rewrite "https://example.com/" is no path, expected one like /new/{*}`}, {"{rewrite: '/x#y'}", "is no path"}, {"{rewrite: x}", `rewrite "x"` + nowhere}, {"{rewrite: '/x%00'}", `rewrite "/x%00" `},
		// Answers.
		{"{respond: {status: 200}}", ""}, {"{respond: {status: 599}}", ""}, {"{respond: {status: 199}}", "status 199 is out of range, expected 200 to 599"}, {"{respond: {status: 600}}", "status 600 is out of range"},
		{"{respond: {body: x, file: y}}", "respond has body and file, expected one of them"}, {"{respond: {body: " + of(1<<20) + "}}", ""}, {"{respond: {body: " + of(1<<20+1) + "}}", "body of 1048577 bytes is too long, expected at most 1048576"},
		{"{respond: {status: 204}}", ""}, {"{respond: {status: 204, body: x}}", "status 204 has no content, expected neither body nor file with it"}, {"{respond: {status: 205, file: x}}", "status 205 has no content"}, {"{respond: {status: 304, body: x}}", "status 304 has no content"}, {"{respond: {status: 206, body: x}}", ""},
		{"{respond: {content_type: " + of(256) + "}}", ""}, {"{respond: {content_type: " + of(257) + "}}", "content_type \"" + of(100) + "\" is none, expected one like text/html"}, {"{respond: {content_type: \"a\\nb\"}}", "is none"}, {"{respond: {content_type: ' a'}}", "is none"},
		{"{respond: {headers: {" + numbered(32, "A%d: x") + "}}}", ""}, {"{respond: {headers: {" + numbered(33, "A%d: x") + "}}}", "33 fields are too many, expected at most 32"}, {"{respond: {headers: {X-A: x, x-a: y}}}", `field "x-a" is "X-A", the case of letters apart, expected one of them`},
		{"{respond: {headers: {" + of(128) + ": x}}}", ""}, {"{respond: {headers: {" + of(129) + ": x}}}", `"` + of(64) + `" is not the name of a field, expected one like X-Frame-Options`}, {"{respond: {headers: {'a b': x}}}", `"a b" is not the name of a field`},
		{"{respond: {headers: {Connection: x}}}", `field "Connection" is the gateway's to write, expected others`}, {"{respond: {headers: {dAte: x}}}", `field "dAte" is the gateway's to write`}, {"{respond: {headers: {Content-Length: '5'}}}", "is the gateway's to write"}, {"{respond: {headers: {X-Gateway-Error: x}}}", "is the gateway's to write"},
		{"{respond: {headers: {A: " + of(4096) + ", B: ''}}}", ""}, {"{respond: {headers: {A: " + of(4097) + "}}}", `field "A" has the value "` + of(100) + `", expected one line of at most 4096 bytes without white space at its ends`}, {"{respond: {headers: {A: \"a\\nb\"}}}", `field "A" has the value`}, {"{respond: {headers: {A: 'a '}}}", `field "A" has the value`},
	} {
		var found complaints
		decode(t, c[0])[0].Check(&found)
		got := strings.Join(found, "\n")
		if (got == "") != (c[1] == "") || !strings.Contains(got, c[1]) || strings.Count(got, "\n") != strings.Count(c[1], "\n") {
			t.Errorf("%.200s\ngives    %.400q\nexpected %.400q", c[0], got, c[1])
		}
	}
}

// TestAnswers: status, fields and content of what is answered.
func TestAnswers(t *testing.T) {
	t.Parallel()
	for section, want := range map[string]string{
		"{}": "200 ", "{status: 503, headers: {B: '2', A: '1'}}": "503 A: 1, B: 2, ", "{body: text}": "200 Content-Type: text/plain; charset=utf-8, text", "{body: <p>}": "200 Content-Type: text/html; charset=utf-8, <p>",
		"{body: x, content_type: a/b}": "200 Content-Type: a/b, x", "{content_type: a/b}": "200 ", "{body: x, headers: {content-type: c/d}}": "200 content-type: c/d, x", "{body: x, content_type: a/b, headers: {content-type: c/d}}": "200 Content-Type: a/b, x",
		"{file: page.html}": "200 Content-Type: text/html; charset=utf-8, <h1>", "{file: empty}": "200 ",
	} {
		config := decode(t, "{respond: "+section+"}")[0]
		var found complaints
		config.Load(func(path string, limit int64) ([]byte, error) {
			if limit != 1<<20 {
				t.Errorf("it may have %d bytes", limit)
			}
			return map[string][]byte{"page.html": []byte("<h1>")}[path], nil
		}, nil, &found)
		answer := routing.New(config, "routes[1]", nil, nil).Answer
		got := fmt.Sprint(answer.Status, " ")
		for _, f := range answer.Header {
			got += fmt.Sprintf("%s: %s, ", f.Name, f.Value)
		}
		if got += string(answer.Body); got != want || len(found) > 0 {
			t.Errorf("%s: %q, %q, want %q", section, got, found, want)
		}
	}
	config := decode(t, "{respond: {file: gone}}", "{path: /x}")
	var found complaints
	for _, c := range config {
		c.Load(func(string, int64) ([]byte, error) { return nil, errors.New("it is gone") }, nil, &found)
	}
	if len(found) != 1 || found[0] != `file "gone" can't be used: it is gone` {
		t.Errorf("got %q", found)
	}
}

// TestWarningsOfRoutes: what is allowed and seldom meant.
func TestWarningsOfRoutes(t *testing.T) {
	t.Parallel()
	guard := func(path string) string {
		return fmt.Sprintf("the route's policies guard %s, and not %s/, which no route is for: expected path: [%s, %s/], or strip_slashes", path, path, path, path)
	}
	below := func(root string) string {
		return fmt.Sprintf("the route's policies guard what is below %s, and not %s itself, which no route is for: expected path: [%s, %s/*]", root, root, root, root)
	}
	for _, c := range []struct {
		route    string
		others   []string
		policies int
		slashes  bool
		want     string
	}{
		{"{path: '/users/:id'}", nil, 0, true, `the path "/users/:id" matches just that text: did you mean "/users/{id}"?`},
		{"{path: '/users/{id}'}", nil, 0, true, ""}, {"{path: /a}", nil, 1, true, guard("/a")}, {"{path: /a}", nil, 1, false, ""}, {"{path: [/a, /a/]}", nil, 1, true, ""}, {"{path: /a/}", nil, 1, true, ""}, {"{}", nil, 1, true, ""},
		{"{path: /a}", []string{"{path: /a/}"}, 1, true, ""}, {"{path: /a}", []string{"{path: '/a/*'}"}, 1, true, ""}, {"{path: /a}", []string{"{path: '/*'}"}, 1, true, ""}, {"{path: /a}", []string{"{}"}, 1, true, ""}, {"{path: /a}", []string{"{path: /b/}"}, 1, true, guard("/a")},
		{"{path: '/a/*'}", nil, 1, true, below("/a")}, {"{path: '/a/*'}", nil, 1, false, below("/a")}, {"{path: '/a/*'}", nil, 0, true, ""}, {"{path: [/a, '/a/*']}", nil, 1, true, ""}, {"{path: '/a/*'}", []string{"{path: /a}"}, 1, true, ""}, {"{path: '/*'}", nil, 1, true, ""}, {"{path: '/a*'}", nil, 1, true, ""},
		{"{path: /a, methods: GET}", nil, 1, true, guard("/a")}, {"{path: /a, methods: POST}", nil, 1, true, ""}, {"{path: [/a, '/b/*']}", nil, 2, true, guard("/a") + "\n" + below("/b")},
	} {
		list := decode(t, append([]string{c.route}, c.others...)...)
		var found complaints
		list[0].Warn(c.policies, c.slashes, list, found.Errorf)
		if got := strings.Join(found, "\n"); got != c.want {
			t.Errorf("%s beside %q: %q, want %q", c.route, c.others, got, c.want)
		}
	}
}

// TestUnreachable: of two routes, the second is never taken if the first matches all that
// it does.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		first, second string
		shadowed      bool
	}{
		{"{}", "{}", true}, {"{}", "{path: /a}", true}, {"{path: /a}", "{}", false}, {"{path: /a}", "{path: /a}", true}, {"{path: /a}", "{path: /b}", false}, {"{path: '/{x}'}", "{path: /b}", true}, {"{path: /b}", "{path: '/{x}'}", false},
		{"{path: [/a, /b]}", "{path: /b}", true}, {"{path: [/a, /b]}", "{path: [/b, /a]}", true}, {"{path: [/a, /b]}", "{path: [/b, /c]}", false},
		{"{methods: GET}", "{methods: GET}", true}, {"{methods: GET}", "{methods: HEAD}", true}, {"{methods: HEAD}", "{methods: GET}", false}, {"{methods: [GET, POST]}", "{methods: POST}", true}, {"{methods: POST}", "{methods: [GET, POST]}", false}, {"{methods: GET}", "{}", false}, {"{}", "{methods: GET}", true},
		{"{clients: 10.0.0.0/8}", "{clients: 10.0.0.0/8}", true}, {"{clients: 10.0.0.0/8}", "{clients: 11.0.0.0/8}", false}, {"{clients: 10.0.0.0/8}", "{}", false}, {"{}", "{clients: 10.0.0.0/8}", true},
		{"{headers: {A: b}}", "{headers: {A: b}}", true}, {"{headers: {A: b}}", "{headers: {A: c}}", false}, {"{headers: {A: b}}", "{}", false}, {"{headers: {A: b}}", "{headers: {A: b, C: d}}", true}, {"{headers: {A: b, C: d}}", "{headers: {A: b}}", false},
		{"{query: {a: b}}", "{}", false}, {"{query: {a: b}}", "{query: {a: b}}", true}, {"{cookies: {a: b}}", "{}", false}, {"{cookies: {a: b}}", "{cookies: {a: b}}", true},
	} {
		found := routing.Unreachable(decode(t, "{path: /other}", c.first, c.second))
		own := []routing.Shadow{}
		for _, s := range found {
			if s.By != 0 && s.Index != 0 {
				own = append(own, s)
			}
		}
		if (len(own) == 1) != c.shadowed || c.shadowed && own[0] != (routing.Shadow{Index: 2, By: 1}) {
			t.Errorf("%s before %s: %+v", c.first, c.second, found)
		}
	}
	if found := routing.Unreachable(decode(t, "{}", "{}", "{}")); len(found) != 2 || found[1] != (routing.Shadow{Index: 2, By: 0}) {
		t.Errorf("each is found once: %+v", found)
	}
}
