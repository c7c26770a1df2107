package proxy_test

import (
	"testing"
)

// TestAuthAllocates0 counts the allocations of the whole process over many requests
// whose senders are known by now, from socket to socket, of each policy that finds out
// who that is.
func TestAuthAllocates0(t *testing.T) {
	k, d := newKeyring(t), newDecider(t)
	up := answering(t, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello")
	fields := map[string]string{
		"basic":   basic("alice", "secret"),
		"key":     "X-API-Key: k-a\r\n",
		"jwt":     bearer(signed(t, "RS256", "rsa", k.rsa, claims("realm_access", map[string]any{"roles": []string{"a", "b"}}))),
		"forward": "Cookie: a=b; s=alice\r\n",
	}
	var list []string
	for name, section := range map[string]string{
		"basic":   "basic_auth: {users: {alice: '" + hashed(t, "secret", 4) + "'}}",
		"key":     "api_key: {keys: '" + keyLine("a", "k-a", "plan=gold") + "', query: key, cookie: key, fields: {X-Consumer: consumer, X-Plan: plan}}",
		"jwt":     "jwt: {jwks_file: '" + k.written + "/set.json', audience: api, fields: {X-User: sub, X-Roles: realm_access.roles}, require: {aud: api}}",
		"forward": "forward_auth: {url: '" + d.URL + "', request_fields: [Cookie], copy_fields: 'Remote-*', cache_for: 10m, timeout: 1m}",
	} {
		list = append(list, name, "domains: ["+name+".example.com], policies: [{"+section+"}], services: [{url: 'http://"+up+"'}]")
	}
	server := start(t, "access_log: {enabled: false}\n"+tenantsOf(list...))
	for name, field := range fields {
		request := "GET /path?q=1 HTTP/1.1\r\nHost: " + name + ".example.com\r\nUser-Agent: x\r\nX-User: root\r\nRemote-User: root\r\nX-Auth-User: root\r\n" + field + "\r\n"
		if n := allocationsOf(t, server, request); n > 0 {
			t.Errorf("%s allocates %d times in %d requests at best, want 0", name, n, window)
		}
	}
}
