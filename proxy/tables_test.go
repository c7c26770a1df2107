package proxy_test

import (
	"fmt"
	"testing"
)

// TestBoundTenants: a tenant that is bound to a listener doesn't exist on others.
func TestBoundTenants(t *testing.T) {
	t.Parallel()
	named := func(name string) string {
		return answering(t, fmt.Sprintf("HTTP/1.1 200 OK\r\nX-Tenant: %s\r\nContent-Length: 0\r\n\r\n", name))
	}
	tenants := "access_log: {enabled: false}\nadmin: {enabled: false}\ntenants:\n" +
		"- {name: inner, domains: [inner.example.com], listeners: [b], services: [{url: \"http://" + named("inner") + "\"}]}\n" +
		"- {name: outer, domains: [outer.example.com], listeners: a, services: [{url: \"http://" + named("outer") + "\"}]}\n" +
		"- {name: both, domains: [both.example.com], listeners: [a, b], services: [{url: \"http://" + named("both") + "\"}]}\n" +
		"- {name: any, domains: [any.example.com], services: [{url: \"http://" + named("any") + "\"}]}\n" +
		"- {name: rest, path_prefix: /, listeners: [b], services: [{url: \"http://" + named("rest") + "\"}]}\n"
	server := serve(t, "listeners: [{name: a, address: \"127.0.0.1:0\"}, {name: b, address: \"127.0.0.1:0\"}, {address: \"127.0.0.1:0\"}]\n"+tenants)
	for host, want := range map[string][3]string{
		"inner": {"404", "inner", "404"}, "outer": {"outer", "rest", "404"}, "both": {"both", "both", "404"}, "any": {"any", "any", "any"}, "unknown": {"404", "rest", "404"},
	} {
		for n := range want {
			response := request(t, dialAt(t, server, n), "GET / HTTP/1.1\r\nHost: "+host+".example.com\r\n\r\n")
			got := response.Header.Get("X-Tenant")
			if response.StatusCode != 200 {
				got = fmt.Sprint(response.StatusCode)
			}
			if got != want[n] {
				t.Errorf("%s at listener %d: %s, want %s", host, n, got, want[n])
			}
		}
	}
}

// TestBoundToNothing: a tenant that is bound to a listener that isn't there is refused
// alone, and nobody else gets its requests.
func TestBoundToNothing(t *testing.T) {
	t.Parallel()
	address := answering(t, helloResponse)
	server := serve(t, "listeners: [{name: a, address: \"127.0.0.1:0\"}]\naccess_log: {enabled: false}\nadmin: {enabled: false}\ntenants:\n"+
		"- {name: lost, domains: [lost.example.com], listeners: [b], services: [{url: \"http://"+address+"\"}]}\n"+
		"- {name: rest, path_prefix: /, services: [{url: \"http://"+address+"\"}]}\n")
	if response := request(t, dialAt(t, server, 0), "GET / HTTP/1.1\r\nHost: lost.example.com\r\n\r\n"); response.StatusCode != 503 || response.Header.Get("X-Gateway-Error") != "tenant_misconfigured" {
		t.Errorf("the lost tenant: %s %s", response.Status, response.Header.Get("X-Gateway-Error"))
	}
	if response := request(t, dialAt(t, server, 0), get); response.StatusCode != 200 {
		t.Errorf("another: %s", response.Status)
	}
	problem := server.LastReload()
	if len(problem.Failed) != 1 || len(problem.Failed[0].Errors) != 1 {
		t.Errorf("what is said: %+v", problem)
	}
}
