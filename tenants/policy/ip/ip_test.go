package ip_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy/policytest"
)

// built builds a section beside the files allowed.txt, denied.txt and others.
func built(t *testing.T, section string, files ...string) *policy.Chain {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		if err := os.WriteFile(filepath.Join(dir, files[i]), []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config, err := policytest.Check("[{ip: "+section+"}]", dir)
	if err != nil {
		t.Fatalf("%s: %v", section, err)
	}
	chain, err := config.BuildPolicies(policy.Deps{}, func(string) *policy.Counter { return &policy.Counter{} })
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

// TestAddresses: who passes, and what is said of it.
func TestAddresses(t *testing.T) {
	t.Parallel()
	const unknown = `403: the client's address isn't known, and allow doesn't have "unix"`
	files := []string{"allowed.txt", "# ours\n10.0.0.0/8 # the office\r\n\n 2001:db8::/32\nunix\n", "denied.txt", "10.6.0.0/16\n", "empty.txt", "# nobody\n"}
	for _, c := range []struct{ section, client, want string }{
		{"{allow: [10.0.0.0/8, 192.0.2.7]}", "10.1.1.1", "client 10.1.1.1 is in 10.0.0.0/8 of allow"}, {"{allow: [10.0.0.0/8, 192.0.2.7]}", "192.0.2.7", "client 192.0.2.7 is in 192.0.2.7/32 of allow"},
		{"{allow: [10.0.0.0/8, 192.0.2.7]}", "192.0.2.8", "403: client 192.0.2.8 is in no network of allow"}, {"{allow: 10.0.0.0/8}", "::ffff:10.0.0.1", "client ::ffff:10.0.0.1 is in 10.0.0.0/8 of allow"},
		{"{allow: 10.0.0.0/8}", "", unknown}, {"{allow: [10.0.0.0/8, unix]}", "", "clients on a Unix socket are in allow"}, {"{deny: 10.0.0.0/8}", "", unknown}, {"{allow: unix}", "10.0.0.1", "403: client 10.0.0.1 is in no network of allow"},
		{"{allow: [0.0.0.0/0, unix]}", "?", "403: the client's address isn't known, since the proxy that has introduced it names none that can be read"},
		{"{deny: [10.0.0.0/8, '2001:db8::/32']}", "11.0.0.1", "client 11.0.0.1 is not in deny"}, {"{deny: [10.0.0.0/8, '2001:db8::/32']}", "2001:db8::1", "403: client 2001:db8::1 is in 2001:db8::/32 of deny"},
		{"{allow: 10.0.0.0/8, deny: 10.6.0.0/16}", "10.6.0.1", "403: client 10.6.0.1 is in 10.6.0.0/16 of deny"}, {"{allow: 10.0.0.0/8, deny: 10.6.0.0/16}", "10.7.0.1", "client 10.7.0.1 is in 10.0.0.0/8 of allow"},
		{"{allow: 'fe80::/10'}", "fe80::1%eth0", "client fe80::1%eth0 is in fe80::/10 of allow"},
		{"{allow_file: allowed.txt}", "10.0.0.1", "client 10.0.0.1 is in allow_file"}, {"{allow_file: allowed.txt}", "2001:db8::1", "client 2001:db8::1 is in allow_file"}, {"{allow_file: allowed.txt}", "11.0.0.1", "403: client 11.0.0.1 is in no network of allow"}, {"{allow_file: allowed.txt}", "", "clients on a Unix socket are in allow"},
		{"{allow: 11.0.0.0/8, allow_file: allowed.txt}", "11.0.0.1", "client 11.0.0.1 is in 11.0.0.0/8 of allow"}, {"{allow: 11.0.0.0/8, allow_file: allowed.txt}", "10.0.0.1", "client 10.0.0.1 is in allow_file"},
		{"{deny_file: denied.txt}", "10.6.0.1", "403: client 10.6.0.1 is in deny_file"}, {"{deny_file: denied.txt}", "10.7.0.1", "client 10.7.0.1 is not in deny"}, {"{deny_file: denied.txt}", "", unknown}, {"{deny_file: empty.txt}", "10.6.0.1", "client 10.6.0.1 is not in deny"},
		{"{deny: 10.7.0.0/16, deny_file: denied.txt}", "10.7.0.1", "403: client 10.7.0.1 is in 10.7.0.0/16 of deny"}, {"{allow_file: allowed.txt, deny_file: denied.txt}", "10.6.0.1", "403: client 10.6.0.1 is in deny_file"},
	} {
		chain := built(t, c.section, files...)
		o := policytest.Ask(chain, policytest.Request("GET / HTTP/1.1", c.client))
		got := o.Cause
		if o.Status == 200 {
			got = strings.TrimPrefix(strings.Join(policytest.Explanations(chain, policytest.Request("GET / HTTP/1.1", c.client)), "\n"), "ip passed: ")
		} else if got = fmt.Sprint(o.Status, ": ", got); o.Code != "ip_denied" || o.By != "ip" {
			t.Errorf("%s: refused by %s, with %s", c.section, o.By, o.Code)
		}
		if got != c.want {
			t.Errorf("%s of %q: %s, want %s", c.section, c.client, got, c.want)
		}
	}
}

// TestSections: what is refused of a section, and what is doubted.
func TestSections(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{"empty": "# nobody\n\n", "wrong": "10.0.0.0/8\n\nhost.example\n", "unix": "unix", "one": "10.0.0.0/8"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const like = ` is not a network, expected one like 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7`
	for section, want := range map[string]string{
		"{}": "ip has neither allow nor deny, expected at least one of them, or allow_file or deny_file", "{allow: []}": "allow is empty, expected at least one network", "{deny: []}": "deny is empty, expected at least one network",
		"{allow: [10.0.0.0/8, x]}": `allow "x"` + like + `, or "unix" for clients on a Unix socket`, "{deny: x}": `deny "x"` + like, "{deny: unix}": `"unix" is for allow: clients whose address isn't known are refused unless it stands there`, "{allow: unix}": "", "{deny: '::1'}": "",
		"{allow_file: gone}": `allow_file "gone" can't be used: `, "{deny_file: gone}": `deny_file "gone" can't be used: `, "{allow_file: empty}": `allow_file "empty" has no network, expected at least one, a line each`, "{deny_file: empty}": "", "{allow_file: unix}": "",
		"{allow_file: wrong}": `allow_file "wrong" has "host.example" in line 3, which is not a network, expected one like 10.0.0.0/8`, "{deny_file: wrong}": `deny_file "wrong" has "host.example" in line 3`, "{deny_file: unix}": `deny_file "unix" has "unix" in line 1`, "{deny_file: one}": "",
	} {
		_, err := policytest.Check("[{ip: "+section+"}]", dir)
		if got := fmt.Sprint(err); (err == nil) != (want == "") || !strings.Contains(got, want) || strings.Contains(got, "\n") {
			t.Errorf("%s: %v, want %s", section, err, want)
		}
	}
	for section, want := range map[string]string{
		"{allow: 10.0.0.0/8}": "", "{allow: 10.0.0.1}": "", "{allow: 10.0.0.1/8}": "10.0.0.1/8 is all of 10.0.0.0/8; expected that, or 10.0.0.1 for the one address", "{deny: 10.0.0.1/8}": "10.0.0.1/8 is all of 10.0.0.0/8; expected that, or 10.0.0.1 for the one address",
		"{allow: 10.0.0.0/8, deny: 10.0.0.0/8}": "allow 10.0.0.0/8 lies within 10.0.0.0/8 of deny, so that nobody there is served", "{allow: [11.0.0.0/8, 10.1.0.0/16], deny: [12.0.0.0/8, 10.0.0.0/8]}": "allow 10.1.0.0/16 lies within 10.0.0.0/8 of deny, so that nobody there is served",
		"{allow: 10.0.0.0/8, deny: 10.1.0.0/16}": "", "{allow: 10.0.0.0/8, deny: 11.0.0.0/8}": "", "{allow: unix, deny: 10.0.0.0/8}": "", "{allow: 10.0.0.1, deny: [10.0.0.0/8, 10.0.0.0/9]}": "allow 10.0.0.1 lies within 10.0.0.0/8 of deny, so that nobody there is served",
	} {
		config, err := policytest.Check("[{ip: "+section+"}]", dir)
		if err != nil {
			t.Fatal(err)
		}
		var said []string
		config.WarnOfPolicies(func(_ any, format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) })
		if got := strings.Join(said, "\n"); got != want {
			t.Errorf("%s: %q, want %q", section, got, want)
		}
	}
}

func TestAllocates0(t *testing.T) { //nolint:paralleltest // it counts allocations
	policytest.Allocates0(t, built(t, "{allow: [10.0.0.0/8, '2001:db8::/32'], deny: 10.6.0.0/16}"), policytest.Request("GET / HTTP/1.1", "10.0.0.1"))
}
