package proxy_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy"
)

// TestRoutesOfScriptsAndConfiguration: a pattern that both have is an error that names
// both places.
func TestRoutesOfScriptsAndConfiguration(t *testing.T) {
	t.Parallel()
	const edge = "local f = function(request, response) response:write('x') end\nchi_route('GET', '/users/{id}', f)\nchi_route('ANY', '/all', f)\n"
	for routes, want := range map[string]string{
		"{path: '/users/{name}', methods: GET, respond: {}}":                               `c.yaml:6:75: edge.lua:2: pattern "/users/{id}" is declared for GET, and c.yaml:6:102 has a route for "/users/{name}"`,
		"{path: '/users/{name}', methods: [POST, GET], respond: {}}":                       `has a route for "/users/{name}"`,
		"{path: /all, methods: PUT, respond: {}}":                                          `edge.lua:3: pattern "/all" is declared for any method`,
		"{path: /x, respond: {}}, {path: [/y, /all], headers: {A: b}, respond: {}}":        `edge.lua:3: pattern "/all"`,
		"{path: '/users/{name}', respond: {}}":                                             "",
		"{path: '/users/{name}', methods: POST, respond: {}}":                              "",
		"{path: '/users/{name:[0-9]+}', methods: GET, respond: {}}":                        "",
		"{path: '/users/*', methods: GET, respond: {}}, {path: /users, redirect: {to: /}}": "",
	} {
		w := newWorkshop(t, "scripts/edge.lua", edge, "c.yaml", tenantsOf("a", "domains: [a.example.com], lua: {timeout: 20s}, lua_routes: [edge.lua], routes: ["+routes+"]"))
		err := w.start()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(strings.Join(w.lines(err.Error()), "\n"), want) {
			t.Errorf("%s:\ngot  %v\nwant %s", routes, err, want)
		}
	}
}

