package proxy_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keystone-gateway/keystone-gateway/proxy"
	"github.com/keystone-gateway/keystone-gateway/test/port"
)

// mortal is a target that tells its name, and comes and goes.
type mortal struct {
	t       *testing.T
	name    string
	address string
	server  *http.Server
}

func newMortal(t *testing.T, name string) *mortal {
	t.Helper()
	m := &mortal{t: t, name: name, address: port.Reserve(t)}
	m.rise()
	t.Cleanup(m.die)
	return m
}

// rise listens where it has listened before.
func (m *mortal) rise() {
	m.t.Helper()
	listener, err := net.Listen("tcp", m.address)
	if err != nil {
		m.t.Fatal(err)
	}
	m.server = &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, m.name)
	})}
	go func(s *http.Server) { _ = s.Serve(listener) }(m.server)
}

// die closes the port and all connections.
func (m *mortal) die() { _ = m.server.Close() }

// mortals are so many of them, with their services.
func mortals(t *testing.T, n int) (list []*mortal, services string) {
	t.Helper()
	for i := range n {
		m := newMortal(t, string(rune('a'+i)))
		list = append(list, m)
		services += fmt.Sprintf("{url: 'http://%s', name: %s}, ", m.address, m.name)
	}
	return list, "services: [" + strings.TrimSuffix(services, ", ") + "]"
}

// answeredBy returns which target has answered a request with these fields, and its
// Set-Cookie.
func (w *workshop) answeredBy(path, fields string) (name, cookie string) {
	w.t.Helper()
	answer, body := askRaw(w.t, w.server.Addr().String(), "GET "+path+" HTTP/1.1\r\nHost: shop.example.com\r\n"+fields+"\r\n")
	if answer.StatusCode != 200 {
		w.t.Fatalf("%s %q: %d %s", path, fields, answer.StatusCode, body)
	}
	return body, answer.Header.Get("Set-Cookie")
}

// TestBalancers: each balancer by its name and with settings reaches all targets, or
// those that it shall.
func TestBalancers(t *testing.T) {
	t.Parallel()
	_, services := mortals(t, 3)
	for balance, want := range map[string]string{
		"round_robin": "abc", "least_request": "abc", "peak_ewma": "abc", "random": "abc", "sticky": "abc", "first": "a",
		"{round_robin: {}}": "abc", "{least_request: {}}": "abc", "{hash: {by: 'header:X-None'}}": "abc", "{hash: {by: key, balance_factor: 0}}": "abc",
		"{hash: {by: 'query:n'}}": "abc", "{hash: {by: path}}": "abc", "{sticky: {within: random}}": "abc", "{first: {within: least_request}}": "a",
		"{first: {zone: b}}": "b", "{first: {zone: x}}": "abc", "hash": "?",
	} {
		section := services
		if strings.Contains(balance, "zone") {
			section = strings.ReplaceAll(services, "name: b", "name: b, zone: b")
		}
		w := newWorkshop(t, "scripts/none.lua", "", "c.yaml", "tenants: [{name: shop, domains: [shop.example.com], balance: "+balance+", "+section+"}]\n")
		w.strict = true
		w.run()
		seen := map[string]bool{}
		for i := range 200 {
			name, _ := w.answeredBy(fmt.Sprintf("/%d?n=%d", i, i), "")
			if seen[name] = true; len(seen) == 3 {
				break
			}
		}
		got := ""
		for _, name := range []string{"a", "b", "c"} {
			if seen[name] {
				got += name
			}
		}
		if got != want && (want != "?" || len(got) != 1) {
			t.Errorf("balance: %s: got %s, want %s", balance, got, want)
		}
	}
}

