package tenants_test

import (
	"strings"
	"testing"
)

// TestAuthPoliciesCheck: what is wrong with sections of policies that find out who has
// sent a request.
func TestAuthPoliciesCheck(t *testing.T) {
	t.Parallel()
	hash := "$2y$05$" + strings.Repeat("a", 53)
	key := "a sha256:" + strings.Repeat("0a", 32)
	for _, c := range []struct {
		list string
		want []string // after the place, one for each error
	}{
		{"[{basic_auth: {users: {alice: '" + hash + "'}}}]", nil},
		{"[{basic_auth: {}}]", []string{"basic_auth has no users, expected users or users_file"}},
		{"[{basic_auth: {users: {'a:b': '" + hash + "', '': '" + hash + "', c: secret}}}]", []string{`user "": a name has from 1 to 256 bytes`, `user "a:b": a name has no colon`, `user "c": this is no hash`}},
		{"[{basic_auth: {users: {a: '" + hash + "'}, realm: 'a\"b', field: Host, failures: 0}}]", []string{`realm "a\"b" can't be told to clients`, `field "Host" has a meaning of its own`, `failures 0 is out of range`}},
		{"[{basic_auth: {users: {a: '$6$salt$hash'}}}]", []string{`user "a": sha512crypt isn't supported`}},
		{"[{basic_auth: {user: {a: b}}}]", []string{`unknown key "user" in tenants[0].policies[0].basic_auth; did you mean "users"?`}},
		{"[{api_key: {keys: '" + key + " plan=gold', fields: {X-Plan: plan}}}]", nil},
		{"[{api_key: {}}]", []string{"api_key has no keys, expected keys or keys_file"}},
		{"[{api_key: {keys: ['" + key + "', '" + key + "', 'b sha256:00']}}]", []string{`key 2: there is another key with the id "a"`, `key 3: key "b" has no hash`}},
		{"[{api_key: {keys: '" + key + "', header: '', fields: {Cookie-: 'a b', Connection: id}, query: 'a b'}}]", []string{
			`query "a b" is not a name`, `fields: field "Connection" has a meaning of its own`, `fields: "a b" is nothing that is known of a key`}},
		{"[{api_key: {keys: '" + key + "', header: ''}}]", []string{"api_key is looked for nowhere"}},
		{"[{jwt: {secret: 0123456789abcdef0123456789abcdef}}]", nil},
		{"[{jwt: {}}]", []string{"jwt has no keys, expected jwks_url, jwks_file, key_file or secret"}},
		{"[{jwt: {secret: short}}]", []string{"secret has 5 bytes, expected at least 32 for HS256"}},
		{"[{jwt: {secret: 0123456789abcdef0123456789abcdef, algorithms: [HS512, RS256, none]}}]", []string{
			"secret has 32 bytes, expected at least 64 for HS512", "algorithm RS256 needs jwks_url, jwks_file or key_file", "tenants[0].policies[0].jwt.algorithms[2]: expected one of HS256"}},
		{"[{jwt: {jwks_url: 'ftp://a/b', algorithms: HS256, leeway: 1h}}]", []string{"jwks_url can't be used: it is no URL", "algorithm HS256 needs secret", "leeway 1h is out of range"}},
		{"[{jwt: {jwks_url: 'https://u:p@a/b', require: {scope: []}, fields: {X-User: ''}, header: ''}}]", []string{
			"jwt is looked for nowhere", "jwks_url can't be used: it has a name or a password", `require has claim "scope" without a value`, "fields: X-User has no claim"}},
		{"[{forward_auth: {url: 'http://a:9091/x', copy_fields: [Remote-User, 'X-Auth-Request-*', Authorization], request_fields: Cookie, cache_for: 10s}}]", nil},
		{"[{forward_auth: {}}]", []string{`url "" can't be used: it is no URL`}},
		{"[{forward_auth: {url: 'http://a/', copy_fields: ['X-*', '*', 'X-Auth*', Host], request_fields: [X-Forwarded-For, 'X-*', Connection], client_fields: ['a b']}}]", []string{
			"copy_fields: X-*: stands for too much", `copy_fields: *: `, "copy_fields: X-Auth*: stands for too much", `copy_fields: Host: field "Host" has a meaning`,
			"request_fields: X-Forwarded-For: the policy itself says this", "request_fields: X-*: has no wildcards here", "request_fields: Connection: the policy itself", `client_fields: "a b" is not the name`}},
		{"[{forward_auth: {url: 'http://a/', cache_for: 10s, max_body: 1KB, timeout: 2m, tell: [path, x]}}]", []string{
			"cache_for needs request_fields", "timeout 2m is out of range", "tenants[0].policies[0].forward_auth.tell[1]: expected one of method, host, path, client"}},
		{"[{forward_auth: {url: 'http://a/', cache_for: 10s, request_fields: Cookie, max_body: 2MiB}}]", []string{"max_body 2MiB is out of range", "cache_for and max_body are both set"}},
	} {
		_, err := checkPolicies(c.list)
		got := errorsIn(err)
		missing := []string{}
		for _, want := range c.want {
			found := false
			for _, line := range got {
				found = found || strings.HasPrefix(place.ReplaceAllString(line, ""), want)
			}
			if !found {
				missing = append(missing, want)
			}
		}
		if len(got) != len(c.want) || len(missing) > 0 {
			t.Errorf("%.100s:\ngot %s\nmissing %q", c.list, strings.Join(got, "\n    "), missing)
		}
	}
}
