//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
)

// caddyModule is what is built where no caddy is installed.
var caddyModule = goModule{program: "caddy", module: "github.com/caddyserver/caddy/v2", version: "v2.11.9", command: "cmd/caddy"}

func findCaddy(ctx context.Context, l *lab) (string, error) {
	binary, err := caddyModule.find(ctx, l)
	if err != nil {
		return "", err
	}
	if version, ok := caddyModule.pinned(binary); ok {
		return "Caddy " + version, nil
	}
	version, err := versionOf(ctx, binary, "version")
	return "Caddy " + version, err
}

func startCaddy(ctx context.Context, l *lab, w *work) (*target, error) {
	if err := w.without(peerCaddy); err != nil {
		return nil, err
	}
	binary, err := caddyModule.find(ctx, l)
	if err != nil {
		return nil, err
	}
	t := &target{}
	if t.address, err = freeAddress(); err != nil {
		return nil, err
	}
	socket := "unix/" + filepath.Join(l.directory, "caddy.sock")
	config, err := json.Marshal(caddyConfig(w, t.address.String(), socket))
	if err != nil {
		return nil, err
	}
	file, err := l.write("caddy.json", string(config))
	if err != nil {
		return nil, err
	}
	cpus, _ := l.cpusFor(w.cores)
	env := append(w.goEnv(), "XDG_CONFIG_HOME="+l.directory, "XDG_DATA_HOME="+l.directory) // it keeps its state there
	if t.process, err = l.startBound(peerCaddy, cpus, env, binary, "run", "--config", file); err != nil {
		return nil, err
	}
	t.reload = func(ctx context.Context) error {
		// Without --force it does nothing where the file is the same.
		command := exec.CommandContext(ctx, binary, "reload", "--force", "--config", file, "--address", socket) //nolint:gosec // G204: the peer
		if output, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("cannot reload Caddy: %w\n%.2000s", err, output)
		}
		return nil
	}
	return t.ready(ctx, w)
}

// object is one of JSON.
type object = map[string]any

// caddyConfig is the gateway's work as Caddy's users write it, with the route
// of a host, or of all, before one that refuses.
func caddyConfig(w *work, address, socket string) object {
	routes := []object{}
	if w.apart {
		for i := range w.hosts {
			routes = append(routes, caddyRoute(w, hostName(i)))
		}
	} else {
		names := make([]string, w.hosts)
		for i := range names {
			names[i] = hostName(i)
		}
		routes = append(routes, caddyRoute(w, names...))
	}
	refusal := object{"handle": []object{{"handler": "static_response", "status_code": 404}}}
	return object{
		"admin": object{"listen": socket},
		"logging": object{"logs": object{
			"default": object{"exclude": []string{"http.log.access"}},
			"access": object{
				"writer":  object{"output": "file", "filename": accessLogFile, "roll": false},
				"encoder": object{"format": "json"}, // with all fields: to filter them costs more than to write them
				"include": []string{"http.log.access"},
			},
		}},
		"apps": object{"http": object{"servers": object{"public": object{
			"listen":              []string{address},
			"automatic_https":     object{"disable": true},
			"protocols":           []string{"h1"},
			"routes":              append(routes, refusal),
			"logs":                object{},
			"read_header_timeout": "10s", "read_timeout": "60s", "write_timeout": "60s", "idle_timeout": "75s",
		}}}},
	}
}

// caddyRoute sets X-Request-Id both ways; X-Forwarded-* are Caddy's own doing,
// and so is the id in the log, once it is used.
func caddyRoute(w *work, hosts ...string) object {
	id := object{"set": object{"X-Request-Id": []string{"{http.request.uuid}"}}}
	return object{
		"match":    []object{{"host": hosts}},
		"terminal": true,
		"handle": []object{
			{"handler": "log_append", "key": "target", "value": "{http.reverse_proxy.upstream.hostport}"},
			{
				"handler":        "reverse_proxy",
				"upstreams":      []object{{"dial": w.upstream.addresses[0].String()}, {"dial": w.upstream.addresses[1].String()}},
				"load_balancing": object{"selection_policy": object{"policy": "round_robin"}},
				"headers":        object{"request": id, "response": id},
				"transport": object{
					"protocol": "http", "dial_timeout": "2s", "response_header_timeout": "60s", "compression": false,
					// Its default of 32 idle connections would close most of those of many clients.
					"keep_alive": object{"idle_timeout": "30s", "max_idle_conns": 0, "max_idle_conns_per_host": 10_000},
				},
				"health_checks": object{"passive": object{"fail_duration": "10s", "max_fails": 1}},
			},
		},
	}
}