// TestHashInUse: requests of one key go to one target; when that dies its keys alone go
// elsewhere, and come back with it.
func TestHashInUse(t *testing.T) {
	t.Parallel()
	list, services := mortals(t, 4)
	w := newWorkshop(t, "scripts/none.lua", "", "c.yaml", "tenants: [{name: shop, domains: [shop.example.com], balance: {hash: {by: 'header:X-User', balance_factor: 0}}, "+services+"}]\n")
	w.run()
	const users = 60
	homes := func() (list [users]string) {
		for i := range users {
			list[i], _ = w.answeredBy("/", fmt.Sprintf("X-User: %d\r\n", i))
		}
		return list
	}
	before := homes()
	if again := homes(); again != before {
		t.Fatalf("users are sent elsewhere: %v, %v", before, again)
	}
	gone := list[0]
	for _, m := range list {
		if m.name == before[0] {
			gone = m
		}
	}
	gone.die()
	after := homes()
	for i := range users {
		if (before[i] == gone.name) != (before[i] != after[i]) {
			t.Errorf("user %d was at %s, and is at %s when %s has gone", i, before[i], after[i], gone.name)
		}
	}
	gone.rise()
	eventually(t, "all are back", func() bool { return homes() == before })
}

// TestBalanceKey: a script says what requests belong together by.
func TestBalanceKey(t *testing.T) {
	t.Parallel()
	_, services := mortals(t, 3)
	w := newWorkshop(t, "scripts/key.lua", `chi_middleware(function(request, response, next)
		local user = request:header("X-User")
		if user then request:balance_key("user:" .. user) end
		next()
	end)`, "c.yaml", "tenants: [{name: shop, domains: [shop.example.com], lua_routes: key.lua, lua: {timeout: 20s}, balance: {hash: {by: key}}, "+services+"}]\n")
	w.run()
	seen := map[string]bool{}
	for user := range 30 {
		fields := fmt.Sprintf("X-User: %d\r\n", user)
		first, _ := w.answeredBy("/a", fields)
		if again, _ := w.answeredBy("/b", fields); again != first {
			t.Fatalf("user %d is at %s and at %s", user, first, again)
		}
		seen[first] = true
	}
	if len(seen) != 3 {
		t.Errorf("30 users are at %v", seen)
	}
}

// TestStickyInUse: a client comes back to its target by the cookie; when that has gone
// it is given another one, and goes back only if it shall.
func TestStickyInUse(t *testing.T) {
	t.Parallel()
	for _, returns := range []bool{false, true} {
		list, services := mortals(t, 3)
		w := newWorkshop(t, "scripts/none.lua", "", "c.yaml", fmt.Sprintf("tenants: [{name: shop, domains: [shop.example.com], balance: {sticky: {name: at, path: /app, max_age: 1h, secure: true, same_site: none, return: %v, "+
			"secrets: 'thirty-two characters of a secret'}}, %s}]\n", returns, services))
		w.run()
		home, cookie := w.answeredBy("/", "")
		if !strings.HasPrefix(cookie, "at=") || !strings.HasSuffix(cookie, "; Path=/app; Max-Age=3600; HttpOnly; Secure; SameSite=None") {
			t.Fatalf("the cookie is %q", cookie)
		}
		bring := func(line string) string {
			pair, _, _ := strings.Cut(line, ";")
			return "Cookie: other=1; " + pair + "\r\n"
		}
		stays := func(what, name, line string) {
			t.Helper()
			for range 5 {
				if got, more := w.answeredBy("/", bring(line)); got != name || more != "" {
					t.Fatalf("%s: the client is sent to %s with %q, want %s and no other cookie", what, got, more, name)
				}
			}
		}
		stays("at home", home, cookie)
		if _, other := w.answeredBy("/", bring(strings.Replace(cookie, "at=", "at=x", 1))); other == "" {
			t.Error("a cookie that is none of ours is taken")
		}
		if result := w.server.Reload(); !result.OK {
			t.Fatal(result)
		}
		stays("after a reload", home, cookie)
		at := list[int(home[0]-'a')]
		at.die()
		away, second := w.answeredBy("/", bring(cookie))
		if away == home || second == "" {
			t.Fatalf("the target has gone, and the client is sent to %s with %q", away, second)
		}
		stays("away", away, second)
		at.rise()
		eventually(t, "the target is healthy", func() bool { return healthy(w.server) == 3 })
		if !returns {
			stays("when the first is back", away, second)
			continue
		}
		back, third := w.answeredBy("/", bring(second))
		if back != home || third == "" {
			t.Fatalf("the client is sent to %s with %q, want back to %s", back, third, home)
		}
		stays("back", home, third)
	}
}

