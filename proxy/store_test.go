package proxy_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"

	"github.com/keystone-gateway/keystone-gateway/proxy"
	"github.com/keystone-gateway/keystone-gateway/tenants/store/redis/redistest"
	"github.com/keystone-gateway/keystone-gateway/test/until"
)

// storeLine is the section of a store, whose time-out can't pass by itself.
func storeLine(address string) string {
	return fmt.Sprintf("store: {redis: {address: %q, timeout: 5s, local_share: 0}}\n", address)
}

// limitsIn are tenants that are called as their limits' on_store_error.
func limitsIn(up string) string {
	text := "access_log: {enabled: false}\nserver: {address: '127.0.0.1:0'}\ntenants:\n"
	for _, name := range []string{"local", "open", "closed", "alone"} {
		more := "on_store_error: " + name
		if name == "alone" {
			more = "store: local"
		}
		text += fmt.Sprintf("  - {name: %s, domains: [%[1]s.example.com], policies: [{rate_limit: {rate: 4/h, %s}}], services: [{url: 'http://%s'}]}\n", name, more, up)
	}
	return text
}

// statusesOf asks each server in turn, and returns the statuses.
func statusesOf(t *testing.T, host string, times int, servers ...*proxy.Server) string {
	t.Helper()
	var got []string
	for i := range times {
		answer, _ := askRaw(t, servers[i%len(servers)].Addr().String(), "GET / HTTP/1.1\r\nHost: "+host+".example.com\r\n\r\n")
		text := fmt.Sprint(answer.StatusCode)
		if code := answer.Header.Get("X-Gateway-Error"); code != "" {
			text += code
		}
		got = append(got, text)
	}
	return strings.Join(got, " ")
}

func hereAt(server *proxy.Server) bool {
	status, ok := server.SharedStore()
	return ok && status.Here
}

// TestStore: a limit means the same on two gateways as on one; while the store is away
// each limit does as its on_store_error says, and the log says it loudly.
func TestStore(t *testing.T) {
	t.Parallel()
	store, log := redistest.Start(t), &lockedBuffer{}
	config := storeLine(store.Address) + limitsIn(echoing(t, ""))
	first, second := runLogged(t, config, zerolog.New(log)), runLogged(t, config, zerolog.New(log))
	for _, server := range []*proxy.Server{first, second} {
		until.True(t, "the store is here", func() bool { return hereAt(server) })
	}
	for host, want := range map[string]string{
		"local": "200 200 200 200 429rate_limited 429rate_limited", "closed": "200 200 200 200 429rate_limited 429rate_limited",
		"alone": "200 200 200 200 200 200",
	} {
		if got := statusesOf(t, host, 6, first, second); got != want {
			t.Errorf("%s: got %s, want %s", host, got, want)
		}
	}
	store.Pause()
	until.True(t, "the store is away", func() bool { return !hereAt(first) })
	for host, want := range map[string]string{
		"local": "200 200 200 200 429rate_limited", "open": "200 200 200 200 200", "closed": strings.TrimSpace(strings.Repeat("503store_unavailable ", 5)),
	} {
		if got := statusesOf(t, host, 5, first); got != want {
			t.Errorf("%s, away: got %s, want %s", host, got, want)
		}
	}
	if text := log.String(); !strings.Contains(text, "the store is away") || !strings.Contains(text, `"level":"error"`) {
		t.Errorf("the log: %s", text)
	}
	store.Resume()
	until.True(t, "the store is back", func() bool { return hereAt(first) })
	if got := statusesOf(t, "closed", 1, first); got != "429rate_limited" {
		t.Errorf("back: got %s, want what was counted before", got)
	}
}

// TestStoreIsChanged by reloads: no request is lost by that, while they come.
func TestStoreIsChanged(t *testing.T) {
	t.Parallel()
	stores := []*redistest.Server{redistest.Start(t), redistest.Start(t)}
	file := filepath.Join(t.TempDir(), "c.yaml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tenant := "access_log: {enabled: false}\nserver: {address: '127.0.0.1:0'}\ntenants: [{name: a, path_prefix: /, policies: [{rate_limit: {rate: 1000000/h, on_store_error: local}}], services: [{url: 'http://" + echoing(t, "") + "'}]}]\n"
	write(storeLine(stores[0].Address) + tenant)
	server := runFile(t, file, zerolog.Nop())
	var wait sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		wait.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if got := statusesOf(t, "a", 1, server); got != "200" {
					t.Errorf("got %s", got)
				}
			}
		})
	}
	for i := range 6 {
		text := tenant
		if i%3 != 2 {
			text = storeLine(stores[(i+1)%2].Address) + tenant
		}
		write(text)
		if result := server.Reload(); !result.OK {
			t.Fatalf("%+v", result)
		}
		if status, ok := server.SharedStore(); ok != (i%3 != 2) || ok && status.Address != stores[(i+1)%2].Address {
			t.Errorf("%d: %+v %v", i, status, ok)
		} else if ok {
			until.True(t, "the store is here", func() bool { return hereAt(server) })
		}
	}
	close(done)
	wait.Wait()
}

