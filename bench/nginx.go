//go:build linux

package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"time"
)

// nginxInstall is an nginx that can run Lua.
type nginxInstall struct {
	binary, modules, version string
}

// nginxModules is where Debian's packages put modules.
const nginxModules = "/usr/lib/nginx/modules"

// findNginx says why there is none.
func findNginx(binary string) (*nginxInstall, error) {
	version, err := exec.Command(binary, "-v").CombinedOutput()
	if err != nil {
		return nil, err
	}
	for _, module := range []string{"ndk_http_module.so", "ngx_http_lua_module.so"} {
		if _, err := os.Stat(nginxModules + "/" + module); err != nil {
			return nil, fmt.Errorf("%w; Debian's package is libnginx-mod-http-lua", err)
		}
	}
	text := strings.TrimPrefix(strings.TrimSpace(string(version)), "nginx version: ")
	return &nginxInstall{binary: binary, modules: nginxModules, version: text + " with lua-nginx-module"}, nil
}

// nginx is a running one.
type nginx struct {
	*process
	address netip.AddrPort
}

// nginxTemplate does what the gateway does by default: request id both ways,
// forwarded fields, kept connections on both sides, a JSON access log with as
// much in a line.
const nginxTemplate = `
load_module {modules}/ndk_http_module.so;
load_module {modules}/ngx_http_lua_module.so;
daemon off;
{user}
worker_processes 2;
pid {dir}/nginx.pid;
error_log stderr warn;
events { worker_connections {connections}; }
http {
    client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3;
    uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
    lua_package_path "/usr/share/lua/5.1/?.lua;;";
    keepalive_requests 1000000000;
    keepalive_timeout 300s;
    default_type text/plain;
    log_format json escape=json '{"time":"$time_iso8601","request_id":"$request_id","tenant":"shop","target":"$upstream_addr","method":"$request_method","host":"$host","path":"$uri","status":$status,"bytes_in":$request_length,"bytes_out":$body_bytes_sent,"duration":$request_time,"upstream_header":"$upstream_header_time","connect":"$upstream_connect_time","peer":"$remote_addr","client":"$remote_addr"}';
    access_log {log} json buffer=64k flush=1s;
    upstream pool {
        {servers}
        keepalive {keepalive};
        keepalive_requests 1000000000;
        keepalive_timeout 300s;
    }
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $host;
    proxy_set_header X-Request-Id $request_id;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Host $host;
    proxy_set_header X-Forwarded-Proto $scheme;
    add_header X-Request-Id $request_id;
    server {
        listen {address} backlog=4096;
        server_name shop.example.com;
        location / {
            {location}
        }
    }
}
`

// startNginx runs nginx with two workers; location is what its one location
// does.
func (l *lab) startNginx(ctx context.Context, u *upstream, location string) (*nginx, error) {
	n := &nginx{}
	var err error
	if n.address, err = freeAddress(); err != nil {
		return nil, err
	}
	user, servers := "", ""
	if os.Getuid() == 0 {
		user = "user root;"
	}
	if u != nil {
		for _, address := range u.addresses {
			servers += "server " + address.String() + "; "
		}
	} else {
		servers = "server 127.0.0.1:9;"
	}
	file, err := l.write("nginx/nginx.conf", strings.NewReplacer(
		"{modules}", l.nginx.modules, "{user}", user, "{dir}", l.directory+"/nginx", "{log}", accessLogFile, "{servers}", servers,
		"{connections}", fmt.Sprint(min(l.files, 20_000)), "{keepalive}", fmt.Sprint(waitingRequests),
		"{address}", n.address.String(), "{location}", location,
	).Replace(nginxTemplate))
	if err != nil {
		return nil, err
	}
	if n.process, err = l.start("nginx", nil, l.nginx.binary, "-p", l.directory+"/nginx", "-c", file, "-e", "stderr"); err != nil {
		return nil, err
	}
	return n, n.answers(ctx, n.address, "shop.example.com", "/", 10*time.Second)
}