func healthy(s *proxy.Server) (n int) {
	for tenant := range s.Tenants() {
		n += tenant.Pool.Healthy()
	}
	return n
}

// TestFirstInUse: the next tier takes over when the first has gone, at once, and gives back.
func TestFirstInUse(t *testing.T) {
	t.Parallel()
	list, services := mortals(t, 3)
	w := newWorkshop(t, "scripts/none.lua", "", "c.yaml", "tenants: [{name: shop, domains: [shop.example.com], pools: {default: {balance: first, "+strings.NewReplacer("name: b", "name: b, tier: 2", "name: c", "name: c, tier: 1").Replace(services)+"}}}]\n")
	w.run()
	expect := func(what, want string) {
		t.Helper()
		for range 5 {
			if got, _ := w.answeredBy("/", ""); got != want {
				t.Fatalf("%s: %s has answered, want %s", what, got, want)
			}
		}
	}
	expect("all are there", "a")
	list[0].die()
	expect("the first has gone", "c")
	list[2].die()
	expect("and the second", "b")
	list[0].rise()
	eventually(t, "the first is healthy", func() bool { return healthy(w.server) == 2 })
	expect("the first is back", "a")
}

// TestSplit: a route's requests are shared between pools by weight, those of one client
// always the same way, and a reload promotes.
func TestSplit(t *testing.T) {
	t.Parallel()
	blue, green := newMortal(t, "blue"), newMortal(t, "green")
	config := func(to, by string) string {
		return "tenants: [{name: shop, domains: [shop.example.com], pools: {blue: {services: [{url: 'http://" + blue.address + "'}]}, green: {services: [{url: 'http://" + green.address + "'}]}}, " +
			"routes: [{path: /api, cookies: {canary: 'yes'}, pool: green}, {split: {to: {" + to + "}, by: '" + by + "'}}]}]\n"
	}
	w := newWorkshop(t, "scripts/none.lua", "", "c.yaml", config("blue: 80, green: 20", "cookie:id"))
	w.strict = true
	w.run()
	const clients = 100
	all := func() (list [clients]string, greens int) {
		for i := range clients {
			if list[i], _ = w.answeredBy("/x", fmt.Sprintf("Cookie: id=%d\r\n", i)); list[i] == "green" {
				greens++
			}
		}
		return list, greens
	}
	use := func(to string) {
		t.Helper()
		w.write("c.yaml", config(to, "cookie:id"))
		if result := w.server.Reload(); !result.OK {
			t.Fatal(result)
		}
	}
	before, greens := all()
	if again, _ := all(); again != before || greens < 6 || greens > 40 {
		t.Errorf("%d of %d clients are sent to green; twice the same: %v", greens, clients, again == before)
	}
	if got, _ := w.answeredBy("/api", "Cookie: id=1; canary=yes\r\n"); got != "green" {
		t.Errorf("who asks for the canary gets %s", got)
	}
	use("blue: 50, green: 50")
	half, more := all()
	for i := range clients {
		if before[i] == "green" && half[i] != "green" {
			t.Errorf("client %d was sent to green, and is sent back when it gets more", i)
		}
	}
	if more <= greens {
		t.Errorf("%d of %d clients are sent to green when half of them shall", more, clients)
	}
	use("blue: 0, green: 100")
	if _, greens = all(); greens != clients {
		t.Errorf("%d of %d clients are sent to green, which shall have all", greens, clients)
	}
}

