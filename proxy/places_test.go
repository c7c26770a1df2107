package proxy_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
)

// TestMistakesHavePlaces: what is wrong is told of where the one of two keys stands
// that was written, and at the one entry of a list. "@" is the place, which is taken away.
func TestMistakesHavePlaces(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{"server: {address: @'127.0.0.1:9090'}", `"127.0.0.1:9090" is that of the admin API too`},
		{"server: {port: @'9090'}", `is that of the admin API too`},
		{"listeners: [{address: '127.0.0.1:1'}, {address: @'127.0.0.1:9090'}]", `is that of the admin API too`},
		{"admin: {address: @'127.0.0.1:9091'}\nserver: {address: '127.0.0.1:9091'}", "is that of a listener too"},
		{"admin: {address: @'127.0.0.1:9091'}\nserver: {port: '9091'}", "is that of a listener too"},
		{"admin: {address: @'127.0.0.1:8080'}", "is that of a listener too"},
		{"admin: {address: @'127.0.0.1:9091'}\nlisteners: [{address: ':9091'}]", `":9091", which leaves no room for it`},
		{"client_tls: {client_auth: request, ca_files: [@none.pem]}", "none.pem"},
		{"client_tls: {client_auth: request, ca_files: [other.pem, @none.pem]}", "none.pem"},
		{"client_tls: {client_auth: request, ca_files: [@other.pem]}", "other.pem"},
		{"listeners: [{address: '127.0.0.1:1'}, {address: @'127.0.0.1:1'}]", "that of another listener too"},
		{"server: {port: @'0'}", "is not a port"},
		{"tenants: [{name: a, domains: [a.example], services: [{url: 'http://127.0.0.1:1'}, {url: @'http://127.0.0.1:8080'}]}]", "is the gateway's own address"},
		{"server: {address: '127.0.0.1:9999'}\ntenants: [{name: a, domains: [a.example], services: [{url: @'http://127.0.0.1:9999'}]}]", "is the gateway's own address"},
		{"listeners: [{address: 'unix:/tmp/none.sock'}]\ntenants: [{name: a, domains: [a.example], services: [{url: @'unix:/tmp/none.sock'}]}]", "is the gateway's own address"},
		{"tenants: [{name: a, domains: [a.example], services: [{url: 'http://127.0.0.1:1', tls: @{server_name: x}}]}]", "which doesn't speak it"},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "other.pem"), []byte("nothing\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		text := strings.Replace(c.text, "@", "", 1)
		before := c.text[:strings.IndexByte(c.text, '@')]
		place := fmt.Sprintf("%d:%d", strings.Count(before, "\n")+1, len(before)-strings.LastIndexByte(before, '\n'))
		_, err := proxy.Parse(filepath.Join(dir, "c.yaml"), []byte(text))
		list, _ := errors.AsType[settings.Errors](err)
		found := false
		for _, e := range list {
			found = found || fmt.Sprintf("%d:%d", e.Line, e.Column) == place && strings.Contains(e.Error(), c.want)
		}
		if !found {
			t.Errorf("%s\nexpected %s at %s, got %v", text, c.want, place, err)
		}
	}
}
