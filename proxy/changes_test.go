package proxy

import (
	"errors"
	"strings"
	"testing"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
	"github.com/keystone-gateway/keystone-gateway/tenants"
)

// made is a configuration with two tenants and two listeners, changed.
func made(change func(*Config)) *Config {
	c := new(Config)
	*c = DefaultConfig()
	for _, name := range []string{"a", "b"} {
		var section tenants.Config
		section.SetDefaults()
		section.Name = name
		section.RequestLimits, section.Compression, section.ClientTLS, section.ClientTimeouts = c.RequestLimits, c.Compression, c.ClientTLS, c.serverTimeouts()
		c.Tenants = append(c.Tenants, section)
	}
	c.listeners = []listener.Config{{Address: "127.0.0.1:1"}, {Address: "127.0.0.1:2", Name: "two"}}
	if change != nil {
		change(c)
	}
	return c
}

// TestChanges: what a reload says that it has changed, in the file's order, and nothing
// of what it hasn't.
func TestChanges(t *testing.T) {
	t.Parallel()
	first, second := new(lua.Scripts), new(lua.Scripts)
	scripts := map[string]*lua.Scripts{"a": first, "b": first}
	base := made(nil)
	for _, c := range []struct {
		name    string
		asked   *Config // nil: another one
		change  func(*Config)
		scripts map[string]*lua.Scripts
		wrong   [2]error
		want    string
	}{
		{"nothing", nil, nil, scripts, [2]error{}, ""},
		{"the same text", base, nil, scripts, [2]error{}, ""},
		{"the same text, other scripts", base, nil, map[string]*lua.Scripts{"a": first, "b": second}, [2]error{}, `scripts of tenant "b" changed`},
		{"the same text, all scripts", base, nil, map[string]*lua.Scripts{"a": second, "b": second}, [2]error{}, `scripts of tenant "a" changed, scripts of tenant "b" changed`},
		{"the same text, which was wrong", base, func(c *Config) { c.Tenants[0].PathPrefix = "/x" }, scripts, [2]error{errors.New("x"), nil}, `tenant "a" changed`},
		{"the same text, which is wrong", base, func(c *Config) { c.Tenants[0].PathPrefix = "/x" }, scripts, [2]error{nil, errors.New("x")}, `tenant "a" changed`},
		{"the same text, taken for the same", base, func(c *Config) { c.Tenants[0].PathPrefix = "/x" }, scripts, [2]error{}, ""},
		{"other scripts", nil, nil, map[string]*lua.Scripts{"a": second, "b": first}, [2]error{}, `scripts of tenant "a" changed`},
		{"a tenant and its scripts", nil, func(c *Config) { c.Tenants[1].PathPrefix = "/x" }, map[string]*lua.Scripts{"a": first, "b": second}, [2]error{}, `tenant "b" changed`},
		{"a new tenant", nil, func(c *Config) { c.Tenants = append(c.Tenants, tenants.Config{Name: "c"}) }, scripts, [2]error{}, `tenant "c" added`},
		{"a tenant less", nil, func(c *Config) { c.Tenants = c.Tenants[1:] }, scripts, [2]error{}, `tenant "a" removed`},
		{"another name", nil, func(c *Config) { c.Tenants[0].Name = "z" }, scripts, [2]error{}, `tenant "z" added, tenant "a" removed`},
		{"another order", nil, func(c *Config) { c.Tenants[0], c.Tenants[1] = c.Tenants[1], c.Tenants[0] }, scripts, [2]error{}, ""},
		{"what all inherit", nil, func(c *Config) {
			c.RequestLimits.MaxURLSize++
			for i := range c.Tenants {
				c.Tenants[i].RequestLimits = c.RequestLimits
			}
		}, scripts, [2]error{}, "settings outside tenants changed"},
		{"TLS that all inherit", nil, func(c *Config) {
			c.ClientTLS.MinVersion = "1.3"
			for i := range c.Tenants {
				c.Tenants[i].ClientTLS = c.ClientTLS
			}
		}, scripts, [2]error{}, "settings outside tenants changed"},
		{"compression that all inherit", nil, func(c *Config) {
			c.Compression.Level = 9
			for i := range c.Tenants {
				c.Tenants[i].Compression = c.Compression
			}
		}, scripts, [2]error{}, "settings outside tenants changed"},
		{"time-outs that all inherit", nil, func(c *Config) {
			c.Server.Timeouts.BodyIdle++
			for i := range c.Tenants {
				c.Tenants[i].ClientTimeouts = c.serverTimeouts()
			}
		}, scripts, [2]error{}, "settings outside tenants changed"},
		{"own TLS", nil, func(c *Config) { c.Tenants[1].ClientTLS.MinVersion = "1.3" }, scripts, [2]error{}, `tenant "b" changed`},
		{"own compression", nil, func(c *Config) { c.Tenants[1].Compression.Level = 9 }, scripts, [2]error{}, `tenant "b" changed`},
		{"own time-outs", nil, func(c *Config) { c.Tenants[1].ClientTimeouts.BodyIdle++ }, scripts, [2]error{}, `tenant "b" changed`},
		{"own limits", nil, func(c *Config) { c.Tenants[1].RequestLimits.MaxURLSize++ }, scripts, [2]error{}, `tenant "b" changed`},
		{"something else", nil, func(c *Config) { c.Server.Via = "x" }, scripts, [2]error{}, "settings outside tenants changed"},
		{"a listener", nil, func(c *Config) { c.listeners[0].Name = "one" }, scripts, [2]error{}, `listener "one" (127.0.0.1:1) changed`},
		{"a listener more", nil, func(c *Config) { c.listeners = append(c.listeners, listener.Config{Address: "127.0.0.1:3"}) }, scripts, [2]error{}, `listener "127.0.0.1:3" added`},
		{"a listener less", nil, func(c *Config) { c.listeners = c.listeners[:1] }, scripts, [2]error{}, `listener "two" (127.0.0.1:2) removed`},
		{"a listener elsewhere", nil, func(c *Config) { c.listeners[0].Address = "127.0.0.1:4" }, scripts, [2]error{}, `listener "127.0.0.1:4" added, listener "127.0.0.1:1" removed`},
		{"all of it", nil, func(c *Config) {
			c.Tenants[0].PathPrefix, c.listeners[0].Name, c.Server.Via = "/x", "one", "x"
		}, scripts, [2]error{}, `tenant "a" changed, listener "one" (127.0.0.1:1) changed, settings outside tenants changed`},
	} {
		asked := c.asked
		if asked == nil {
			asked = made(c.change)
		}
		from := &snapshot{asked: base, config: made(nil), scripts: scripts, wrong: c.wrong[0]}
		to := &snapshot{asked: asked, config: made(c.change), scripts: c.scripts, wrong: c.wrong[1]}
		if got := strings.Join(changes(from, to), ", "); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}
