package proxy_test

import (
	"strings"
	"testing"
)

// TestPoliciesHaveFiles: what a policy's file says is held to, read again at a reload
// of a text that hasn't changed, and a mistake in it leaves the tenant as it was.
func TestPoliciesHaveFiles(t *testing.T) {
	t.Parallel()
	target := answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
	tenant := func(name, policies string) []string {
		return []string{name, "domains: [" + name + ".example.com], policies: [" + policies + "], services: [{url: 'http://" + target + "'}]"}
	}
	list := append(tenant("few", "{ip: {allow_file: lists/few, deny_file: lists/none}}"), tenant("most", "{ip: {deny: 10.1.1.1, deny_file: lists/most}}")...)
	w := newWorkshop(t, "scripts/none.lua", "", "lists/few", "# ours\n10.0.0.0/8 # all of it\n\n2001:db8::1\r\n", "lists/none", "", "lists/most", "10.2.0.0/16", "c.yaml", tenantsOf(list...))
	w.replace("c.yaml", "server: {address: '127.0.0.1:0'}", "server: {address: '127.0.0.1:0', trusted_proxies: [127.0.0.1]}")
	w.run()
	served := func(name, client string) bool {
		answer, _ := w.speak("GET / HTTP/1.1\r\nHost: " + name + ".example.com\r\nX-Forwarded-For: " + client + "\r\nConnection: close\r\n\r\n")
		return answer.StatusCode == 200
	}
	check := func(when string, want map[string]string) {
		t.Helper()
		for _, client := range []string{"10.1.1.1", "10.2.2.2", "2001:db8::1", "1.2.3.4"} {
			for _, name := range []string{"few", "most"} {
				if got, want := served(name, client), strings.Contains(" "+want[name]+" ", " "+client+" "); got != want {
					t.Errorf("%s: %s serves %s: %v, want %v", when, name, client, got, want)
				}
			}
		}
	}
	check("at the start", map[string]string{"few": "10.1.1.1 10.2.2.2 2001:db8::1", "most": "2001:db8::1 1.2.3.4"})
	w.write("lists/none", "10.1.0.0/16\n", "lists/most", "")
	if result := w.server.Reload(); !result.OK {
		t.Errorf("got %+v", result)
	}
	check("after a reload", map[string]string{"few": "10.2.2.2 2001:db8::1", "most": "10.2.2.2 2001:db8::1 1.2.3.4"})
	for content, want := range map[string]string{
		"10.0.0.0/8\n10.0.0/8\n": `c.yaml:6:74: tenant "few", policies[0].ip: allow_file "lists/few" has "10.0.0/8" in line 2, which is not a network, expected one like 10.0.0.0/8,`,
		" # nobody\n":            `tenant "few", policies[0].ip: allow_file "lists/few" has no network, expected at least one, a line each`,
	} {
		w.write("lists/few", content, "lists/most", "1.0.0.0/8")
		if result := w.server.Reload(); result.OK || !result.Applied || len(result.Errors) != 1 || !strings.Contains(result.Errors[0], want) {
			t.Errorf("%q: got %+v, want one error with %s", content, result, want)
		}
		check("with a mistake", map[string]string{"few": "10.2.2.2 2001:db8::1", "most": "10.2.2.2 2001:db8::1"})
	}
	w.replace("c.yaml", "lists/few", "lists/gone")
	if result := w.server.Reload(); len(result.Errors) != 1 || !strings.Contains(result.Errors[0], `allow_file "lists/gone" can't be used: there is no such file`) {
		t.Errorf("got %+v", result)
	}
}
