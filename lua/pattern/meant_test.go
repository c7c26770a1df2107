package pattern_test

import (
	"testing"

	"github.com/keystone-gateway/keystone-gateway/lua/pattern"
)

func TestMeant(t *testing.T) {
	for written, want := range map[string]string{
		"/users/:id": "/users/{id}", "/a/:b/c/:d": "/a/{b}/c/{d}", "/u/:id.json": "/u/{id}.json", "/u/:id?": "/u/{id}", `/u/:id(\d+)`: `/u/{id:\d+}`,
		"/files/*path": "/files/*", "/files/*path/x": "/files/{path}/x", "/files/**": "/files/*", "/files/:path*": "/files/*", "/a/*/b": "/a/{name}/b",
		"/u/<id>": "/u/{id}", "/u/<int:id>": "/u/{id:[0-9]+}", "/u/<path:rest>": "/u/*", "/u/<slug:s>/x": "/u/{s}/x",
		"/u/{id:}": "/u/{id}", "/u/{id?}": "/u/{id}", "/u/{:id}": "/u/{id}", "/u/{ id }": "/u/{id}", "/u/{{id}}": "/u/{id}", "/u/${id}": "/u/{id}",
		"/u/{id:int}": "/u/{id:[0-9]+}", "/u/{id:string}": "/u/{id}", "/u/{path...}": "/u/*", "/u/{path*}": "/u/*", "/u/{*path}": "/u/*",
		"/u/[id]": "/u/{id}", "/u/[...rest]": "/u/*", "/u/.*": "/u/*", "/u/(.*)": "/u/*", "/u/.+": "/u/*", `/u/\d+`: "/u/{id:[0-9]+}", "/u/(%d+)": "/u/{id:[0-9]+}",
		"/u/[0-9]+": "/u/{id:[0-9]+}", "/u/([^/]+)/x": "/u/{name}/x", "/u/[^/]+": "/u/{name}", "/u/(%w+)": "/u/{name}", "^/u/x$": "/u/x", "u/x": "/u/x",
		"http://example.com/u": "/u", "/u?x=1": "/u", "/u/#top": "/u/", "/u//x": "/u/x",

		"/users/{id}": "", "/users/{id:[0-9]+}": "", "/files/*": "", "/": "", "/odata/$metadata": "", "/v1/jobs/7:cancel": "", "/.well-known/x": "", "/a/(b)": "",
		"/u/{year}-{month}": "", "/{name}.json": "", "/u/~ada": "", "/u/@ada": "", "/a b": "", "/u/{id": "", "": "", "/u/{id:[a-z]+}": "",
		"/u/{id:[^/]+}": "", "/u/{id:[^/]{3}[^/]+}/x": "", "/u/{id:([^/]+)}.json": "", "/{a}/[^/]+": "/{a}/{name}", "/{a:[^/]+}/:b": "/{a:[^/]+}/{b}",
	} {
		if got := pattern.Meant(written); got != want {
			t.Errorf("%s: %q, expected %q", written, got, want)
		}
	}
}
