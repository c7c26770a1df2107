package tenants_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

// checkPolicies decodes a list of policies and returns every error.
func checkPolicies(list string, env ...string) (section, error) {
	var s section
	doc := settings.DecodeWith("c.yaml", []byte("tenants:\n- {name: x, path_prefix: /, policies: "+list+", "+good+"}\n"), &s, settings.Variables{
		Env: func(name string) (string, bool) {
			i := slices.Index(env, name)
			if i < 0 {
				return "", false
			}
			return env[i+1], true
		},
		File: func(path string) ([]byte, error) {
			switch path {
			case "/lines":
				return []byte("s3cr3t\nb\n"), nil
			case "/space":
				return []byte("s3cr3t \n"), nil
			case "/crlf":
				return []byte("s3cr3t ${host}\r\n"), nil
			}
			return []byte("s3cr3t ${host}\n"), nil
		},
	})
	tenants.CheckAll(s.Tenants, doc, nil)
	return s, doc.Err()
}

var place = regexp.MustCompile(`^c\.yaml:2:\d+: (tenant "x", policies\[\d+\](\.\w+)?: )?`)

// kinds are the names of all policies.
var kinds = func() string {
	var names []string
	for _, kind := range policy.Kinds(tenants.Policy{}) {
		names = append(names, kind.Name)
	}
	return strings.Join(names, ", ")
}()

