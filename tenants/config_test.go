package tenants_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// section is the part of the configuration that holds the tenants.
type section struct {
	Tenants []tenants.Config `yaml:"tenants"`
}

const good = "services: [{url: 'http://127.0.0.1:1'}]"

// check decodes the tenants, given one a line in flow style, and returns every
// error.
func check(lines ...string) (section, error) {
	var s section
	src := "tenants:\n"
	for _, line := range lines {
		src += "- {" + line + "}\n"
	}
	doc := settings.Decode("c.yaml", []byte(src), &s, func(string) (string, bool) { return "", false })
	tenants.CheckAll(s.Tenants, doc, nil)
	tenants.CheckMatches(s.Tenants, doc)
	return s, doc.Err()
}

func TestConfigDefaults(t *testing.T) {
	s, err := check("name: shop.v1_2-b, domains: [a.com, '*.a.com', localhost, '[::1]', 10.0.0.1], "+good,
		"name: x, path_prefix: /x, health_interval: 30, strip_prefix: true, preserve_host: false, "+good,
		"name: lua, domains: ['*.localhost'], path_prefix: /y, lua_routes: [a.lua], health_interval: 5, health: {interval: 5s}")
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{
		"host-based true false 0s 2s 1024",
		"path-based false true 30s 2s 1024",
		"hybrid true false 5s 2s 1024",
	} {
		c := &s.Tenants[i]
		got := fmt.Sprint(c.Routing(), " ", c.PreserveHost, " ", c.StripPrefix, " ", c.Probes().Interval, " ",
			c.Timeouts.Connect, " ", c.Connections.MaxPerTarget)
		if got != want {
			t.Errorf("tenant %s: got %s, expected %s", c.Name, got, want)
		}
	}
}

func TestConfigCheck(t *testing.T) {
	for _, c := range []struct {
		tenants []string
		want    string // after "c.yaml:"
	}{
		{[]string{"domains: [a.com], " + good}, "2:3: tenant without a name"},
		{[]string{"domains: [a.com], name: a/b, " + good}, `2:28: tenant name "a/b" has a character other than`},
		{[]string{"domains: [a.com], name: .., " + good}, `2:28: tenant name ".." is a dot segment`},
		{[]string{"domains: [a.com], name: " + strings.Repeat("x", 65) + ", " + good}, "2:28: tenant name of 65 bytes is too long, expected at most 64"},
		{[]string{"name: x, " + good}, `2:3: tenant "x" has neither domains nor path_prefix`},
		{[]string{"name: x, domains: [a.com]"}, `2:3: tenant "x" has neither services nor lua_routes`},
		{[]string{"name: x, domains: [a.com], lua_routes: ['']"}, "2:44: script name is empty"},
		{[]string{"name: x, domains: [a.com, app, 'b.com:80'], " + good}, `2:30: domain "app" has no dot, expected a full name such as app.example.com`},
		{[]string{"name: x, domains: [a.com, app, 'b.com:80'], " + good}, `2:35: domain "b.com:80" has a port`},
		{[]string{"name: x, domains: [a.com, A.com.], " + good}, `2:30: tenant "x" has the same match as tenant "x" (host "a.com" and any path)`},
		{[]string{"name: x, path_prefix: api, " + good}, `2:26: path prefix "api" doesn't begin with a slash, expected a path such as /api`},
		{[]string{"name: x, domains: [a.com/b], " + good}, `2:23: domain "a.com/b" has a path, expected a name such as example.com: path_prefix is`},
		{[]string{"name: x, path_prefix: '/a;b', " + good}, `2:26: path prefix "/a;b" has a query or a parameter`},
		{[]string{"name: x, domains: [a.com], strip_prefix: true, " + good}, "2:45: strip_prefix is set without path_prefix"},
		{[]string{"name: x, domains: [a.com], health_interval: 5, health: {interval: 6s}, " + good}, "2:48: health_interval is 5s but health.interval is 6s"},
		{[]string{"name: x, domains: [a.com], health_interval: 10ms, " + good}, "2:48: interval 10ms is too short"},
		{[]string{"name: x, domains: [a.com], health: {interval: 10ms}, " + good}, "2:50: interval 10ms is too short"},
		{[]string{"name: x, domains: [a.com], timeouts: {idle: 0}, " + good}, "2:48: idle 0s is not positive"},
		{[]string{"name: x, domains: [a.com], connections: {max_per_target: 0}, " + good}, "2:61: max_per_target 0 is out of range"},
		{[]string{"name: x, domains: [a.com], services: [{url: 'ftp://b'}]"}, "2:48: url"},
		{[]string{"name: x, domains: [a.com], " + good, "name: x, domains: [b.com], " + good}, `3:10: tenant name "x" is already taken`},
		{[]string{"name: x, domains: [a.com], " + good, "name: y, domains: [b.com, a.com], " + good}, `3:30: tenant "y" has the same match as tenant "x" (host "a.com" and any path)`},
		{[]string{"name: x, path_prefix: /a, " + good, "name: y, path_prefix: /b/../%61/, " + good}, `3:26: tenant "y" has the same match as tenant "x" (any host and path prefix "/a")`},
		{[]string{"name: x, domains: [a.com], expect: refuse, " + good}, `2:39: tenants[0].expect: expected one of answer, forward`},
		{[]string{"name: x, domains: [a.com], normalize_path: {merge: false}, " + good}, `2:48: unknown key "merge"`},
		{[]string{"name: x, domains: [a.com], domans: [b.com], " + good}, `2:31: unknown key "domans"`},
	} {
		_, err := check(c.tenants...)
		if err == nil || !strings.Contains("\n"+err.Error(), "\nc.yaml:"+c.want) {
			t.Errorf("%q:\ngot      %v\nexpected c.yaml:%s", c.tenants, err, c.want)
		}
	}
}

// TestConfigIsDocumented demands a comment on every key.
func TestConfigIsDocumented(t *testing.T) {
	below, err := os.ReadFile("../upstream/config.go")
	if err != nil {
		t.Fatal(err)
	}
	var c tenants.Config
	c.SetDefaults()
	if _, err := settings.Markdown(&c, append(append(tenants.Sources(), lua.Source(), string(below)), upstream.ResilienceSources()...)); err != nil {
		t.Error(err)
	}
}

// TestEncodings: what is offered to clients is known, and named once.
func TestEncodings(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]string{
		"[]":           "encodings is empty, expected some of zstd, br and gzip",
		"[brotli]":     `encodings has "brotli", expected zstd, br or gzip`,
		"[gzip, gzip]": `encodings has "gzip" twice, expected it once`,
		"gzip":         "",
		"[br, zstd]":   "",
	} {
		var s struct {
			Compression tenants.CompressionConfig `yaml:"compression"`
		}
		s.Compression = tenants.DefaultCompression()
		doc := settings.Decode("c.yaml", []byte("compression: {encodings: "+list+"}"), &s, nil)
		s.Compression.Check(doc)
		if err := doc.Err(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", list, err, want)
		}
	}
}
