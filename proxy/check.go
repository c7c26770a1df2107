package proxy

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keystone-gateway/keystone-gateway/lua"
	"github.com/keystone-gateway/keystone-gateway/proxy/files"
	"github.com/keystone-gateway/keystone-gateway/proxy/listener"
	"github.com/keystone-gateway/keystone-gateway/proxy/settings"
	"github.com/keystone-gateway/keystone-gateway/tenants"
)

// Check reports everything that can't work, but for tenants that have the same
// match. dir is the configuration file's directory, which relative paths start
// from.
func (c *Config) Check(dir string, r *settings.Document, written func(field any) bool) {
	c.checkCompatibility(r, written)
	if !validBasePath(c.AdminBasePath) {
		r.Errorf(&c.AdminBasePath, "admin_base_path %q is not a path, expected one like /admin", c.AdminBasePath)
	}
	c.Server.check(r, written)
	c.Admin.check(r, written)
	c.checkListeners(r, written)
	c.checkCertificates(dir, r)
	c.RequestLimits.Check(r, nil)
	c.Compression.Check(r)
	c.ClientTLS.Check(r, written)
	c.AccessLog.check(dir, r)
	c.Log.Check(r)
	if len(c.Tenants) == 0 && c.Compatibility != Keystone1 {
		r.Errorf(&c.Tenants, "no tenants, expected at least one under \"tenants:\"")
	}
	own := func(index int) settings.Reporter { return r.Within(tenantsKey, index) }
	tenants.CheckAll(c.Tenants, r, own)
	c.checkTraffic(own, written)
	c.checkClientTLS(dir, r, own)
	c.checkTickets(dir, r)
	c.checkACME(dir, r, own)
	c.checkStore(r)
	c.checkScriptsStore(own)
	c.checkScripts(dir, r)
	c.checkLoops(own)
	c.checkBindings(own)
}

func validBasePath(p string) bool {
	return len(p) > 1 && p[0] == '/' && !strings.HasSuffix(p, "/") && !strings.ContainsAny(p, "{}*%?#; \\") &&
		filepath.ToSlash(filepath.Clean(p)) == p
}

func (c *ServerConfig) check(r settings.Reporter, written func(any) bool) {
	if c.Port != "" {
		if port, err := strconv.ParseUint(c.Port, 10, 16); err != nil || port == 0 {
			r.Errorf(&c.Port, "port %q is not a port, expected 1 to 65535", c.Port)
		}
		if written(&c.Address) {
			r.Errorf(&c.Port, "both server.port and server.address are set, expected one of them")
		}
	}
	if wrong := listener.WrongAddress(c.Address); wrong != "" {
		r.Errorf(&c.Address, "address %q %s, expected \"host:port\", \"[IPv6]:port\" or \"unix:/path\"%s", c.Address, wrong, listener.MeantAddress(c.Address, "8080"))
	}
	listener.CheckNetworks(r, c.TrustedProxies)
	c.ProxyProtocol.Check(r, written)
	checkIdentityFields(r, c.IdentityFields)
	if c.Via != "" && !validPseudonym(c.Via) {
		r.Errorf(&c.Via, "via %q is not a name, expected letters, digits, '-', '.' and '_'", c.Via)
	}
	if c.DrainNotice.Std() > time.Hour {
		r.Errorf(&c.DrainNotice, "drain_notice %s is out of range, expected 0 to 1h", &c.DrainNotice)
	}
	if u := &c.Upgrade; u.ReadyTimeout == 0 || u.ReadyTimeout.Std() > time.Hour {
		r.Errorf(&u.ReadyTimeout, "ready_timeout %s is out of range, expected more than 0, 1h at most", &u.ReadyTimeout)
	}
	if u := &c.Upgrade; u.DrainTimeout.Std() > 7*24*time.Hour {
		r.Errorf(&u.DrainTimeout, "drain_timeout %s is out of range, expected 0 to 168h", &u.DrainTimeout)
	}
	nonNegative(r, &c.MaxConnections, "max_connections")
	nonNegative(r, &c.MaxConnectionsPerAddress, "max_connections_per_address")
	t := &c.Timeouts
	positive(r, &t.Header, "header")
	positive(r, &t.BodyIdle, "body_idle")
	positive(r, &t.WriteIdle, "write_idle")
	positive(r, &t.Keepalive, "keepalive")
	positive(r, &t.HalfClose, "half_close")
	positive(r, &t.LingerIdle, "linger_idle")
}

func nonNegative(r settings.Reporter, n *int, key string) {
	if *n < 0 {
		r.Errorf(n, "%s %d is negative, expected a number, or 0 for no limit", key, *n)
	}
}

func positive(r settings.Reporter, d *settings.Duration, key string) {
	if d.Std() < 10*time.Millisecond {
		r.Errorf(d, "%s %s is too short, expected at least 10ms", key, d)
	}
}