func TestPoliciesCheck(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		list string
		want []string // after the place, one for each error
	}{
		{"[{}]", []string{"a policy is missing, expected one of " + kinds + " with its settings"}},
		{"[{ip: }]", []string{"a policy is missing"}},
		{"[ip]", []string{`tenants[0].policies[0]: expected a mapping with the keys ip, user_agent, `}},
		{"{ip: {allow: ['::1']}}", []string{`tenants[0].policies: expected a list, got a mapping; begin each element with "- "`}},
		{"[{ipp: {allow: 10.0.0.0/8}}]", []string{`unknown key "ipp" in tenants[0].policies[0]; did you mean "ip"?`}},
		{"[{ip: {allow: 10.0.0.0/8}, headers: {request: {remove: X}}}]", []string{"ip and headers are in one element of the list, expected each in its own"}},
		{"[{ip: {}}]", []string{"ip has neither allow nor deny"}},
		{"[{ip: {alow: 10.0.0.0/8}}]", []string{`unknown key "alow" in tenants[0].policies[0].ip; did you mean "allow"?`}},
		{"[{ip: {allow: []}}]", []string{"allow is empty, expected at least one network"}},
		{"[{ip: {allow: [10.0.0.0/8, 10.0.0/8, unix, '::ffff:1.2.3.4/90'], deny: [unix, example.com, '']}}]", []string{
			`allow "10.0.0/8" is not a network, expected one like 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7, or "unix"`, `allow "::ffff:1.2.3.4/90" is not a network`,
			`"unix" is for allow`, `deny "example.com" is not a network`, `deny "" is not a network`}},
		{"[{ip: {allow: {}}}]", []string{"tenants[0].policies[0].ip.allow: expected a text or a list, got a mapping"}},
		{"[{headers: {request: {sett: {X-A: b}}}}]", []string{`unknown key "sett" in tenants[0].policies[0].headers.request; did you mean "set"?`}},
		{"[[{ip: {deny: '::1'}}], {ip: {}}]", []string{"tenants[0].policies[0]: expected a mapping with the keys ip, user_agent, ", "ip has neither"}},
		{"[{ip: {allow: [10.0.0.0/33, '10.0.0.0/8, 192.168.0.0/16', '10.0.0.1:80', 'fe80::1%eth0', 'fe80::/129', '[::1]:80', '10.0.0.0/x']}}]", []string{
			`allow "10.0.0.0/33" is not a network, expected one like 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7, or "unix" for clients on a Unix socket; a prefix has at most 32 bits here`,
			`allow "10.0.0.0/8, 192.168.0.0/16" is not a network, expected one like 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7, or "unix" for clients on a Unix socket; write a list`,
			`allow "10.0.0.1:80" is not a network, expected one like 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7, or "unix" for clients on a Unix socket; write it without the port`,
			`allow "fe80::1%eth0" is not a network, expected one like 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7, or "unix" for clients on a Unix socket; write it without the zone, fe80::1`,
			`allow "fe80::/129" is not a network, expected one like 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7, or "unix" for clients on a Unix socket; a prefix has at most 128 bits here`,
			`allow "[::1]:80" is not a network, expected one like 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7, or "unix" for clients on a Unix socket; write it without the port`,
			`allow "10.0.0.0/x" is not a network`}},
		{"[{ip: {allow: [2001:db8::/32]}}]", []string{"tenants[0].policies[0].ip.allow[0]: expected a single value, got a mapping; quote a text that has a colon"}},
		{"[{headers: {}}]", []string{"headers changes nothing, expected set, add or remove below request or response"}},
		{"[{headers: {set: {X-A: b}}}]", []string{`unknown key "set" in tenants[0].policies[0].headers; it belongs in tenants[].policies[].headers.request, or tenants[].policies[].headers.response`}},
		{"[{headers: {request: {set: {X-A: b, x_a: c, 'X B': d, '': e, X-N: , X-E: []}, remove: [x-A, 'ö']}}}]", []string{
			`field "x-A" is in remove and in set`, `field "x_a" is set twice, as "X-A" too`, `"X B" is not the name of a field`, `"" is not the name of a field`,
			`field "X-N" has no value`, `field "X-E" has no value`, `"ö" is not the name of a field`}},
		{"[{headers: {request: {add: {X-A: \"a\\r\\nX-B: c\"}}}}]", []string{"tenants[0].policies[0].headers.request.add.X-A[0]: a field's value has the control character 0x0D, expected none: a value is one line"}},
		{"[{headers: {request: {add: {X-A: ' a'}}}}]", []string{"tenants[0].policies[0].headers.request.add.X-A[0]: a field's value begins or ends with white space"}},
		{"[{headers: {request: {add: {X-A: '${file:/lines}'}}}}]", []string{"tenants[0].policies[0].headers.request.add.X-A[0]: a field's value has the control character 0x0A, expected none: a value is one line"}},
		{"[{headers: {request: {add: {X-A: '${file:/space}'}}}}]", []string{"tenants[0].policies[0].headers.request.add.X-A[0]: a field's value begins or ends with white space"}},
		{"[{headers: {request: {add: {X-A: " + strings.Repeat("a", 8193) + "}}}}]", []string{"tenants[0].policies[0].headers.request.add.X-A[0]: a field's value of 8193 bytes is too long, expected at most 8192"}},
		{"[{headers: {request: {add: {X-A: '" + strings.Repeat("${host}", 33) + "'}}}}]", []string{"tenants[0].policies[0].headers.request.add.X-A[0]: a field's value of 8415 bytes is too long, expected at most 8192"}},
		{"[{headers: {response: {set: {X-A: ['" + strings.Repeat("${host}", 32) + "', '" + strings.Repeat("${request_id}${tenant}", 42) + "', '${host}']}}}}]", []string{"3 lines of 16488 bytes are too many, expected at most 100 of 16384"}},
		{"[{headers: {request: {add: {X-A: '${hosts}'}}}}]", []string{`tenants[0].policies[0].headers.request.add.X-A[0]: unknown variable "${hosts}": the environment has none of this name; did you mean ${host}?`}},
		{"[{headers: {request: {add: {X-A: '${host:-x}'}}}}]", []string{"tenants[0].policies[0].headers.request.add.X-A[0]: ${host:-x} takes no default, expected ${host}"}},
		{"[{headers: {request: {add: {X-A: '${NONE}'}}}}]", []string{"tenants[0].policies[0].headers.request.add.X-A[0]: environment variable NONE is not set: expected a value, or a default as in ${NONE:-default}; what is known of each request: ${client_address}, ${host}, ${request_id}, ${tenant}"}},
		{"[{headers: {request: {add: {X-A: '${host'}}}}]", []string{"tenants[0].policies[0].headers.request.add.X-A[0]: unfinished ${"}},
		{"[" + strings.Repeat("{ip: {deny: '::1'}}, ", 65) + "]", []string{"65 policies are too many, expected at most 64"}},
	} {
		_, err := checkPolicies(c.list)
		got := errorsIn(err)
		if err != nil && strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s tells a secret: %v", c.list, err)
		}
		ok := len(got) == len(c.want)
		for i := range c.want {
			ok = ok && strings.HasPrefix(place.ReplaceAllString(got[i], ""), c.want[i])
		}
		if !ok {
			t.Errorf("%.100s:\ngot      %s\nexpected %s", c.list, strings.Join(got, "\n         "), strings.Join(c.want, "\n         "))
		}
	}
}