// TestPoolsUnderLoad: pools and their targets come and go by reloads, under balancers of
// all kinds, while clients with kept connections ask; no request fails.
func TestPoolsUnderLoad(t *testing.T) {
	t.Parallel()
	_, services := mortals(t, 3)
	fewer := services[:strings.LastIndex(services, ", {")] + "]"
	w := newWorkshop(t, "scripts/none.lua", "", "c.yaml", "tenants: [{name: shop, domains: [shop.example.com], "+services+"}]\n")
	w.run()
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for i := range 4 {
		clients.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				r, _ := http.NewRequest(http.MethodPost, "http://"+w.server.Addr().String()+"/", strings.NewReader("body"))
				r.Host = "shop.example.com"
				r.Header.Set("X-User", fmt.Sprint(i, n%7))
				answer, err := client.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, answer.Body)
				if _ = answer.Body.Close(); answer.StatusCode != 200 {
					t.Errorf("got %s %s", answer.Status, answer.Header.Get("X-Gateway-Error"))
					return
				}
			}
		})
	}
	asked := func() (n uint64) {
		for tenant := range w.server.Tenants() {
			n = tenant.Stats.Classes[2].Load()
		}
		return n
	}
	for i, balance := range []string{"least_request", "{hash: {by: 'header:X-User'}}", "peak_ewma", "sticky", "random", "first", "round_robin"} {
		list := []string{services, fewer}[i%2]
		w.write("c.yaml", "tenants: [{name: shop, domains: [shop.example.com], balance: "+balance+", pools: {default: {"+list+"}, p"+fmt.Sprint(i)+": {"+list+"}}, routes: [{path: /none, pool: p"+fmt.Sprint(i)+"}, {path: '/', pool: p"+fmt.Sprint(i)+"}]}]\n")
		if result := w.server.Reload(); !result.OK {
			t.Fatal(result)
		}
		from := asked()
		eventually(t, "requests go on", func() bool { return asked() > from+40 || t.Failed() })
	}
	close(stop)
	clients.Wait()
}

