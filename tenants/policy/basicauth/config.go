// Package basicauth is the policy that lets clients pass by a name and a password
// (RFC 7617).
//
//	policies:
//	  - basic_auth: { users_file: users.htpasswd, realm: Intern }
package basicauth

import (
	_ "embed" // for About
	"fmt"
	"maps"
	"slices"

	"github.com/keystone-gateway/keystone-gateway/proxy/message"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants/policy"
)

//go:embed config.go
var source string

// Config is the section basic_auth of a policy.
type Config struct {
	// Names of users, each with the hash of its password: bcrypt ("$2y$…", as htpasswd
	// -nB makes it) of a cost of at most 14, or argon2id ("$argon2id$v=19$m=19456,t=2,p=1$…")
	// of at most 64 MiB and 10 passes. Default: none.
	Users map[string]string `yaml:"users" secret:"true"`

	// A file with more users, as htpasswd makes it: "name:hash" on each line, with
	// comments after "#" at a line's beginning, of at most 4 MiB. It is read again at a
	// reload. Default: none.
	UsersFile string `yaml:"users_file"`

	// What clients are told that the password is for. Default: Restricted.
	Realm string `yaml:"realm"`

	// Field by which scripts and targets get the user's name. Clients can't send it: it
	// is removed from their requests in every spelling. Empty sends none. Default:
	// X-Auth-User.
	Field string `yaml:"field"`

	// Whether scripts and targets get Authorization, password and all. Default: false.
	PassCredentials bool `yaml:"pass_credentials"`

	// Wrong passwords and unknown names that a client may send in a minute; beyond that
	// its requests get 429, unless their password is known to be right already. A
	// client is an address, or the 64 bits of an IPv6 network. Default: 10.
	Failures int `yaml:"failures" min:"1" max:"1000"`

	// Where failures are counted: redis is the configuration's store, together with all
	// gateways that have it; local is this process, by itself. Default: redis if there is
	// a store, else local.
	Store string `yaml:"store" enum:"redis,local"`

	// What holds while the store is away, or too slow, or has something else under the
	// key: local counts here; open doesn't count; closed refuses all whose password isn't
	// known to be right already. Default: local.
	OnStoreError string `yaml:"on_store_error" enum:"local,open,closed"`

	loaded []user // by the file
}

// SetDefaults fills a fresh section.
func (c *Config) SetDefaults() {
	c.Realm, c.Field, c.Failures, c.OnStoreError = "Restricted", "X-Auth-User", 10, policy.OnErrorLocal
}

// What the policy answers with.
var (
	denied  = &policy.Refusal{Status: 401, Code: "basic_auth_denied", Message: "a name and its password are needed"}
	limited = &policy.Refusal{Status: 429, Code: "basic_auth_limited", Message: "too many wrong passwords"}
	busy    = &policy.Refusal{Status: 503, Code: "basic_auth_busy", Message: "too many passwords are being verified"}
)

// About describes the policy.
func (c *Config) About() policy.About {
	return policy.About{Source: source, Refusals: []*policy.Refusal{denied, limited, busy, policy.StoreUnavailable}}
}

// Check reports what is wrong with the section.
func (c *Config) Check(r settings.Reporter) {
	if len(c.Users) == 0 && c.UsersFile == "" {
		r.Errorf(c, "basic_auth has no users, expected users or users_file")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Users)) {
		if _, err := newUser(name, c.Users[name]); err != nil {
			r.Errorf(&c.Users, "user %.64q: %v", name, err)
		}
	}
	for i := range len(c.Realm) {
		if b := c.Realm[i]; !message.IsTextByte(b) || b == '"' || b == '\\' || b >= 0x80 {
			r.Errorf(&c.Realm, "realm %.64q can't be told to clients, expected printable ASCII without quotes and backslashes", c.Realm)
			break
		}
	}
	if c.Field != "" {
		if err := policy.CheckOwned(c.Field); err != nil {
			r.Errorf(&c.Field, "%v", err)
		}
	}
	if c.Failures < 1 || c.Failures > 1000 {
		r.Errorf(&c.Failures, "failures %d is out of range, expected 1 to 1000", c.Failures)
	}
	policy.CheckStore(r, &c.Store, &c.OnStoreError)
}

// Load is policy.Loader's.
func (c *Config) Load(read policy.ReadFile, r settings.Reporter) {
	c.loaded = nil
	if c.UsersFile == "" {
		return
	}
	content, err := read(c.UsersFile, maxFile)
	if err == nil {
		c.loaded, err = parseUsers(content)
	}
	if err == nil {
		for i := range c.loaded {
			if _, twice := c.Users[string(c.loaded[i].name)]; twice {
				err = fmt.Errorf("it has user %.64q, whom users has too, expected each in one place", c.loaded[i].name)
			}
		}
	}
	if err != nil {
		r.Errorf(&c.UsersFile, "users_file %q can't be used: %v", c.UsersFile, err)
	}
}