// TestRoutesAreChecked: what is wrong with routes, all at once and by its place.
func TestRoutesAreChecked(t *testing.T) {
	t.Parallel()
	for route, want := range map[string]string{
		"{}":                                                      `routes[0]: the tenant has no services to answer, expected redirect, respond or files`,
		"{files: {root: .}, redirect: {to: /x}}":                  `routes[0]: the route has redirect and files, expected one of them`,
		"{files: {}}":                                             `root`,
		"{files: {root: nowhere}}":                                `root "nowhere" can't be used: there is no such directory`,
		"{files: {root: c.yaml}}":                                 `root "c.yaml" can't be used: it is not a directory`,
		"{files: {root: ., index: a/b}}":                          `index "a/b" can't be served`,
		"{files: {root: ., index: .x}}":                           `index ".x" can't be served`,
		"{files: {root: ., fallback: ../x}}":                      `fallback "../x" can't be served`,
		"{files: {root: ., precompressed: [br, br]}}":             `precompressed has "br"`,
		"{files: {root: ., precompressed: deflate}}":              `precompressed has "deflate"`,
		"{files: {root: .}, methods: POST}":                       `files are there for GET and HEAD`,
		"{files: {root: .}, rewrite: /x}":                         `the route has files, and rewrite`,
		"{respond: {}, redirect: {to: /x}}":                       `routes[0]: the route has redirect and respond, expected one of them`,
		"{path: a, respond: {}}":                                  `routes[0]: pattern "a"`,
		"{path: [], respond: {}}":                                 `path has 0 patterns`,
		"{path: '/a//b', respond: {}}":                            `pattern "/a//b"`,
		"{methods: get, respond: {}}":                             `method "get" is none`,
		"{methods: ANY, respond: {}}":                             `method "ANY" is none: every method`,
		"{methods: ['*'], respond: {}}":                           `method "*" is none: every method`,
		"{methods: TRACE, respond: {}}":                           `method TRACE is answered by no route`,
		"{methods: [], respond: {}}":                              `methods has 0 of them`,
		"{clients: [], respond: {}}":                              `clients names nobody`,
		"{path: '/%40a', respond: {}}":                            `expected the character itself: @`,
		"{path: '/a%2Fb', respond: {}}":                           `as if it were a slash`,
		"{path: '/a;v=1', respond: {}}":                           `";" never matches`,
		"{respond: {headers: {X-A: b, x-a: c}}}":                  `the case of letters apart`,
		"{path: '/{a}', redirect: {to: '/x/../{a}'}}":             `has a dot segment`,
		"{headers: {'a b': x}, respond: {}}":                      `headers: "a b" is not the name of a field`,
		"{headers: {a: ''}, respond: {}}":                         `headers: "a" has the value ""`,
		"{query: {a: ''}, respond: {}}":                           `query: "a" has the value ""`,
		"{cookies: {'a=': x}, respond: {}}":                       `cookies: "a=" is not the name of a cookie`,
		"{clients: 10.0.0.0/33, respond: {}}":                     `is not a network`,
		"{redirect: {to: /a, status: 304}}":                       `status 304 is no redirect's`,
		"{redirect: {to: a}}":                                     `to "a" is neither a path nor a URL`,
		"{redirect: {to: //evil.net}}":                            `is neither a path nor a URL`,
		"{redirect: {to: 'javascript:x'}}":                        `is neither a path nor a URL`,
		"{redirect: {to: ''}}":                                    `is neither a path nor a URL`,
		"{redirect: {to: '/{id}'}}":                               `has {id}, and the route's path has no such parameter`,
		"{path: '/{a}', redirect: {to: '/x/{b}'}}":                `has {b}, and the path "/{a}" has no such parameter`,
		"{path: ['/{a}/x', /y], redirect: {to: '/{a}'}}":          `and the path "/y" has no such parameter`,
		"{path: '/{a}', redirect: {to: 'https://{a}.com/'}}":      `is neither a path nor a URL`,
		"{path: '/{a}', redirect: {to: 'https://x.com{a}'}}":      `is neither a path nor a URL`,
		"{path: '/{a}', redirect: {to: 'https://x.com/{a'}}":      `begins no name`,
		"{path: '/{a}', redirect: {to: 'https://u:p@x.com/{a}'}}": `is neither a path nor a URL`,
		"{path: '/old/*', redirect: {to: '/old/new/{*}'}}":        `is led on, again and again`,
		"{redirect: {to: /x}}":                                    `is led on, again and again`,
		"{respond: {status: 600}}":                                `600`,
		"{respond: {status: 204, body: x}}":                       `status 204 has no content`,
		"{respond: {body: x, file: c.yaml}}":                      `respond has body and file`,
		"{respond: {file: none}}":                                 `file "none" can't be used`,
		"{respond: {headers: {Content-Length: '1'}}}":             `is the gateway's to write`,
		"{respond: {headers: {X: \"a\\r\\nb\"}}}":                 `has the value`,
		"{respond: {}, policies: [{ip: {deny: x}}]}":              `tenant "a", routes[0].policies[0].ip: `,
		"{respond: {}, policies: [{}]}":                           `routes[0].policies[0]: a policy is missing`,
		"{redirect: {to: /x}, path: /y, rewrite: /z}":             `which are for requests that services get`,
		"{rewrite: a}":                                            `rewrite "a" is neither a path`,
		"{rewrite: 'https://a.com/x'}":                            `rewrite "https://a.com/x" is no path`,
		"{rewrite: '/x/{id}'}":                                    `has {id}, and the route's path has no such parameter`,
		"{rewrite: /../x}":                                        `rewrite "/../x"`,
		"{timeouts: {total: 1ms}}":                                `timeout 1ms is out of range`,
		"{respons: {}}":                                           `unknown key "respons"`,
	} {
		w := newWorkshop(t, "scripts/none.lua", "", "c.yaml", tenantsOf("a", "domains: [a.example.com], routes: ["+route+"]"))
		if err := w.start(); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "c.yaml:6:") {
			t.Errorf("%s:\ngot  %v\nwant %s", route, err, want)
		}
	}
}

// TestWarningsOfRoutes: routes that are never taken, and what a catch-all leaves open.
func TestWarningsOfRoutes(t *testing.T) {
	t.Parallel()
	for routes, want := range map[string]string{
		"{path: '/a/*', respond: {}}, {path: /a/b, respond: {}}":                                              `routes[1] is never taken: routes[0] is asked before it`,
		"{respond: {}}, {path: /a, methods: GET, headers: {A: b}, respond: {}}":                               `routes[1] is never taken`,
		"{path: '/{x}/b', methods: [GET, PUT], respond: {}}, {path: /a/b, methods: GET, respond: {}}":         `routes[1] is never taken`,
		"{path: [/b, /a], query: {a: b}, respond: {}}, {path: /a, query: {a: b, c: d}, respond: {}}":          `routes[1] is never taken`,
		"{path: '/a/*', policies: [{ip: {deny: 10.0.0.1}}], respond: {}}":                                     `not /a itself`,
		"{path: /a, policies: [{ip: {deny: 10.0.0.1}}], respond: {}}":                                         `guard /a, and not /a/`,
		"{path: [/a, /a/], policies: [{ip: {deny: 10.0.0.1}}], respond: {}}":                                  "",
		"{path: [/a, /a/], methods: POST, policies: [{cors: {origins: ['https://x.example']}}], respond: {}}": `preflights don't take it`,
		"{path: '/users/:id', respond: {}}":                                                                   `did you mean "/users/{id}"?`,
		"{path: /a/b, respond: {}}, {path: '/a/*', respond: {}}":                                              "",
		"{path: '/a/*', methods: PUT, respond: {}}, {path: /a/b, respond: {}}":                                "",
		"{path: /a, query: {a: c}, respond: {}}, {path: /a, query: {a: b}, respond: {}}":                      "",
		"{path: /a, clients: 10.0.0.1, respond: {}}, {path: /a, respond: {}}":                                 "",
		"{path: [/a, '/a/*'], policies: [{ip: {deny: 10.0.0.1}}], respond: {}}":                               "",
	} {
		w := newWorkshop(t, "scripts/none.lua", "", "c.yaml", tenantsOf("a", "domains: [a.example.com], routes: ["+routes+"]"))
		config, err := proxy.Load(filepath.Join(w.dir, "c.yaml"))
		if err != nil {
			t.Fatalf("%s: %v", routes, err)
		}
		got := strings.Join(config.Warnings(), "\n")
		if want == "" && strings.Contains(got, "routes[") || !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", routes, got, want)
		}
	}
}

