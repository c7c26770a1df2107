//go:build linux

package main

import (
	"context"
	"fmt"
	"strings"
)

func findGateway(ctx context.Context, l *lab) (string, error) {
	return versionOf(ctx, l.binary, "version")
}

// startGatewayPeer runs the gateway with everything at its default but for
// addresses, logs, and the number of connections to a target, which no other
// peer bounds.
func startGatewayPeer(ctx context.Context, l *lab, w *work) (*target, error) {
	script, ok := gatewayScripts[w.script]
	if !ok && w.script != noScript {
		return nil, fmt.Errorf("BUG: no script of the gateway's for %q", w.script)
	}
	cpus, _ := l.cpusFor(w.cores)
	c := gatewayConfig{
		tenants: gatewayTenants(w), host: hostName(w.hosts - 1), path: w.script.path(),
		cpus: cpus, cores: w.cores, secure: w.secure, http2: w.http2,
	}
	if ok {
		c.scripts = map[string]string{"work.lua": script}
	}
	g, err := l.startGateway(ctx, c)
	if err != nil {
		return nil, err
	}
	return &target{process: g.process, address: g.address, admin: g.admin, reload: g.change}, nil
}

// gatewayTenants is one tenant with all hosts, or one for each.
func gatewayTenants(w *work) string {
	text := strings.Builder{}
	tenant := func(name string, from, to int) {
		fmt.Fprintf(&text, "  - name: %s\n    domains: [%s", name, hostName(from))
		for i := from + 1; i < to; i++ {
			text.WriteString(", " + hostName(i))
		}
		text.WriteString("]\n")
		text.WriteString(gatewayPolicies[w.policed])
		if w.script != noScript {
			text.WriteString("    lua_routes: [work.lua]\n")
		}
		if w.script != scriptAnswerWork {
			fmt.Fprintf(&text, "    connections: {max_per_target: 10000, max_pending: 10000}\n"+
				"    services: [{name: one, url: \"http://%s\"}, {name: two, url: \"http://%s\"}]\n", w.upstream.addresses[0], w.upstream.addresses[1])
		}
	}
	if !w.apart {
		tenant("all", 0, w.hosts)
		if w.grpc != nil {
			fmt.Fprintf(&text, "  - name: grpc\n    path_prefix: %s\n    domains: [%s]\n    services: [{name: one, url: \"grpc://%s\"}, {name: two, url: \"grpc://%s\"}]\n",
				strings.TrimSuffix(grpcPrefix, "/"), strings.Join(hostNames(w.hosts), ", "), w.grpc[0], w.grpc[1])
		}
		return text.String()
	}
	for i := range w.hosts {
		tenant(poolName(i), i, i+1)
	}
	return text.String()
}
