package proxy_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy"
	"github.com/keystone-gateway/keystone-gateway/proxy/exchange/exchangetest"
	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
)

// speak sends a request as it is written and returns the answer, with its body.
func (w *workshop) speak(raw string) (*http.Response, string) {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.server.Addr().String())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = conn.Close() })
	send(w.t, conn, raw)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer, string(body)
}

// TestBoundsOfTenants has tenants with other bounds than the server's, each key
// by itself, and one that inherits all.
func TestBoundsOfTenants(t *testing.T) {
	t.Parallel()
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", r.URL.Query().Get("type"))
		w.Header().Set("X-Body", fmt.Sprint(n))
		_, _ = io.WriteString(w, strings.Repeat("x", 300))
	}))
	t.Cleanup(up.Close)
	tenant := func(name, more string) []string {
		return []string{name, "domains: [" + name + ".example.com], services: [{url: '" + up.URL + "'}]" + more}
	}
	w := newWorkshop(t, "scripts/none.lua", "", "c.yaml", "request_limits: {max_body_size: 1KiB, max_url_size: 1KiB, max_header_size: 4KiB}\n"+
		"compression: {enabled: true, content_types: [text/plain]}\n"+tenantsOf(slices.Concat(
		tenant("heir", ""),
		tenant("large", ", request_limits: {max_body_size: 100KiB}"),
		tenant("small", ", request_limits: {max_body_size: 10B, max_url_size: 20B, max_header_size: 200B}, compression: {enabled: false}"),
		tenant("json", ", compression: {content_types: [application/json], level: 1}"),
		tenant("long", ", compression: {min_size: 1000}"),
		tenant("hasty", ", client_timeouts: {body_idle: 100ms}"),
	)...))
	w.run()
	for _, c := range []struct {
		host, target, fields string
		body                 int
		status               int
		coded                bool
	}{
		{"heir", "/?type=text/plain", "", 1024, 200, true},
		{"heir", "/?type=text/plain", "", 1025, 413, false},
		{"heir", "/?type=application/json", "", 0, 200, false},
		{"heir", "/" + strings.Repeat("a", 900), "", 0, 200, false},
		{"heir", "/" + strings.Repeat("a", 1100), "", 0, 414, false},
		{"large", "/?type=text/plain", "", 100 << 10, 200, true},
		{"large", "/?type=text/plain", "", 100<<10 + 1, 413, false},
		{"small", "/?type=text/plain", "", 10, 200, false},
		{"small", "/?type=text/plain", "", 11, 413, false},
		{"small", "/" + strings.Repeat("a", 20), "", 0, 414, false},
		{"small", "/", "X: " + strings.Repeat("x", 200) + "\r\n", 0, 431, false},
		{"json", "/?type=application/json", "", 0, 200, true},
		{"json", "/?type=text/plain", "", 0, 200, false},
		{"long", "/?type=text/plain", "", 0, 200, false},
	} {
		answer, _ := w.speak(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s.example.com\r\nAccept-Encoding: gzip\r\nContent-Length: %d\r\n%s\r\n%s", c.target, c.host, c.body, c.fields, strings.Repeat("b", c.body)))
		if coded := answer.Header.Get("Content-Encoding") == "gzip"; answer.StatusCode != c.status || coded != c.coded {
			t.Errorf("%s %.30s with %d bytes: %d, compressed %v; expected %d, %v", c.host, c.target, c.body, answer.StatusCode, coded, c.status, c.coded)
		}
		if c.status == 200 && answer.Header.Get("X-Body") != fmt.Sprint(c.body) {
			t.Errorf("%s with %d bytes: the target got %s", c.host, c.body, answer.Header.Get("X-Body"))
		}
	}
	for _, chunked := range []string{"Content-Length: 4\r\n\r\nxx", "Transfer-Encoding: chunked\r\n\r\n4\r\nxx"} {
		if answer, body := w.speak("POST / HTTP/1.1\r\nHost: hasty.example.com\r\n" + chunked); answer.StatusCode != 408 {
			t.Errorf("a body that pauses: %d %s, expected 408 after client_timeouts.body_idle", answer.StatusCode, body)
		}
	}
	var shown struct {
		Tenants []struct {
			Limits struct {
				Body string `json:"max_body_size"`
				URL  string `json:"max_url_size"`
			} `json:"request_limits"`
			Timeouts struct {
				BodyIdle  string `json:"body_idle"`
				WriteIdle string `json:"write_idle"`
				MinRate   string `json:"min_rate"`
			} `json:"client_timeouts"`
		} `json:"tenants"`
	}
	text, err := json.Marshal(settings.Effective(w.server.Config()))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &shown); err != nil {
		t.Fatal(err)
	}
	large, hasty := shown.Tenants[1], shown.Tenants[5]
	if large.Limits.Body != "100KiB" || large.Limits.URL != "1KiB" || hasty.Timeouts.BodyIdle != "100ms" || hasty.Timeouts.WriteIdle != "30s" || hasty.Timeouts.MinRate != "64B" {
		t.Errorf("the effective configuration doesn't show what is inherited: %+v, %+v", large, hasty)
	}
}