// TestStoreIsOutOfReach of tenants' scripts, whatever they are allowed: who writes there
// decides about limits. That holds while scripts are loaded, too.
func TestStoreIsOutOfReach(t *testing.T) {
	t.Parallel()
	store, other := redistest.Start(t), redistest.Start(t)
	folder := t.TempDir()
	_, number, _ := net.SplitHostPort(store.Address)
	script := "local http = require('keystone.http')\nlocal loading = tostring(select(2, http.get('http://" + store.Address + "/')))\n" +
		"chi_route('GET', '/*', function(request, response)\n" +
		"  response:write(loading .. '|' .. tostring(select(2, http.get('http://' .. request.query:sub(4) .. '/'))))\nend)\n"
	config := storeLine(store.Address) + "access_log: {enabled: false}\nserver: {address: '127.0.0.1:0'}\nlua_routing: {enabled: true, scripts_dir: scripts}\n" +
		"tenants: [{name: a, path_prefix: /, lua_routes: [a.lua], lua: {http: {allow: ['127.0.0.0/8', '" + store.Address + "', 'localhost:" + number + "', '" + other.Address + "']}}}]\n"
	for name, text := range map[string]string{"c.yaml": config, "scripts/a.lua": script} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(folder, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server := runFile(t, filepath.Join(folder, "c.yaml"), zerolog.Nop())
	for at, refused := range map[string]bool{store.Address: true, "localhost:" + number: true, "127.0.0.2:" + number: true, other.Address: false} {
		_, got := askRaw(t, server.Addr().String(), "GET /?at="+at+" HTTP/1.1\r\nHost: a\r\n\r\n")
		loading, asked, _ := strings.Cut(got, "|")
		if !strings.Contains(loading, "is not allowed") || strings.Contains(asked, "is not allowed") != refused {
			t.Errorf("%s: got %s", at, got)
		}
	}
}

// TestStoreIsWrong: what can't be meant is said, with its place.
func TestStoreIsWrong(t *testing.T) {
	t.Parallel()
	tenant := "tenants: [{name: a, path_prefix: /, policies: [{rate_limit: {rate: 1/s, store: redis}}], services: [{url: 'http://127.0.0.1:1'}]}]\n"
	for text, want := range map[string]string{
		"certificates: {acme: {ca: letsencrypt-staging, shared: true}}\n":                  "shared is for gateways with a store, and there is none",
		"store: {redis: {address: nothing}}\n":                                             `address "nothing" is none`,
		"store: {redis: {address: []}}\n":                                                  "has no address",
		"store: {redis: {address: 'a:1', timeout: 1h}}\n":                                  "timeout 1h is out of range",
		"store: {redis: {address: 'a:1', prefix: 'a:b'}}\n":                                `prefix "a:b" is none`,
		"store: {redis: {address: 'a:1', cluster: true, sentinel: {master: m}}}\n":         "both cluster and sentinel",
		"store: {redis: {address: 'a:1', tls: {enabled: true, ca_file: missing.pem}}}\n":   `ca_file "missing.pem" can't be used`,
		"store: {redis: {address: 'a:1', tls: {enabled: true, cert_file: missing.pem}}}\n": "one of cert_file and key_file",
		"store: {redis: {address: 'a:1', local_share: 0.5}}\n":                             "local_share 0.5 is out of range",
		"store: {redis: {address: 'unix:'}}\n":                                             "has no path",
		"store: {redis: {address: 'a:1', username: u}}\n":                                  `username "u" has no password`,
		"store: {redis: {address: 'a:1', sentinel: {}}}\n":                                 "master",
		"store: {redis: {address: 'a:1', cluster: true, database: 3}}\n":                   "database 3 can't be had of a cluster",
		"store: {redis: {address: 'a:99999'}}\n":                                           `address "a:99999" has no port from 1 to 65535`,
		"store: {redis: {address: 'a:abc'}}\n":                                             `address "a:abc" has no port from 1 to 65535`,
		"store: {redis: {address: 'a:0'}}\n":                                               `address "a:0" has no port from 1 to 65535`,
		"store: {redis: {address: 'redis://u:geheim@a:1'}}\n":                              "address 1 of store.redis is a URL",
		"store: {redis: {address: ['a:1', 'u:geheim@a:1']}}\n":                             "address 2 of store.redis is a URL",
		`store: {redis: {address: 'a:1', password: "geheim\r\n"}}` + "\n":                  "password of store.redis has a line break",
		`store: {redis: {address: 'a:1', sentinel: {master: "m\n"}}}` + "\n":               "sentinel.master of store.redis has a line break",
		"store: {redis: {address: 'a:1', tls: {ca_file: ca.pem}}}\n":                       "store.redis.tls has ca_file, and TLS isn't spoken, expected enabled: true",
		"store: {redis: {address: 'a:1', tls: {server_name: b}}}\n":                        "store.redis.tls has server_name",
		"store: {redis: {address: 'a:1', adress: x}}\n":                                    "adress",
	} {
		if _, err := proxy.Parse("c.yaml", []byte(text+tenant)); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
	config, err := proxy.Parse("c.yaml", []byte(tenant))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := proxy.CheckScripts("c.yaml", config); err == nil || !strings.Contains(err.Error(), "store: redis is asked for, and there is none") {
		t.Errorf("a limit in no store: got %v", err)
	}
}
