package proxy

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants"
	"github.com/keystone-gateway/keystone-gateway/tenants/network"
	"github.com/keystone-gateway/keystone-gateway/upstream"
)

// foreignVariable is how others write a variable in a configuration: $NAME,
// {$NAME}, {env.NAME}, {{ … }}, %NAME%. Here all of these are plain text.
var foreignVariable = regexp.MustCompile(`^(?:\$[A-Z_][A-Z0-9_]*|\{\$[A-Za-z_][A-Za-z0-9_:.-]*\}|\{(?:env|file)\.[^{}]+\}|\{\{[^{}]+\}\}|%[A-Z_][A-Z0-9_]*%)$`)

// longInterval is one of probes that somebody may have meant as milliseconds.
const longInterval = 30 * time.Minute

// noteWarnings finds what the file says that is allowed and seldom meant, of which
// Warnings tells.
func (c *Config) noteWarnings(d *settings.Document) {
	doubt := func(field any, format string, args ...any) {
		line, column := d.Position(field)
		c.warnings = append(c.warnings, fmt.Sprintf("%s:%d:%d: ", c.file, line, column)+fmt.Sprintf(format, args...))
	}
	if c.TLS.CertFile != "" && c.TLS.KeyFile != "" && !c.speaksTLS() && !d.Has(&c.TLS.Enabled) {
		doubt(&c.TLS, "tls has cert_file and key_file, and isn't enabled: the listener speaks HTTP without TLS; expected enabled: true, or false to say that this is meant")
	}
	c.noteCertificateDoubts(doubt)
	c.noteACMEDoubts(doubt)
	text := func(field any, key, value string) {
		if foreignVariable.MatchString(value) {
			doubt(field, "%s is taken as it stands, and no variable: expected ${NAME} for one of the environment, ${file:PATH} for what a file holds", key)
		}
	}
	interval := func(field *settings.Duration, key string) {
		if field.Std() > longInterval && d.Has(field) {
			doubt(field, "%s is %v, so that a target that is down is found late; a number without a unit is seconds: expected one like 5s", key, *field)
		}
	}
	c.warnOfProxyProtocol(doubt)
	c.warnOfClientTLS(doubt)
	c.warnOfSocketFiles(doubt)
	c.warnOfNames(doubt)
	c.warnOfSecrets(doubt)
	text(&c.Admin.Token, "admin.token", c.Admin.Token)
	interval(&c.DefaultHealthInterval, "default_health_interval")
	for i := range c.Tenants {
		t := &c.Tenants[i]
		if tls := &t.TargetTLS; (tls.CAFile != "" || tls.ServerName != "" || tls.ClientCertificate.CertFile != "" || tls.InsecureSkipVerify) && !speaksTLS(t) {
			doubt(tls, "target_tls of tenant %q is for no target: expected a service with a url that begins with https://, h2:// or grpcs://", t.Name)
		}
		if len(c.faults[i]) == 0 {
			t.WarnOfRoutes(doubt)
			t.WarnOfPools(doubt)
			t.WarnOfGRPCWeb(doubt)
			t.WarnOfPolicies(func(field any, format string, args ...any) {
				if !d.Secret(field) { // what a file has given is meant
					doubt(field, format, args...)
				}
			})
		}
		interval(&t.HealthInterval, "health_interval")
		interval(&t.Health.Interval, "health.interval")
		for _, value := range t.Lua.Secrets {
			text(&t.Lua.Secrets, "a value of lua.secrets", value)
		}
		for _, value := range t.Health.Headers {
			text(&t.Health.Headers, "a value of health.headers", value)
		}
	}
}

// warnOfProxyProtocol tells of lists of peers that a listener can't have.
func (c *Config) warnOfProxyProtocol(doubt func(field any, format string, args ...any)) {
	for i := range c.listeners {
		from := &c.listeners[i].ProxyProtocol.From
		if len(c.Listeners) == 0 {
			from = &c.Server.ProxyProtocol.From
		}
		networks, unix := network.ParseSet(*from)
		switch onUnix := listener.IsUnix(c.listeners[i].Address); {
		case len(*from) == 0:
		case onUnix && !unix:
			doubt(from, "proxy_protocol.from has networks alone, and the listener is a Unix socket, whose peers have no address; expected unix in it")
		case !onUnix && networks.Empty():
			doubt(from, "proxy_protocol.from is for peers on a Unix socket, and the listener is none; expected the networks of the load balancers")
		}
	}
}

// openToOthers are the rights to a secret's file that nobody but its owner and group
// should have, and a group only to read it.
const openToOthers = 0o027

// warnOfSecrets tells of secrets that others can read or replace.
func (c *Config) warnOfSecrets(doubt func(field any, format string, args ...any)) {
	path := c.ticketFile(filepath.Dir(c.file))
	if path == "" {
		return
	}
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&openToOthers != 0 {
		doubt(&c.TLS.Tickets.SecretFile, "secret_file has the mode %#o: others of this machine can read or replace it, and with it read clients' sessions and make up new ones; expected 0600, or 0640", info.Mode().Perm())
	}
}

// speaksTLS reports whether a target of the tenant does.
func speaksTLS(t *tenants.Config) bool {
	for _, p := range t.AllPools() {
		for i := range p.Services {
			if address, err := upstream.ParseAddress(p.Services[i].URL); err == nil && address.Secure() {
				return true
			}
		}
	}
	return false
}

// Warnings says what a good configuration asks for in vain.
func (c *Config) Warnings() []string {
	list := slices.Clone(c.warnings)
	for i := range c.Tenants {
		if !c.LuaRouting.Enabled && len(c.Tenants[i].LuaRoutes) > 0 {
			list = append(list, "tenant \""+c.Tenants[i].Name+"\" has scripts, but lua_routing.enabled is false: its requests are answered with 503")
		}
		for _, p := range c.Tenants[i].AllPools() {
			list = append(list, upstream.Warnings(c.Tenants[i].PoolWords(p.Name), p.Services)...)
		}
	}
	for i := range list {
		list[i] = c.redactor.Redact(list[i])
	}
	return list
}

// Warnings says what the configuration in use and its scripts ask for in vain,
// a line each.
func (s *Server) Warnings() []string {
	snap := s.current.Load()
	return append(snap.config.Warnings(), scriptWarnings(snap.config, snap.scripts, nil)...)
}

// scriptWarnings are those of the scripts that are not in known.
func scriptWarnings(c *Config, all, known map[string]*lua.Scripts) []string {
	var found findings
	asked := c.whoIsAsked(all)
	for i := range c.Tenants {
		t := &c.Tenants[i]
		scripts := all[t.Name]
		if scripts == nil || known[t.Name] == scripts {
			continue
		}
		for _, warning := range scripts.Warnings(t.HasDefaultPool()) {
			found.add(place{}, t.Name, warning)
		}
		if useless := c.askedInVain(t, scripts); useless != "" && !asked[scripts.TLSAskAt()] {
			found.add(place{}, t.Name, useless)
		}
	}
	return append(found.lines(), c.askWarnings(all, known)...)
}