// TestRoutesBehindScripts: a route of the configuration that a wider one of a script's
// leaves no request is told; others aren't.
func TestRoutesBehindScripts(t *testing.T) {
	t.Parallel()
	const edge = "local f = function(request, response) response:write('x') end\nchi_route('GET', '/users/*', f)\nchi_route('ANY', '/all/{id}', f)\nchi_route('POST', '/users/{id}', f)\n"
	for routes, want := range map[string]string{
		"{path: /users/7, methods: GET, respond: {}}":                `edge.lua:1: the route "/users/*" takes all requests of that for "/users/7" at c.yaml:6:`,
		"{path: '/users/{id}/x', methods: GET, respond: {}}":         `"/users/{id}/x"`,
		"{path: /users/7, methods: [GET, POST], respond: {}}":        `which is never reached`,
		"{path: [/other, /all/7], respond: {}}":                      `edge.lua:1: the route "/all/{id}" takes all requests of that for "/all/7"`,
		"{path: /all/7, methods: [PUT, GET], respond: {}}":           `edge.lua:1: `,
		"{path: /users/7, respond: {}}":                              "",
		"{path: /users/7, methods: PUT, respond: {}}":                "",
		"{path: /users/7/x, methods: [GET, POST], respond: {}}":      "",
		"{path: /all/7/x, respond: {}}, {path: /users, respond: {}}": "",
		"{path: '/all/*', respond: {}}":                              "",
	} {
		w := newWorkshop(t, "scripts/edge.lua", edge, "c.yaml", tenantsOf("a", "domains: [a.example.com], lua: {timeout: 20s}, lua_routes: [edge.lua], routes: ["+routes+"]"))
		if err := w.start(); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(w.server.Warnings(), "\n"); want != "" && !strings.Contains(got, want) || want == "" && strings.Contains(got, "never reached") {
			t.Errorf("%s:\ngot  %s\nwant %s", routes, got, want)
		}
	}
}

// TestWarningsOfWWW: where a redirect leads to a host that isn't the tenant's.
func TestWarningsOfWWW(t *testing.T) {
	t.Parallel()
	for tenant, want := range map[string]string{
		"domains: [example.com], policies: [{redirect: {www: add}}]":                               `www: add leads requests of example.com to www.example.com, which is none of the domains of tenant "a"`,
		"domains: [www.example.com], policies: [{redirect: {https: true, www: remove}}]":           `www: remove leads requests of www.example.com to example.com`,
		"domains: [example.com], routes: [{respond: {}, policies: [{redirect: {www: add}}]}]":      `leads requests of example.com`,
		"domains: [example.com, WWW.Example.com], policies: [{redirect: {www: add}}]":              "",
		"domains: [example.com, '*.example.com'], policies: [{redirect: {www: add}}]":              "",
		"domains: ['*.example.com'], policies: [{redirect: {www: add}}]":                           "",
		"domains: [127.0.0.1, 'www.example.com'], policies: [{redirect: {www: add}}]":              "",
		"domains: [example.com], policies: [{redirect: {www: remove}}]":                            "",
		"path_prefix: /, policies: [{redirect: {www: add}}]":                                       "",
		"domains: [example.com], policies: [{redirect: {https: true}}]":                            "",
		"domains: [example.com, example.net, www.example.com], policies: [{redirect: {www: add}}]": `leads requests of example.net to www.example.net`,
	} {
		config, err := proxy.Parse("c.yaml", []byte("tenants: [{name: a, "+tenant+", services: [{url: 'http://127.0.0.1:1'}]}]\n"))
		if err != nil {
			t.Fatal(tenant, err)
		}
		if got := strings.Join(config.Warnings(), "\n"); want != "" && !strings.Contains(got, want) || want == "" && strings.Contains(got, "leads requests") {
			t.Errorf("%s:\ngot  %s\nwant %s", tenant, got, want)
		}
	}
}
