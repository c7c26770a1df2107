// Package apikey is the policy that lets clients pass by a key of theirs, of which only
// the hash is known here.
//
//	policies:
//	  - api_key: { keys_file: keys.txt, fields: { X-Consumer: consumer } }
package apikey

import (
	_ "embed" // for About
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

//go:embed config.go
var source string

// Config is the section api_key of a policy.
type Config struct {
	// Keys, each as "ID sha256:HASH name=value …": an id for the log, the SHA-256 of the
	// key as 64 hexadecimal digits, and what is known of who has it, such as
	// "consumer=acme plan=gold"; without a consumer the id is it. Keys have to be random,
	// of 128 bits or more: "openssl rand -hex 32". Default: none.
	Keys []string `yaml:"keys" single:"true" secret:"true"`

	// A file with more keys, one on each line, with comments after "#" at a line's
	// beginning, of at most 16 MiB. It is read again at a reload. Default: none.
	KeysFile string `yaml:"keys_file"`

	// Field of requests that has the key; of Authorization it is what stands behind the
	// scheme. Empty looks at none. Default: X-API-Key.
	Header string `yaml:"header"`

	// Scheme of Authorization, where that is the header. Default: Bearer.
	Scheme string `yaml:"scheme"`

	// Parameter of the query that has the key, too. Default: none, since queries stand in
	// histories and in others' logs.
	Query string `yaml:"query"`

	// Cookie that has the key, too. Default: none.
	Cookie string `yaml:"cookie"`

	// Fields by which scripts and targets get what is known of who has the key, each with
	// the name of that: id, consumer, or another. Clients can't send them: they are
	// removed from their requests in every spelling. Default: none.
	Fields map[string]string `yaml:"fields"`

	// Whether scripts and targets get the key itself. Default: false, and it is taken
	// out of field, query and cookie.
	PassKey bool `yaml:"pass_key"`

	loaded []*key // by the file
}

// SetDefaults fills a fresh section.
func (c *Config) SetDefaults() { c.Header, c.Scheme = "X-API-Key", "Bearer" }

var denied = &policy.Refusal{Status: 401, Code: "api_key_denied", Message: "a valid key is needed"}

// About describes the policy.
func (c *Config) About() policy.About {
	return policy.About{Source: source, Refusals: []*policy.Refusal{denied}}
}

// Check reports what is wrong with the section.
func (c *Config) Check(r settings.Reporter) {
	if len(c.Keys) == 0 && c.KeysFile == "" {
		r.Errorf(c, "api_key has no keys, expected keys or keys_file")
	}
	var seen set
	for i := range c.Keys {
		k, err := parseKey(c.Keys[i])
		if err == nil {
			err = seen.add(k)
		}
		if err != nil {
			r.Errorf(&c.Keys[i], "key %d: %v", i+1, err)
		}
	}
	if c.Header == "" && c.Query == "" && c.Cookie == "" {
		r.Errorf(c, "api_key is looked for nowhere, expected at least one of header, query and cookie")
	}
	if c.Header != "" && !strings.EqualFold(c.Header, authorization) {
		if err := policy.CheckOwned(c.Header); err != nil {
			r.Errorf(&c.Header, "header: %v", err)
		}
	}
	for _, word := range []struct {
		key  string
		at   *string
		need bool
	}{{"scheme", &c.Scheme, true}, {"query", &c.Query, false}, {"cookie", &c.Cookie, false}} {
		if (*word.at != "" || word.need) && !message.IsToken([]byte(*word.at)) {
			r.Errorf(word.at, "%s %.64q is not a name, expected letters, digits, - and _", word.key, *word.at)
		}
	}
	for _, field := range slices.Sorted(maps.Keys(c.Fields)) {
		if err := policy.CheckOwned(field); err != nil {
			r.Errorf(&c.Fields, "fields: %v", err)
		}
		if name := c.Fields[field]; !isName(name) {
			r.Errorf(&c.Fields, "fields: %.64q is nothing that is known of a key, expected id, consumer or another name", name)
		}
	}
}

const authorization = "Authorization"

// Load is policy.Loader's.
func (c *Config) Load(read policy.ReadFile, r settings.Reporter) {
	c.loaded = nil
	if c.KeysFile == "" {
		return
	}
	content, err := read(c.KeysFile, maxFile)
	if err == nil {
		var known set
		for i := range c.Keys {
			if k, err := parseKey(c.Keys[i]); err == nil {
				_ = known.add(k) // Check has told of it
			}
		}
		c.loaded, err = parseKeys(content, &known)
	}
	if err != nil {
		r.Errorf(&c.KeysFile, "keys_file %q can't be used: %v", c.KeysFile, err)
	}
}

// New builds the policy.
func (c *Config) New(policy.Deps) (policy.Policy, error) {
	scheme, challenge := "", "ApiKey"
	if strings.EqualFold(c.Header, authorization) {
		scheme, challenge = c.Scheme, c.Scheme
	}
	g := &guard{keys: map[digest]*key{}, sent: policy.NewCredential(c.Header, scheme, c.Query, c.Cookie), pass: c.PassKey}
	g.challenge.Add([]byte("WWW-Authenticate"), []byte(challenge))
	all := slices.Clone(c.loaded)
	for _, text := range c.Keys {
		k, err := parseKey(text)
		if err != nil {
			return nil, err
		}
		all = append(all, k)
	}
	for _, k := range all {
		g.keys[k.sum] = k
	}
	if len(g.keys) == 0 {
		return nil, errors.New("there are no keys")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Fields)) {
		g.fields = append(g.fields, field{[]byte(name), c.Fields[name]})
	}
	return g, nil
}
