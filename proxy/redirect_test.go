package proxy_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy"
)

// redirecting runs a gateway whose first listener leads to HTTPS on a port.
func redirecting(t testing.TB, options, rest string) *proxy.Server {
	t.Helper()
	return serve(t, "listeners: [{address: \"127.0.0.1:0\", redirect_to_https: true"+options+"}]\n"+rest)
}

// TestRedirectToHTTPS: what leads where, and what is served.
func TestRedirectToHTTPS(t *testing.T) {
	t.Parallel()
	server := redirecting(t, ", https_port: 8443, redirect_except: [/open], trusted_proxies: [127.0.0.1]", shop(answering(t, helloResponse)))
	for head, want := range map[string]string{
		"GET / HTTP/1.1\r\nHost: example.com":                                    "308 https://example.com:8443/",
		"GET /a/b?c=d&e HTTP/1.1\r\nHost: EXAMPLE.com:8080":                      "308 https://example.com:8443/a/b?c=d&e",
		"GET / HTTP/1.1\r\nHost: [2001:DB8::1]:80":                               "308 https://[2001:db8::1]:8443/",
		"POST /a?next=//evil.example HTTP/1.1\r\nHost: a.b\r\nContent-Length: 0": "308 https://a.b:8443/a?next=//evil.example",
		"GET //evil.example/%2e%2e HTTP/1.1\r\nHost: a.b":                        "308 https://a.b:8443/",
		"GET /x//y/%7Ea%2f HTTP/1.1\r\nHost: a.b":                                "308 https://a.b:8443/x//y/%7Ea%2f",
		"GET /x//../y HTTP/1.1\r\nHost: a.b":                                     "308 https://a.b:8443/y",
		"GET http://a.b/c HTTP/1.1\r\nHost: a.b":                                 "308 https://a.b:8443/c",
		"OPTIONS * HTTP/1.1\r\nHost: a.b":                                        "308 https://a.b:8443/",
		"HEAD /a HTTP/1.1\r\nHost: a.b":                                          "308 https://a.b:8443/a",
		"GET / HTTP/1.1\r\nHost: a b":                                            "400 ",
		"GET / HTTP/1.1\r\nHost: a.b@evil.example":                               "400 ",
		"GET / HTTP/1.1\r\nHost: a.b/evil.example":                               "400 ",
		"GET / HTTP/1.1\r\nHost: ":                                               "400 ",
		"GET / HTTP/1.0\r\nX: y":                                                 "400 ",
		"GET /../.. HTTP/1.1\r\nHost: a.b":                                       "400 ",
		"GET /open HTTP/1.1\r\nHost: a.b":                                        "200 ",
		"GET /open/a HTTP/1.1\r\nHost: a.b":                                      "200 ",
		"GET /opened HTTP/1.1\r\nHost: a.b":                                      "308 https://a.b:8443/opened",
		"GET /open/../x HTTP/1.1\r\nHost: a.b":                                   "308 https://a.b:8443/x",
		"GET / HTTP/1.1\r\nHost: a.b\r\nX-Forwarded-Proto: https":                "200 ",
		"GET / HTTP/1.1\r\nHost: a.b\r\nX-Forwarded-Proto: http":                 "308 https://a.b:8443/",
		"GET / HTTP/1.1\r\nHost: a.b\r\nForwarded: for=192.0.2.1;proto=https":    "200 ",
		"GET / HTTP/1.1\r\nHost: a.b\r\nX-Forwarded-Host: evil.example":          "308 https://a.b:8443/",
	} {
		conn := dialAt(t, server, 0)
		send(t, conn, head+"\r\n\r\n")
		request := &http.Request{Method: strings.Fields(head)[0]}
		response, err := http.ReadResponse(bufio.NewReader(conn), request)
		if err != nil {
			t.Errorf("%q: %v", head, err)
			continue
		}
		_ = response.Body.Close()
		if got := fmt.Sprintf("%d %s", response.StatusCode, response.Header.Get("Location")); got != want {
			t.Errorf("%q\ngot  %s\nwant %s", head, got, want)
		}
	}
}

// TestRedirectPort: it is that of the listener with TLS, and nothing where that has
// HTTPS's own; whom nobody trusts is led there whatever they say.
func TestRedirectPort(t *testing.T) {
	t.Parallel()
	cert, key := keyPair(t)
	server := serve(t, fmt.Sprintf("tls: {cert_file: %q, key_file: %q}\nlisteners:\n- {address: \"127.0.0.1:0\", redirect_to_https: true}\n"+
		"- {address: \"127.0.0.1:0\"}\n- {address: \"127.0.0.1:0\", tls: true}\n", cert, key)+shop(answering(t, helloResponse)))
	const forged = "GET / HTTP/1.1\r\nHost: a.b\r\nX-Forwarded-Proto: https\r\n\r\n"
	want := fmt.Sprintf("https://a.b:%d/", server.Addrs()[2].(*net.TCPAddr).Port)
	if got := request(t, dialAt(t, server, 0), forged).Header.Get("Location"); got != want {
		t.Errorf("led to %q, want %q", got, want)
	}
	if response := request(t, dialAt(t, server, 1), forged); response.StatusCode != 200 {
		t.Errorf("another listener without TLS: %s", response.Status)
	}
	own := redirecting(t, ", https_port: 443", shop(answering(t, helloResponse)))
	if got := request(t, dialAt(t, own, 0), forged).Header.Get("Location"); got != "https://a.b/" {
		t.Errorf("led to %q", got)
	}
}
