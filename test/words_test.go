package test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// foreignWords are words of Go's libraries and of the modules, which nobody who
// runs a gateway is to see.
var foreignWords = []string{
	"tls: ", "x509: ", "fasthttp", "goccy", "zerolog", "gopher", "dial tcp", "dial unix", "listen tcp", "listen unix", "openat", "lstat", "open /",
	"stat /", "bind: ", "connect: ", "i/o timeout", "deadline exceeded", "EOF", "strconv", "json: ", "yaml: ", "error parsing regexp", "asn1", "syscall",
	"flag provided", "parse error", "end token", "no such host",
}

// TestWords lets the program fail in each way that it can before it serves, and
// demands words of its own.
func TestWords(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	directory := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(directory, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	empty := file("empty.pem", "")
	file("bad.lua", "chi_route('GET', '/{a:[}', function() end)\n")
	file("syntax.lua", "local = 1\n")
	file("missing.lua", "require 'lib.nothing'\n")
	const tenant = "tenants: [{name: a, path_prefix: /, services: [{url: \"http://127.0.0.1:1\"}]}]\n"
	scripted := func(name string) string {
		return "server: {address: \"127.0.0.1:0\"}\nadmin: {enabled: false}\nlua_routing: {enabled: true, scripts_dir: \"" + directory + "\"}\n" +
			"tenants: [{name: a, path_prefix: /, lua_routes: [" + name + "]}]\n"
	}
	for name, c := range map[string]struct {
		config    string
		arguments []string
		want      string
	}{
		"address in use":     {config: "server: {address: \"" + taken.Addr().String() + "\"}\nadmin: {enabled: false}\n" + tenant, want: taken.Addr().String() + " is in use: another process listens there"},
		"admin in use":       {config: "server: {address: \"127.0.0.1:0\"}\nadmin: {address: \"" + taken.Addr().String() + "\"}\n" + tenant, want: "is in use"},
		"no such address":    {config: "server: {address: \"192.0.2.1:80\"}\nadmin: {enabled: false}\n" + tenant, want: "192.0.2.1:80"},
		"no such directory":  {config: "server: {address: \"unix:" + directory + "/none/x.sock\"}\nadmin: {enabled: false}\n" + tenant, want: "doesn't exist"},
		"no log directory":   {config: "access_log: {output: " + directory + "/none/access.log}\n" + tenant, want: "output"},
		"log is a directory": {config: "access_log: {output: " + directory + "}\n" + tenant, want: "output"},
		"no certificate":     {config: "tls: {enabled: true, cert_file: none.pem, key_file: none.pem}\n" + tenant, want: "there is no such file"},
		"empty certificate":  {config: "tls: {enabled: true, cert_file: " + empty + ", key_file: " + empty + "}\n" + tenant, want: "PEM"},
		"bad URL":            {config: strings.Replace(tenant, "http://127.0.0.1:1", "http://a b:%zz/", 1), want: "url"},
		"bad port":           {config: strings.Replace(tenant, "127.0.0.1:1", "127.0.0.1:x", 1), want: "url"},
		"bad YAML":           {config: "tenants: [\n", want: "expected a comma or ]"},
		"bad route":          {config: scripted("bad.lua"), want: "bad.lua:1"},
		"bad Lua":            {config: scripted("syntax.lua"), want: "syntax.lua:1"},
		"missing module":     {config: scripted("missing.lua"), want: "lib/nothing.lua"},
		"missing script":     {config: scripted("none.lua"), want: "none.lua"},
		"no file":            {arguments: []string{"-config", directory + "/none.yaml"}, want: "there is no such file"},
		"a directory":        {arguments: []string{"-config", directory}, want: "it is a directory"},
		"unknown flag":       {arguments: []string{"-confg", "x"}, want: "unknown flag -confg"},
		"flag without value": {arguments: []string{"-config"}, want: "flag -config has no value"},
		"bad flag":           {arguments: []string{"-strict=perhaps"}, want: "flag -strict can't be \"perhaps\", expected true or false"},
	} {
		t.Run(name, func(t *testing.T) {
			arguments := append([]string{"run"}, c.arguments...)
			if c.config != "" {
				arguments = append(arguments, "-strict", "-config", file(strings.ReplaceAll(name, " ", "-")+".yaml", c.config))
			}
			stdout, stderr, code := runBinary(t, arguments...)
			text := stdout + stderr
			if code == 0 || !strings.Contains(text, c.want) {
				t.Errorf("code %d, want %q in\n%s", code, c.want, text)
			}
			for _, word := range foreignWords {
				if strings.Contains(text, word) {
					t.Errorf("%q is a library's word in\n%s", word, text)
				}
			}
		})
	}
}
