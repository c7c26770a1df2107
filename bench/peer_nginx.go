//go:build linux

package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

// nginxBinary is the one that was asked for, or Debian's.
func (l *lab) nginxBinary() (string, error) {
	if l.options.nginx != "" {
		return firstOf(l.options.nginx)
	}
	return firstOf("nginx", "/usr/sbin/nginx")
}

func findNginxPeer(ctx context.Context, l *lab) (string, error) {
	binary, err := l.nginxBinary()
	if err != nil {
		return "", fmt.Errorf("%w; Debian's package is nginx", err)
	}
	return versionOf(ctx, binary, "-v")
}

func findNginxLuaPeer(ctx context.Context, l *lab) (string, error) {
	binary, err := l.nginxBinary()
	if err != nil {
		return "", fmt.Errorf("%w; Debian's package is nginx", err)
	}
	for _, module := range []string{"ndk_http_module.so", "ngx_http_lua_module.so"} {
		if _, err := os.Stat(nginxModules + "/" + module); err != nil {
			return "", fmt.Errorf("%w; Debian's package is libnginx-mod-http-lua", err)
		}
	}
	version, err := versionOf(ctx, binary, "-v")
	return version + " with lua-nginx-module", err
}

func startNginxPeer(ctx context.Context, l *lab, w *work) (*target, error) {
	if err := w.without(peerNginx); err != nil {
		return nil, err
	}
	return l.nginxFor(ctx, w, false)
}

func startNginxLuaPeer(ctx context.Context, l *lab, w *work) (*target, error) {
	return l.nginxFor(ctx, w, true)
}

func (l *lab) nginxFor(ctx context.Context, w *work, lua bool) (*target, error) {
	binary, err := l.nginxBinary()
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	if _, err := l.write("nginx/users", nginxUsers); err != nil {
		return nil, err
	}
	cpus, _ := l.cpusFor(w.cores)
	n, err := l.runNginx(ctx, address, binary, nginxConfig{
		lua: lua, cores: w.cores, cpus: cpus, hosts: strings.ReplaceAll(nginxHosts(w, address), "{dir}", l.directory),
		ready: hostName(w.hosts - 1), path: w.script.path(), secure: w.secure, http2: w.http2,
	})
	if err != nil {
		return nil, err
	}
	return &target{process: n.process, address: address, reload: func(ctx context.Context) error {
		return n.signalReload(ctx, syscall.SIGHUP, w.cores)
	}}, nil
}

// nginxHosts is one server with all names, or a server and a pool for each:
// a pool that is named by a variable would be searched for in a list.
func nginxHosts(w *work, address netip.AddrPort) string {
	location := nginxLocations[w.script]
	text := strings.Builder{}
	if w.policed == guarded {
		text.WriteString(nginxZone)
		location = nginxGuard + location
	}
	if !w.apart {
		text.WriteString(nginxPool("pool", w.upstream.addresses, waitingRequests))
		if location = strings.ReplaceAll(location, "{pool}", "pool"); w.grpc != nil {
			text.WriteString(nginxPool("grpc", *w.grpc, waitingRequests))
			location = "location / { " + location + " } location " + grpcPrefix + " { grpc_pass grpc://grpc; }"
		}
		text.WriteString(nginxServer(nginxListens(address, w), strings.Join(hostNames(w.hosts), "\n"), location))
		return text.String()
	}
	for i := range w.hosts {
		text.WriteString(nginxPool(poolName(i), w.upstream.addresses, 64)) // memory for so many is taken at the start
		text.WriteString(nginxServer(nginxListens(address, w), hostName(i), strings.ReplaceAll(location, "{pool}", poolName(i))))
	}
	return text.String()
}

// signalReload asks a process for a reload, and waits for the workers of the
// new configuration, all of them: one that comes late would be taken for the
// next reload's. Whether they accept yet can't be seen from outside.
func (p *process) signalReload(ctx context.Context, signal syscall.Signal, workers int) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	before := tree(p.pid())
	if err := p.command.Process.Signal(signal); err != nil {
		return fmt.Errorf("cannot ask %s to reload: %w", p.name, err)
	}
	for {
		fresh := slices.DeleteFunc(tree(p.pid()), func(pid int) bool { return slices.Contains(before, pid) })
		if len(fresh) >= workers {
			return nil
		}
		select {
		case <-p.ended:
			return p.failure(fmt.Errorf("it has ended on signal %v", signal))
		case <-ctx.Done():
			return p.failure(fmt.Errorf("no %d new workers after signal %v: %w", workers, signal, ctx.Err()))
		case <-time.After(time.Millisecond):
		}
	}
}