func errorsIn(err error) (list []string) {
	if err == nil {
		return nil
	}
	return strings.Split(err.Error(), "\n")
}

// TestHeadersRefuseOwnFields: what frames a message, or is the gateway's own, is no
// policy's, in whatever spelling.
func TestHeadersRefuseOwnFields(t *testing.T) {
	t.Parallel()
	both := []string{"Content-Length", "content_length", "Transfer-Encoding", "TRANSFER_ENCODING", "Connection", "Keep-Alive", "TE", "Trailer", "Upgrade",
		"Proxy-Connection", "Proxy_Authorization", "Proxy", "HTTP2-Settings", "Via", "X-Request-Id", "x_request_id", "X-Gateway-Error"}
	for section, names := range map[string][]string{
		"request":  append([]string{"Host", "hOST", "X-Forwarded-For", "X_Forwarded_For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded", "Expect", "X-Gateway-Hops"}, both...),
		"response": append([]string{"Date"}, both...),
	} {
		for _, name := range names {
			for _, edit := range []string{"set: {" + name + ": x}", "add: {" + name + ": x}", "remove: " + name} {
				if _, err := checkPolicies("[{headers: {" + section + ": {" + edit + "}}}]"); err == nil || !strings.Contains(err.Error(), "can't be changed here: ") {
					t.Errorf("%s: %s: got %v", section, edit, err)
				}
			}
		}
	}
	for section, names := range map[string][]string{
		"request":  {"Cookie", "Authorization", "Accept-Encoding", "X-Real-IP", "X-Forwarded-Prefix", "Date", "Content-Type", "Hosts"},
		"response": {"Set-Cookie", "Server", "Host", "Vary", "Content-Type", "Expect", "Updates"},
	} {
		for _, name := range names {
			if _, err := checkPolicies("[{headers: {" + section + ": {set: {" + name + ": x}}}}]"); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestTemplatesAndInputs: what is given by the environment or a file is a text,
// whatever it holds, and no value can bring a variable with it.
func TestTemplatesAndInputs(t *testing.T) {
	t.Parallel()
	for written, want := range map[string]string{ // as it is shown
		"'${host}'":                    "${host}",
		"'$${host}'":                   "$${host}",
		"'$$${host}'":                  "$$${host}",
		"'${A}'":                       "$${host} $",
		"'${A}{host}'":                 "$${host} $${host}",
		"'x${A}${tenant}'":             "x$${host} $${tenant}", // shown so; see below
		"'${tenant:-}${A}'":            "",
		"'$host {host} $ {tenant}'":    "$host {host} $ {tenant}",
		"'${B:-dflt} ${host}${host}x'": "dflt ${host}${host}x",
		"${file:/key}":                 "***",
	} {
		s, err := checkPolicies("[{headers: {request: {set: {X-A: "+strings.Replace(written, "${file:/key}", "'${file:/key}'", 1)+"}}}}]", "A", "${host} $", "host", "of the environment")
		if (want == "") != (err != nil) {
			t.Errorf("%s: got %v", written, err)
		}
		if want == "" {
			continue
		}
		shown, err := json.Marshal(settings.Effective(s.Tenants[0].Policies[0].Headers.Request.Set))
		if err != nil {
			t.Fatal(err)
		}
		if want != "***" && string(shown) != `{"X-A":["`+want+`"]}` {
			t.Errorf("%s is shown as %s, want %s", written, shown, want)
		}
		all, err := json.Marshal(settings.Effective(&s.Tenants[0]))
		if err != nil || strings.Contains(string(all), "s3cr3t") {
			t.Errorf("%s: a secret is shown: %s %v", written, all, err)
		}
	}
	s, err := checkPolicies("[{headers: {request: {set: {X-A: 'x${A}${tenant}', X-B: '${file:/key}${host}', X-C: '${file:/crlf}'}}}}]", "A", "${host} $")
	if err != nil {
		t.Fatal(err)
	}
	r := policy.Request{Host: []byte("h"), Tenant: "t"}
	for name, want := range map[string]string{"X-A": "x${host} $t", "X-B": "s3cr3t ${host}h", "X-C": "s3cr3t ${host}"} {
		if got := string((*s.Tenants[0].Policies[0].Headers.Request.Set[name])[0].Value(&r)); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}