func validPseudonym(s string) bool {
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") == ""
}

func (c *AdminConfig) check(r settings.Reporter, written func(any) bool) {
	if !c.Enabled {
		return
	}
	if wrong := listener.WrongAddress(c.Address); wrong != "" {
		r.Errorf(&c.Address, "address %q %s, expected \"host:port\" or \"unix:/path\"%s", c.Address, wrong, listener.MeantAddress(c.Address, "9090"))
		return
	}
	if c.Token == "" && !written(&c.Token) && !isLocalAddress(c.Address) {
		r.Errorf(&c.Address, "address %q is not a loopback one, expected admin.token to be set with it", c.Address)
	}
	if c.Token != "" && len(c.Token) < 16 {
		r.Errorf(&c.Token, "token is %d bytes long, expected at least 16", len(c.Token))
	}
}

func isLocalAddress(address string) bool {
	if listener.IsUnix(address) {
		return true
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

func (c *AccessLogConfig) check(dir string, r settings.Reporter) {
	if c.Sample < 0 || c.Sample > 1 {
		r.Errorf(&c.Sample, "sample %v is out of range, expected 0 to 1", c.Sample)
	}
	if c.Output == "" {
		r.Errorf(&c.Output, "output is empty, expected a file, \"stdout\" or \"stderr\"")
		return
	}
	if c.Enabled && c.Output != "stdout" && c.Output != "stderr" {
		if err := checkWritable(inDir(dir, c.Output)); err != nil {
			r.Errorf(&c.Output, "output %q can't be written to, expected a file in a directory that exists: %v", c.Output, err)
		}
	}
}

// checkWritable finds out whether a file can be opened for appending, without
// creating it.
func checkWritable(path string) error {
	file, err := files.OpenLog(filepath.Clean(path), false)
	if errors.Is(err, os.ErrNotExist) {
		_, err = os.Stat(filepath.Dir(path))
		return err
	}
	if err != nil {
		return err
	}
	return file.Close()
}

// inDir makes a path of the configuration file absolute or relative to it.
func inDir(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// checkScripts reports a directory of scripts that isn't there; the scripts
// themselves are loaded when the configuration is put into use.
func (c *Config) checkScripts(dir string, r settings.Reporter) {
	if c.LuaRouting.Enabled && !isDirectory(c.scriptsDir(dir)) && (c.Compatibility != Keystone1 || c.namesScripts()) {
		r.Errorf(&c.LuaRouting.ScriptsDir, "scripts_dir %q can't be opened, expected a directory beside the configuration file or below the working directory", c.LuaRouting.ScriptsDir)
	}
}

// namesScripts reports whether any script is asked for.
func (c *Config) namesScripts() bool {
	return len(c.LuaRouting.GlobalScripts) > 0 || slices.ContainsFunc(c.Tenants, func(t tenants.Config) bool { return len(t.LuaRoutes) > 0 })
}

// scriptsDir is where the scripts are: beside the configuration file, in dir, or
// else below the working directory, where the earlier Keystone Gateway looked.
func (c *Config) scriptsDir(dir string) string {
	beside, below := inDir(dir, c.LuaRouting.ScriptsDir), filepath.Clean(c.LuaRouting.ScriptsDir)
	if !isDirectory(beside) && isDirectory(below) {
		return below
	}
	return beside
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func isDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// syntaxTimeout bounds checkSyntax.
const syntaxTimeout = 5 * time.Second

// checkSyntax reports the scripts that can't be read or compiled: all of them, or
// those of some tenants, by index.
func (c *Config) checkSyntax(dir string, r *settings.Document, only map[int]settings.Errors) {
	scripts := c.scriptsDir(dir)
	if !c.LuaRouting.Enabled || !isDirectory(scripts) {
		return
	}
	cache := lua.NewCache()
	cache.Begin(c.names())
	ctx, cancel := context.WithTimeout(context.Background(), syntaxTimeout)
	defer cancel()
	check := func(owner string, names []string, r settings.Reporter) {
		for i := range names {
			if err := cache.Check(ctx, scripts, owner, names[i]); err != nil {
				r.Errorf(&names[i], "%v", err)
			}
		}
	}
	if only == nil {
		check("", c.LuaRouting.GlobalScripts, r)
	}
	for i := range c.Tenants {
		if _, wanted := only[i]; wanted || only == nil {
			check(c.Tenants[i].Name, c.Tenants[i].LuaRoutes, r.Within(tenantsKey, i))
		}
	}
}

// names are those of the tenants.
func (c *Config) names() []string {
	names := make([]string, len(c.Tenants))
	for i := range c.Tenants {
		names[i] = c.Tenants[i].Name
	}
	return names
}
