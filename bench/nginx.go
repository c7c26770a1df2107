//go:build linux

package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
)

// nginxModules is where Debian's packages put modules.
const nginxModules = "/usr/lib/nginx/modules"

// nginx is a running one.
type nginx struct {
	*process
	address netip.AddrPort
}

// nginxTemplate does what the gateway does by default: request id both ways,
// forwarded fields, kept connections on both sides, bodies that stream through
// 64 KiB, the gateway's limits and time-outs, a JSON access log with as much in
// a line.
const nginxTemplate = `
{modules}
daemon off;
{user}
worker_processes {workers};
pid {dir}/nginx.pid;
error_log stderr warn;
events { worker_connections {connections}; }
http {
    client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3;
    uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
    server_names_hash_max_size 65536; server_names_hash_bucket_size 128;
    keepalive_requests 1000000000; keepalive_timeout 75s;
    client_header_timeout 10s; client_body_timeout 30s; send_timeout 30s;
    client_max_body_size 10m; client_body_buffer_size 64k;
    default_type text/plain;
    log_format json escape=json '{"time":"$time_iso8601","request_id":"$request_id","tenant":"shop","target":"$upstream_addr","method":"$request_method","host":"$host","path":"$uri","status":$status,"bytes_in":$request_length,"bytes_out":$body_bytes_sent,"duration":$request_time,"upstream_header":"$upstream_header_time","connect":"$upstream_connect_time","peer":"$remote_addr","client":"$remote_addr"}';
    access_log {log} json buffer=64k flush=1s;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $host;
    proxy_set_header X-Request-Id $request_id;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Host $host;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_connect_timeout 2s; proxy_send_timeout 60s; proxy_read_timeout 60s;
    proxy_request_buffering off; proxy_buffers 8 8k; proxy_max_temp_file_size 0;
    add_header X-Request-Id $request_id;
    grpc_set_header Host $host;
    grpc_set_header X-Request-Id $request_id;
    grpc_set_header X-Forwarded-For $remote_addr;
    grpc_set_header X-Forwarded-Host $host;
    grpc_set_header X-Forwarded-Proto $scheme;
    grpc_connect_timeout 2s; grpc_send_timeout 60s; grpc_read_timeout 60s;
    {lua}
    {tls}
    server {
        listen {address} default_server backlog=4096{reuseport};
        {secure}
        return 404;
    }
    {hosts}
}
`

// nginxConfig is what differs between its uses.
type nginxConfig struct {
	lua   bool
	cores int
	cpus  []int
	hosts string // its pools and servers; see nginxPool and nginxServer
	ready string // the host that answers when it runs
	path  string // the path for that

	secure *secured       // where TLS is spoken besides; nil is nowhere
	http2  netip.AddrPort // where HTTP/2 is spoken besides; not valid is nowhere
}

// nginxPool is a pool of both targets that keeps connections.
func nginxPool(name string, addresses [2]netip.AddrPort, keep int) string {
	return fmt.Sprintf("upstream %s { server %s; server %s; keepalive %d; keepalive_requests 1000000000; keepalive_timeout 30s; }\n",
		name, addresses[0], addresses[1], keep)
}

// nginxServer does what location says for all names.
func nginxServer(listens, names, location string) string {
	if !strings.Contains(location, "location ") {
		location = "location / { " + location + " }"
	}
	return fmt.Sprintf("server { %s server_name %s; %s }\n", listens, names, location)
}

// nginxListens is where all servers are.
func nginxListens(address netip.AddrPort, w *work) string {
	s := w.secure
	if w.http2.IsValid() {
		return fmt.Sprintf("listen %s; listen %s http2;", address, w.http2)
	}
	if s == nil {
		return fmt.Sprintf("listen %s;", address)
	}
	return fmt.Sprintf("listen %s; listen %s ssl;", address, s.address)
}

// runNginx runs it at an address that hosts has in it already.
func (l *lab) runNginx(ctx context.Context, address netip.AddrPort, binary string, c nginxConfig) (*nginx, error) {
	n := &nginx{address: address}
	user, modules, lua, reuse := "", "", "", ""
	if os.Getuid() == 0 {
		user = "user root;"
	}
	if c.lua {
		modules = "load_module " + nginxModules + "/ndk_http_module.so;\nload_module " + nginxModules + "/ngx_http_lua_module.so;"
		lua = `lua_package_path "/usr/share/lua/5.1/?.lua;;";`
	}
	if c.cores > 1 {
		reuse = " reuseport" // else most connections can end up at one worker
	}
	secure, certificate := "", ""
	if s := c.secure; s != nil {
		secure = fmt.Sprintf("listen %s ssl default_server backlog=4096%s;", s.address, reuse)
		certificate = fmt.Sprintf("ssl_certificate %s; ssl_certificate_key %s; ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:tls:10m;", s.cert, s.key)
	}
	if c.http2.IsValid() {
		secure = fmt.Sprintf("listen %s http2 default_server backlog=4096%s;", c.http2, reuse)
	}
	file, err := l.write("nginx/nginx.conf", strings.NewReplacer(
		"{modules}", modules, "{user}", user, "{workers}", fmt.Sprint(c.cores), "{dir}", l.directory+"/nginx", "{log}", accessLogFile,
		"{connections}", fmt.Sprint(min(l.files, 20_000)), "{lua}", lua, "{address}", address.String(), "{reuseport}", reuse, "{hosts}", c.hosts, "{secure}", secure, "{tls}", certificate,
	).Replace(nginxTemplate))
	if err != nil {
		return nil, err
	}
	if n.process, err = l.startBound("nginx", c.cpus, nil, binary, "-p", l.directory+"/nginx", "-c", file, "-e", "stderr"); err != nil {
		return nil, err
	}
	return n, n.answers(ctx, address, c.ready, c.path, startPatience)
}