// TestBalanceAllocates0: requests through pools, whatever chooses the target.
func TestBalanceAllocates0(t *testing.T) {
	target := answering(t, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello")
	services := "services: [{url: 'http://" + target + "'}]"
	server := start(t, "access_log: {output: \""+filepath.Join(t.TempDir(), "access.log")+"\"}\ntenants:\n- {name: a, domains: [example.com], pools: {hash: {balance: {hash: {by: 'cookie:a'}}, "+services+"}, "+
		"query: {balance: {hash: {by: 'query:q'}}, "+services+"}, client: {balance: hash, "+services+"}, ewma: {balance: peak_ewma, "+services+"}, least: {balance: least_request, "+services+"}, "+
		"first: {balance: first, "+services+"}, other: {"+services+"}}, routes: [{path: '/hash', pool: hash}, {path: /query, pool: query}, {path: /client, pool: client}, {path: /ewma, pool: ewma}, "+
		"{path: /least, pool: least}, {path: /first, pool: first}, {path: /split, split: {to: {hash: 1, other: 1}}}]}\n")
	for _, path := range []string{"/hash", "/query", "/client", "/ewma", "/least", "/first", "/split"} {
		if n := allocationsOf(t, server, "GET "+path+"?q=1 HTTP/1.1\r\nHost: example.com\r\nUser-Agent: x\r\nCookie: a=b\r\n\r\n"); n > 0 {
			t.Errorf("a request to %s allocates: %d times in %d requests at best, want 0", path, n, window)
		}
	}
}

// TestWrongBalance: what is wrong with balance, tiers and splits is told with its place.
func TestWrongBalance(t *testing.T) {
	t.Parallel()
	const services = "services: [{url: 'http://10.0.0.1'}], "
	for _, c := range []struct{ section, want string }{
		{services + "balance: @least_requests", `expected one of round_robin, least_request, peak_ewma, random, hash, sticky, first, alone or with settings, got "least_requests"; did you mean "least_request"?`},
		{services + "balance: @{hash: {}, sticky: {}}", "balance has hash and sticky, expected one of them"},
		{services + "balance: @{}", "balance names no balancer"},
		{services + "balance: @{hash: }", "balance names no balancer"},
		{services + "balance: {@algorithm: hash}", "the balancer's name is the key: balance: {hash: {by: client}}"},
		{services + "balance: {hash: {by: @ip}}", "is nothing that requests have, expected client, header:NAME"},
		{services + "balance: {hash: {by: @header}}", "has no name"},
		{services + "balance: {hash: {balance_factor: @1}}", "balance_factor 1 is out of range"},
		{services + "balance: {hash: {balance_factor: @.nan}}", "balance_factor"},
		{services + "balance: {sticky: {name: @'a b'}}", "is not that of a cookie"},
		{services + "balance: {sticky: {path: @app}}", "is not a path"},
		{services + "balance: {sticky: {domain: @'a b'}}", "is not a domain"},
		{services + "balance: {sticky: {max_age: @1ms}}", "max_age"},
		{services + "balance: {sticky: {same_site: @none}}", "needs secure: true"},
		{services + "balance: {sticky: {same_site: @no}}", "expected one of lax, strict, none"},
		{services + "balance: {sticky: {name: @__Host-a}}", "needs secure: true"},
		{services + "balance: {sticky: {secrets: [@short]}}", "a secret has 5 bytes, expected at least 32"},
		{services + "balance: {sticky: {within: @hash}}", "expected one of round_robin, least_request, peak_ewma, random"},
		{services + "balance: {first: {within: @sticky}}", "expected one of round_robin, least_request, peak_ewma, random"},
		{services + "balance: {sticky: {name: @a}}, pools: {api: {services: [{url: 'http://10.0.0.2'}]}}", `the pools "default" and "api" have sticky cookies of one name, "a"`},
		{"services: [{url: 'http://10.0.0.1', tier: @1001}], balance: first", "tier 1001 is out of range"},
		{services + "pools: {api: {services: [{url: 'http://10.0.0.2'}], balance: @hashes}}", `did you mean "hash"?`},
		{services + "pools: {api: {services: [{url: 'http://10.0.0.2'}], balance: {hash: {by: @x}}}}", "pools.api: by"},
		{services + "routes: [{split: {to: @{defualt: 1}}}]", `there is no pool "defualt", expected one of default; did you mean "default"?`},
		{services + "routes: [{split: {to: @{default: 0}}}]", "no pool with a weight above 0"},
		{services + "routes: [{split: {to: @{default: -1}}}]", "the weight -1"},
		{services + "routes: [{split: {to: @{default: 1001}}}]", "the weight 1001"},
		{services + "routes: [{split: @{}}]", "no pool with a weight above 0"},
		{services + "routes: [{split: {to: {default: 1}, by: @clients}}]", `did you mean "client"?`},
		{services + "routes: [{pool: @default, split: {to: {default: 1}}}]", "the route has pool and split"},
		{services + "routes: [@{split: {to: {default: 1}}, respond: {}}]", "the route has respond and pool or split"},
	} {
		tellsWrong(t, c.section, c.want)
	}
}

// TestBalanceInVain: what makes no difference is told of.
func TestBalanceInVain(t *testing.T) {
	t.Parallel()
	for section, want := range map[string]string{
		"services: [{url: 'http://10.0.0.1', tier: 1}]":                                                         "tier is set, and the pool's balance isn't first",
		"services: [{url: 'http://10.0.0.1', zone: a}], balance: first":                                         "expected balance: {first: {zone: a}}",
		"services: [{url: 'http://10.0.0.1'}], pools: {api: {services: [{url: 'http://10.0.0.2'}]}}":            `no route leads to the pool "api"`,
		"services: [{url: 'http://10.0.0.1'}], pools: {api: {services: [{url: 'http://10.0.0.2', weight: 0}]}}": `every service of the pool "api" of tenant "a" has weight 0`,
		"services: [{url: 'http://10.0.0.1', tier: 1}], balance: first":                                         "",
	} {
		config, err := proxy.Parse(filepath.Join(t.TempDir(), "c.yaml"), []byte("tenants: [{name: a, domains: [a.example], "+section+"}]"))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(config.Warnings(), "\n"); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%s: warned is %q, want %q", section, got, want)
		}
	}
}