// TestBoundsOfScripts holds requests of tenants with scripts to their bounds too.
func TestBoundsOfScripts(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t, "scripts/a.lua", "chi_route('POST', '/v', function(request, response) response:header('Content-Type', 'text/plain') response:write(('x'):rep(#request.body * 300)) end)",
		"c.yaml", "compression: {enabled: true}\nrequest_limits: {max_body_size: 1KiB}\n"+tenantsOf("a", plainTenant("a")+", request_limits: {max_body_size: 3B}, compression: {level: 9, min_size: 600}"))
	w.run()
	for body, expected := range map[string]string{"x": "200 ", "xx": "200 gzip", "xxxx": "413 "} {
		answer, _ := w.speak(fmt.Sprintf("POST /v HTTP/1.1\r\nHost: a.example.com\r\nAccept-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
		if got := fmt.Sprint(answer.StatusCode, " ", answer.Header.Get("Content-Encoding")); got != expected {
			t.Errorf("%d bytes: got %s, expected %s", len(body), got, expected)
		}
	}
}

// TestBoundsAreChecked reports what a tenant can't have, and what is wrong with
// the server's once.
func TestBoundsAreChecked(t *testing.T) {
	t.Parallel()
	for text, expected := range map[string]string{
		"request_limits: {max_header_size: 64KiB}":                          "max_header_size 64KiB is larger than the server's, 32KiB, by which a request is judged before its tenant is known: raise request_limits.max_header_size",
		"request_limits: {max_header_size: 16KiB, max_url_size: 9KiB}":      "max_url_size 9KiB is larger than the server's, 8KiB",
		"request_limits: {max_header_size: 4KiB}":                           "max_url_size 8KiB is larger than max_header_size 4KiB",
		"compression: {content_types: [x]}":                                 `content type "x" is not a media type`,
		"client_timeouts: {write_idle: 1ms}":                                "write_idle 1ms is too short",
		"request_limits: {max_boddy_size: 1}":                               `did you mean "max_body_size"?`,
		"name: a}\n  - {name: b, domains: [b.example.com], lua_routes: [x]": "content type \"nonsense\" is not a media type",
	} {
		server := ""
		if strings.Contains(expected, "nonsense") {
			server = "compression: {content_types: [nonsense]}\n"
			text = "domains: [a.example.com], services: [{url: 'http://127.0.0.1:9'}], " + text
		} else {
			text = "name: a, domains: [a.example.com], services: [{url: 'http://127.0.0.1:9'}], " + text
		}
		_, err := proxy.Parse("c.yaml", []byte(server+"tenants:\n  - {"+text+"}\n"))
		if err == nil || !strings.Contains(err.Error(), expected) || strings.Count(err.Error(), "\n") > 0 {
			t.Errorf("%s: got %v, expected %q and nothing else", text, err, expected)
		}
	}
}

// TestInheritedChanges names the server's section when that changes, not every
// tenant that inherits from it.
func TestInheritedChanges(t *testing.T) {
	t.Parallel()
	config := func(size string) string {
		return "request_limits: {max_body_size: " + size + "}\n" + tenantsOf("a", "domains: [a.example.com], services: [{url: 'http://127.0.0.1:9'}]",
			"b", "domains: [b.example.com], request_limits: {max_body_size: 1KiB}, services: [{url: 'http://127.0.0.1:9'}]")
	}
	w := newWorkshop(t, "scripts/none.lua", "", "c.yaml", config("1MiB"))
	if err := w.start(); err != nil {
		t.Fatal(err)
	}
	w.write("c.yaml", config("2MiB"))
	if result := w.server.Reload(); !slices.Equal(result.Changes, []string{"settings outside tenants changed"}) {
		t.Errorf("got %q", result.Changes)
	}
	if got := w.server.Config().Tenants[0].RequestLimits.MaxBodySize.Int64(); got != 2<<20 {
		t.Errorf("the tenant has %d", got)
	}
}

// TestDoubtsAreNoChange: a warning that moves with its line is no change of the
// settings outside tenants.
func TestDoubtsAreNoChange(t *testing.T) {
	t.Parallel()
	const config = "tenants: [{name: a, domains: [a.example.com], health: {path: /, headers: {A: $TOKEN}}, services: [{url: 'http://127.0.0.1:9'}]}]\n"
	w := newWorkshop(t, "scripts/none.lua", "", "c.yaml", config)
	if err := w.start(); err != nil {
		t.Fatal(err)
	}
	w.write("c.yaml", "# a comment\n"+config)
	if result := w.server.Reload(); len(result.Changes) > 0 {
		t.Errorf("got %q", result.Changes)
	}
}

// TestScriptsReadNothingThatIsTooLarge: a client that waits to be told to send its
// body isn't told where it is larger than the script may read, to the byte.
func TestScriptsReadNothingThatIsTooLarge(t *testing.T) {
	t.Parallel()
	const tenant = "domains: [a.example.com], lua_routes: [a.lua], "
	for limits, most := range map[string]int{"request_limits: {max_body_size: 5B}, lua: {timeout: 1m}": 5, "lua: {max_body: 7B, timeout: 1m}": 7} {
		w := newWorkshop(t, "scripts/a.lua", "chi_route('POST', '/v', function(request, response) response:write(#request.body) end)",
			"c.yaml", tenantsOf("a", tenant+limits))
		if err := w.start(); err != nil {
			t.Fatal(err)
		}
		for length, status := range map[int]int{most: 200, most + 1: 413} {
			for _, unsized := range []bool{false, true} {
				s := &exchangetest.Stream{Head: exchangetest.Request("POST", "a.example.com", "/v"), Waits: true}
				for range length {
					s.Parts = append(s.Parts, []byte("x"))
				}
				if s.Head.Length = int64(length); unsized {
					s.Head.Length = message.Unsized
				}
				w.server.Serve(s)
				if s.Status != status || s.Told != (status == 200 || unsized) || status == 200 && string(s.Content) != fmt.Sprint(length) {
					t.Errorf("%s, %d bytes, unsized %v: got %d with %q, told to send: %v; want %d", limits, length, unsized, s.Status, s.Content, s.Told, status)
				}
			}
		}
	}
}
