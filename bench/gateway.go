//go:build linux

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// adminToken is what the admin API is asked with.
const adminToken = "only-for-benchmarks"

// accessLogFile gets all access logs: the lines are made and written, but no
// disk takes part.
const accessLogFile = "/dev/null"

// gateway is a running Keystone Gateway.
type gateway struct {
	*process
	address, admin netip.AddrPort
	config         string // a file
	changes        int    // of it
}

// gatewayConfig is what differs between scenarios.
type gatewayConfig struct {
	file    string            // of the configuration; "" is config.yaml
	head    string            // sections besides
	tenants string            // the list below "tenants:"
	scripts map[string]string // by file name
	host    string            // to which "/" is answered with 200 when it is ready
	path    string            // instead of "/"
	cpus    []int             // to which it is bound; none are all
	cores   int               // how many threads run Go at once; 0 is 2
	env     []string          // besides GOMAXPROCS
	secure  *secured          // where TLS is spoken besides; nil is nowhere
	http2   netip.AddrPort    // where HTTP/2 is spoken besides; not valid is nowhere
}

// startGateway runs the gateway with everything at its default but for
// addresses and logs.
func (l *lab) startGateway(ctx context.Context, c gatewayConfig) (*gateway, error) {
	g := &gateway{}
	var err error
	if g.address, err = freeAddress(); err != nil {
		return nil, err
	}
	if g.admin, err = freeAddress(); err != nil {
		return nil, err
	}
	scripts := filepath.Join(l.directory, "scripts")
	if err := os.RemoveAll(scripts); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(scripts, 0o750); err != nil { // it must be there even if it is empty
		return nil, err
	}
	for name, text := range c.scripts {
		if _, err := l.write("scripts/"+name, text); err != nil {
			return nil, err
		}
	}
	listens := fmt.Sprintf("server: {address: %q}", g.address)
	if s := c.secure; s != nil {
		listens = fmt.Sprintf("listeners: [{address: %q}, {address: %q, tls: true}]\ntls: {cert_file: %q, key_file: %q}", g.address, s.address, s.cert, s.key)
	}
	if c.http2.IsValid() {
		listens = fmt.Sprintf("listeners: [{address: %q}, {address: %q, protocols: [h2c]}]", g.address, c.http2)
	}
	g.config, err = l.write(cmp.Or(c.file, "config.yaml"), fmt.Sprintf(`
%s
%s
admin: {address: "%s", token: %s}
access_log: {output: %s}
lua_routing: {enabled: true, scripts_dir: scripts}
tenants:
%s`, listens, c.head, g.admin, adminToken, accessLogFile, c.tenants))
	if err != nil {
		return nil, err
	}
	cpus, cores := c.cpus, c.cores
	if len(cpus) == 0 {
		cpus = allowedCPUs()
	}
	if cores == 0 {
		cores = 2
	}
	if g.process, err = l.startBound("the gateway", cpus, append(c.env, fmt.Sprintf("GOMAXPROCS=%d", cores)), l.binary, "run", "-config", g.config); err != nil {
		return nil, err
	}
	path := c.path
	if path == "" {
		path = "/"
	}
	return g, g.answers(ctx, g.address, c.host, path, time.Minute)
}

// change makes a configuration of another text, which is read as a whole, as
// other proxies always do, and has the gateway reload it.
func (g *gateway) change(ctx context.Context) error {
	file, err := os.OpenFile(g.config, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	g.changes++
	_, err = fmt.Fprintf(file, "# Change %d.\n", g.changes)
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	return g.reload(ctx)
}

// reload makes the gateway read its files again.
func (g *gateway) reload(ctx context.Context) error {
	answer, err := do(ctx, "POST", g.admin, "localhost", "/admin/reload")
	if err == nil && answer.status != http.StatusOK {
		err = errors.New(answer.body)
	}
	if err != nil {
		return fmt.Errorf("cannot reload: %w", err)
	}
	return nil
}

// metric reads one of the gateway's own metrics.
func (g *gateway) metric(ctx context.Context, name string) (float64, error) {
	answer, err := get(ctx, g.admin, "localhost", "/metrics")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(answer.body) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("there is no metric %s", name)
}

// profile writes a CPU profile of the next seconds to a file, if profiles are
// asked for; the returned function waits for it.
func (g *gateway) profile(ctx context.Context, l *lab, name string) (wait func() error) {
	if l.options.profiles == "" {
		return func() error { return nil }
	}
	done := make(chan error, 1)
	go func() {
		seconds := max(1, int(l.options.duration.Seconds()))
		done <- g.keepProfile(ctx, l, name, "profile?seconds="+strconv.Itoa(seconds))
	}()
	return func() error { return <-done }
}

// keepProfile writes one of the gateway's profiles, if they are asked for.
func (g *gateway) keepProfile(ctx context.Context, l *lab, name, profile string) error {
	if l.options.profiles == "" {
		return nil
	}
	answer, err := get(ctx, g.admin, "localhost", "/debug/pprof/"+profile)
	if err != nil {
		return err
	}
	if answer.status != http.StatusOK {
		return fmt.Errorf("cannot get a profile: status %d: %s", answer.status, answer.body)
	}
	if err := os.MkdirAll(l.options.profiles, 0o750); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(l.options.profiles, name+".pprof"), []byte(answer.body), 0o600)
}
