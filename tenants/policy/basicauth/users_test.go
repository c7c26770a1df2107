package basicauth

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

// TestHashes: which texts are hashes, to the bounds of what one comparison may cost.
func TestHashes(t *testing.T) {
	t.Parallel()
	raw := base64.RawStdEncoding.EncodeToString
	argon := func(parameters string, salt, sum int) string {
		return "$argon2id$v=19$" + parameters + "$" + raw(make([]byte, salt)) + "$" + raw(make([]byte, sum))
	}
	rest := strings.Repeat("a", 53)
	const none, form, parameters, salts = "this is no hash that can be used", "this begins like argon2id and isn't", "argon2id with the parameters", "argon2id without salt and hash"
	for text, want := range map[string]string{
		"$2y$10$" + rest: "", "$2a$04$" + rest: "", "$2b$14$" + rest: "", "$2y$03$" + rest: "bcrypt of cost 3 is out of range, expected 4 to 14", "$2y$15$" + rest: "bcrypt of cost 15 is out of range", "$2c$10$" + rest: "this begins like bcrypt and isn't", "$2y$1$" + rest: "this begins like bcrypt", "$2y$xx$" + rest: "this begins like bcrypt",
		"$2y$10$" + rest[1:]: "this begins like bcrypt", "$2y$10$" + rest[1:] + "!": "this begins like bcrypt", "$2x$10$" + rest: "this is what a faulty bcrypt has made", "plain": none, "": none, "$apr1$x": "MD5 (apr1", "{SHA}x": "SHA-1 without salt", "$argon2i$x": "argon2i isn't supported",
		argon("m=8,t=1,p=1", 8, 16): "", argon("m=65536,t=4,p=16", 64, 64): "", argon("m=26214,t=10,p=1", 8, 16): "", argon("m=128,t=1,p=16", 16, 32): "",
		argon("m=7,t=1,p=1", 8, 16): "is out of range, expected m from 8 times p to 65536", argon("m=65537,t=1,p=1", 8, 16): "is out of range", argon("m=65536,t=5,p=1", 8, 16): "is out of range", argon("m=26215,t=10,p=1", 8, 16): "is out of range", argon("m=8,t=0,p=1", 8, 16): "is out of range", argon("m=8,t=11,p=1", 8, 16): "is out of range", argon("m=8,t=1,p=0", 8, 16): "is out of range", argon("m=1000,t=1,p=17", 8, 16): "is out of range", argon("m=127,t=1,p=16", 8, 16): "is out of range",
		argon("m=8,t=1", 8, 16): parameters, argon("t=1,m=8,p=1", 8, 16): parameters, argon("m=x,t=1,p=1", 8, 16): parameters, argon("m=0x8,t=1,p=1", 8, 16): parameters, argon("m=8,t=1,p=1,x=1", 8, 16): parameters, argon("m=4294967296,t=1,p=1", 8, 16): parameters, argon("m=4294967295,t=1,p=1", 8, 16): "is out of range",
		argon("m=8,t=1,p=1", 7, 16): salts, argon("m=8,t=1,p=1", 65, 16): salts, argon("m=8,t=1,p=1", 8, 15): salts, argon("m=8,t=1,p=1", 8, 65): salts, argon("m=8,t=1,p=1", 8, 16) + "!": salts, "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAA!$" + raw(make([]byte, 16)): salts, "$argon2id$v=18$m=8,t=1,p=1$x$y": form, "$argon2id$v=19$m=8,t=1,p=1$x": form, "$argon2id$v=19$m=8,t=1,p=1$x$y$z": form,
	} {
		h, err := parseHash(text)
		if got := fmt.Sprint(err); (err == nil) != (want == "") || want != "" && !strings.HasPrefix(got, want) && !strings.Contains(got, " with ") || want != "" && !strings.Contains(got, want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
		if err == nil && h.large() != strings.HasPrefix(text, "$argon2id$") {
			t.Errorf("%s is large: %v", text, h.large())
		}
	}
}

// TestUsers: what a file of users may have.
func TestUsers(t *testing.T) {
	t.Parallel()
	hashed := "$2y$10$" + strings.Repeat("a", 53)
	of := func(n int) string { return strings.Repeat("u", n) }
	for text, want := range map[string]string{
		"ada:" + hashed: "ada", "# users\n\nada:" + hashed + "\r\n  \nbob:" + hashed + ":a comment \n": "ada bob", "": "it has no user, expected name:hash on each line", "# nobody\n": "it has no user", "ada": "line 1 has no colon, expected name:hash", "\n\nada": "line 3 has no colon",
		"ada:" + hashed + "\n\nada:" + hashed: `user "ada" is in line 1 and in line 3, expected once`, ":" + hashed: `user "" in line 1: a name has from 1 to`, of(policy.MaxValue) + ":" + hashed: of(policy.MaxValue), of(policy.MaxValue+1) + ":" + hashed: fmt.Sprintf("a name has from 1 to %d bytes, and this has %d", policy.MaxValue, policy.MaxValue+1),
		" ada:" + hashed: "a name has no control characters, and no space at its ends", "a\x01b:" + hashed: "a name has no control characters", "ada:plain": `user "ada" in line 1: this is no hash that can be used`, "ada:" + hashed + " \t\r\n": "ada",
	} {
		users, err := parseUsers([]byte(text))
		var names []string
		for i := range users {
			names = append(names, string(users[i].Value("user")))
			if users[i].Value("other") != nil {
				t.Error("a user has another value")
			}
		}
		got := strings.Join(names, " ")
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) || err == nil && got != want {
			t.Errorf("%.100q: %.200q, want %.200q", text, got, want)
		}
	}
	for name, want := range map[string]string{"a:b": "a name has no colon", ":": "a name has no colon", "a b": "", "é": ""} {
		if err := checkName(name); (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("%q: %v, want %q", name, err, want)
		}
	}
}
