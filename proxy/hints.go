package proxy

import (
	"slices"
	"strings"

	"github.com/keystone-gateway/keystone-gateway/proxy/spelling"
)

// hint says where what people look for under other names, most of them other
// proxies', is done here.
type hint struct {
	// sections that it is for; none is where one would look for anything: the
	// top level, a tenant, a service, server.
	sections []string
	keys     []string
	words    string
}

var (
	anywhere = []string{"", "tenants[]", "tenants[].policies[]", "tenants[].services[]", "server", "tls"}
	inTenant = []string{"tenants[]", "tenants[].services[]"}
	atTop    = []string{"", "server"}
)

// hints are looked through in this order. What is written in docs/ is named as
// file and heading, which a test looks up.
var hints = []hint{
	// TLS with targets.
	{[]string{"tenants[].services[]"}, []string{"server_name", "sni", "tls_server_name", "insecure", "insecure_skip_verify", "skip_verify", "tls_skip_verify", "verify", "ssl_verify", "ca", "ca_file", "ca_cert", "ca_certs", "root_ca", "client_cert", "client_certificate", "cert", "cert_file", "key_file", "certificate", "ssl", "mtls"},
		"tls of a service says how TLS is spoken with it, where its url begins with https://: tls: {ca_file: ca.pem, server_name: app.internal}"},
	{[]string{"tenants[]"}, []string{"insecure", "insecure_skip_verify", "skip_verify", "tls_skip_verify", "verify", "ssl_verify", "ca", "ca_file", "ca_cert", "ca_certs", "root_ca", "client_cert", "client_certificate", "mtls", "upstream_tls", "backend_tls", "backend_protocol", "transport_socket", "proxy_ssl_verify", "proxy_ssl_name", "proxy_ssl_trusted_certificate", "proxy_ssl_certificate", "proxy_ssl_server_name"},
		"target_tls says how TLS is spoken with the tenant's targets, and tls of a service with that one: target_tls: {ca_file: ca.pem}"},
	{[]string{"tenants[]"}, []string{"tls"},
		"tls: auto orders certificates for the tenant's domains, and target_tls says how TLS is spoken with its targets: target_tls: {ca_file: ca.pem}"},

	{[]string{"tenants[].services[].tls", "tenants[].target_tls"}, []string{"ca", "cas", "ca_cert", "ca_certs", "ca_certificate", "ca_bundle", "root_ca", "root_cas", "cacert", "trusted_ca", "trusted_certificate"},
		"ca_file names the authorities' certificates: ca_file: ca.pem"},
	{[]string{"tenants[].services[].tls", "tenants[].target_tls"}, []string{"insecure", "skip_verify", "verify", "no_verify", "ssl_verify", "tls_skip_verify", "tls_insecure_skip_verify", "insecure_skip_tls_verify"},
		"insecure_skip_verify: true takes any certificate, for a test"},
	{[]string{"tenants[].services[].tls", "tenants[].target_tls"}, []string{"sni", "name", "host", "hostname", "servername", "tls_server_name", "subject_alt_name"},
		"server_name is the name that the certificate must be for: server_name: app.internal"},
	{[]string{"tenants[].services[].tls", "tenants[].target_tls"}, []string{"cert", "cert_file", "key", "key_file", "certificate", "client_cert", "client_key", "cert_path", "key_path", "certfile", "keyfile"},
		"client_certificate is what the gateway shows the target: client_certificate: {cert_file: gateway.pem, key_file: key.pem}"},
	{[]string{"tenants[].services[].tls", "tenants[].target_tls"}, []string{"enabled", "enable"}, "TLS is spoken where a url begins with https://"},

	{[]string{"admin"}, []string{"port", "host", "ip", "listen", "bind", "addr", "address_port"}, `admin.address says where the admin API listens: admin: {address: "127.0.0.1:9090"}`},
	{[]string{"server"}, []string{"host", "hostname", "ip", "interface"}, `server.address says where the gateway listens, host and port: server: {address: "0.0.0.0:8080"}; hosts of applications belong to tenants`},
	{[]string{"tenants[].services[]", "tenants[]"}, []string{"send_proxy", "send_proxy_v2", "proxy_protocol", "proxyprotocol", "proxy_protocol_version"},
		"proxy_protocol of a service tells that target of the client: services: [{url: \"http://10.0.0.7:8080\", proxy_protocol: v2}]; server.proxy_protocol is about clients: docs/listeners.md#proxy-protocol"},
	// Targets. What a tenant's key would be about others stands below.
	{[]string{"tenants[].services[]"}, []string{"port", "host", "hostname", "address", "addr", "ip", "uri", "scheme", "protocol", "socket", "server", "target", "backend", "upstream", "origin", "endpoint", "destination", "to", "dial", "proxy_pass", "forward", "service"},
		`url has scheme, host and port: url: "http://10.0.0.7:8080"`},

	// What a script does.
	{nil, []string{"rate_limit", "rate_limits", "rate_limiting", "ratelimit", "rate", "limit_req", "throttle", "quota", "local_ratelimit"},
		"the policy rate_limit bounds how many requests come: policies: [{rate_limit: {rate: 10/s, by: client}}]: docs/policies.md#rate_limit"},
	{nil, []string{"concurrency", "limit_conn", "in_flight_req", "inflightreq", "max_in_flight", "concurrent_requests"},
		"the policy concurrency bounds how many requests are in progress: policies: [{concurrency: {max: 10, by: client}}]: docs/policies.md#concurrency"},
	{nil, []string{"cors", "cors_policy", "access_control", "allow_origin"},
		"the policy cors says which origins' scripts may read: policies: [{cors: {origins: ['https://app.example.com']}}]: docs/policies.md#cors"},
	{nil, []string{"csrf", "csrf_protection", "xsrf"}, "the policy csrf refuses requests of other sites: policies: [{csrf: {}}]: docs/policies.md#csrf"},
	{nil, []string{"security_headers", "secure_headers", "hsts", "sts_seconds", "csp", "content_security_policy", "frame_deny"},
		"the policy security_headers protects a site's users: policies: [{security_headers: {}}]: docs/policies.md#security_headers"},
	{nil, []string{"maintenance", "maintenance_mode"}, "the policy maintenance answers in an application's place: policies: [{maintenance: {text: Back soon}}]: docs/policies.md#maintenance"},
	{nil, []string{"error_page", "error_pages", "errors", "handle_errors", "errorfile", "custom_errors"},
		"the policy errors words the gateway's own: policies: [{errors: {problem: true}}]: docs/policies.md#errors"},
	{nil, []string{"user_agent", "user_agents", "useragent", "http_user_agent", "bots"}, "the policy user_agent refuses programs: policies: [{user_agent: {deny: '*bot*'}}]: docs/policies.md#user_agent"},
	{nil, []string{"referer", "referrer", "referers", "valid_referers", "hotlink"}, "the policy referer refuses what other sites show: policies: [{referer: {allow: [example.com]}}]: docs/policies.md#referer"},
	{[]string{"tenants[]"}, []string{"redirect", "redirects", "redir", "redirect_to_https", "force_https", "force_ssl", "ssl_redirect", "https_redirect", "redirect_scheme", "redirect_regex"},
		"the policy redirect leads elsewhere: policies: [{redirect: {https: true, www: remove}}]: docs/policies.md#redirect; routes do by paths: docs/routes.md#redirect"},
	{nil, []string{"jwt", "jwt_auth", "jwt_authn", "jwks", "jwks_url", "oidc", "oauth", "oauth2"}, "the policy jwt checks tokens: policies: [{jwt: {jwks_url: \"https://id.example.com/jwks\", audience: api}}]: docs/policies.md#jwt"},
	{nil, []string{"basic_auth", "basicauth", "auth_basic", "auth_basic_user_file", "users", "htpasswd"}, "the policy basic_auth asks for passwords: policies: [{basic_auth: {users_file: users}}]: docs/policies.md#basic_auth"},
	{nil, []string{"api_key", "api_keys", "key_auth"}, "the policy api_key checks keys: policies: [{api_key: {keys_file: keys}}]: docs/policies.md#api_key"},
	{nil, []string{"auth", "authentication", "authorization", "auth_request", "forward_auth", "ext_authz"},
		"policies decide who may pass: basic_auth, api_key, jwt and forward_auth: docs/policies.md#forward_auth"},
	{nil, []string{"redirect", "redirects", "redir", "return", "rewrite", "rewrites", "url_rewrite", "replace_path", "path_rewrite"},
		"routes redirect and rewrite: routes: [{path: \"/old/*\", redirect: {to: \"/new/{*}\"}}]: docs/routes.md"},
	{nil, []string{"header", "headers", "add_header", "set_header", "proxy_set_header", "header_up", "header_down", "request_headers", "response_headers", "request_headers_to_add", "response_headers_to_add", "http_request", "http_response"},
		"the policy headers sets, adds and removes fields: policies: [{headers: {response: {set: {X-Frame-Options: DENY}}}}]: docs/policies.md#headers"},
	{nil, []string{"respond", "response"},
		"a route answers in the place of a target: routes: [{path: /health, respond: {body: ok}}]: docs/routes.md#respond"},
	{nil, []string{"canary", "ab_test", "split", "split_clients", "traffic_split", "weighted"},
		"a route shares its requests between pools: routes: [{split: {to: {blue: 95, green: 5}, by: client}}]: docs/upstreams.md#split-canaries-blue-and-green"},
	{nil, []string{"mirror", "mirroring", "shadow", "request_mirror_policies"},
		"a route mirrors its requests to a pool: routes: [{mirror: {pool: shadow, share: 10%}}]: docs/upstreams.md#mirroring"},
	{nil, []string{"plugin", "plugins", "middleware", "middlewares", "filter", "filters", "http_filters", "handler", "handlers", "handle", "policy", "module", "modules", "chain"},
		"policies of a tenant are what is built in: docs/policies.md; other middleware is Lua, in files that lua_routes names: docs/lua.md#middleware-groups-and-mounts"},
	{nil, []string{"allow", "deny", "allowlist", "denylist", "whitelist", "blacklist", "ip_allow", "ip_deny", "ip_whitelist", "ip_allowlist", "ip_filter", "acl", "geo", "geoip"},
		"the policy ip refuses clients by their address: policies: [{ip: {allow: [10.0.0.0/8]}}]: docs/policies.md#ip"},
	{nil, []string{"script", "scripts", "lua_script", "lua_scripts", "lua_file", "lua_files", "lua_route", "lua_code", "access_by_lua_file", "content_by_lua_file"},
		"lua_routes of a tenant names its scripts, which lie in lua_routing.scripts_dir: docs/lua.md#a-first-script"},

	// Where requests go.
	{inTenant, []string{"proxy_pass", "upstream", "upstreams", "backend", "backends", "server", "servers", "target", "targets", "origin", "origins", "endpoint", "endpoints", "lb_endpoints", "load_assignment", "reverse_proxy", "pool", "cluster", "clusters", "forward", "forward_to", "to", "dial", "service", "destination"},
		`services is the list of its targets: services: [{url: "http://10.0.0.7:8080"}]`},
	{atTop, []string{"proxy_pass", "upstream", "upstreams", "backend", "backends", "servers", "targets", "reverse_proxy", "clusters", "services", "pools"},
		`each tenant has its targets: tenants: [{name: shop, domains: [shop.example.com], services: [{url: "http://10.0.0.7:8080"}]}]`},
	{[]string{"tenants[].balance"}, []string{"algorithm", "type", "name", "policy", "method", "strategy", "kind", "mode", "by"},
		"the balancer's name is the key: balance: {hash: {by: client}}"},
	{nil, []string{"balance", "lb", "lb_policy", "load_balancing", "load_balancing_policy", "load_balancer", "loadbalancer", "strategy", "algorithm", "sticky", "ip_hash", "least_conn", "round_robin", "session_affinity"},
		"balance of a tenant or a pool chooses between its targets: balance: least_request: docs/upstreams.md#which-balancer"},
	{nil, []string{"retries", "retry_policy", "attempts", "proxy_next_upstream", "max_fails", "fail_timeout", "try_duration", "lb_try_duration"},
		"retry says when a request is sent to another target: retry: {attempts: 3}: docs/resilience.md#retries"},
	{nil, []string{"circuit_breakers", "outlier_detection", "passive_health", "max_conns"},
		"a target that can't be connected to is taken out at once, outlier_ejection and circuit_breaker take out others, and connections bounds them: docs/resilience.md#ejection"},
	{nil, []string{"health_check", "healthcheck", "health_checks", "healthchecks", "check", "checks", "active_health_check", "option_httpchk", "httpchk", "health_uri", "health_path"},
		"health of a tenant says how its targets are probed: health: {path: /health, interval: 10s}"},
	{nil, []string{"cache", "proxy_cache", "caching", "expires", "ttl"}, "the gateway caches no responses; a script can keep values: docs/lua.md#shared"},
	{nil, []string{"root", "static", "static_files", "file_server", "try_files", "index", "directory", "docroot"},
		"a route serves the files of a directory: routes: [{path: \"/static/*\", files: {root: site}}]: docs/routes.md#files"},

	// Whose a request is.
	{inTenant, []string{"server_name", "server_names", "host", "hosts", "hostname", "hostnames", "domain", "vhost", "virtual_host", "rule", "rules", "match", "matchers", "sni"},
		"domains is the list of its host names, and path_prefix where its paths begin: domains: [shop.example.com]"},
	{atTop, []string{"server_name", "host", "hosts", "hostname", "domain", "domains", "virtual_hosts"},
		"hosts belong to tenants: tenants: [{name: shop, domains: [shop.example.com], …}]"},
	{inTenant, []string{"path", "paths", "location", "locations", "prefix", "uri", "url_prefix", "base_path", "route", "routes", "http_routes"},
		"path_prefix is where its paths begin; routes is what answers which of them: docs/routes.md"},
	{atTop, []string{"route", "routes", "router", "routers", "location", "locations", "ingress", "sites", "site", "vhosts", "apps", "virtual_hosts", "tenant"},
		"what is served is a list: tenants: [{name: shop, domains: [shop.example.com], services: [{url: …}]}]"},
	{inTenant, []string{"strip_path", "stripprefix", "strip_path_prefix", "strip", "rewrite_target"}, "strip_prefix: true cuts path_prefix off"},
	{inTenant, []string{"pass_host_header", "passhostheader", "proxy_set_host", "host_header", "host_rewrite", "change_origin"},
		"preserve_host says whether targets get the client's Host"},

	// The listener.
	{nil, []string{"listen", "listener", "listeners", "bind", "binds", "addr", "entrypoint", "entry_points", "entrypoints", "frontend", "frontends", "http_port", "https_port", "ports"},
		`server.address says where the gateway listens: server: {address: ":8080"}; for several places: listeners: [{address: ":80"}, {address: ":443", tls: true}]`},
	{[]string{"", "tenants[]"}, []string{"port", "address"}, `server.address says where the gateway listens: server: {address: ":8080"}`},
	{nil, []string{"tls_cert", "tls_key", "tls_cert_file", "tls_key_file", "certificate", "certificates", "cert", "certs", "certfile", "keyfile", "key", "private_key", "crt", "ssl", "ssl_certificate", "ssl_certificate_key", "https", "common_tls_context"},
		"tls is the listener's: tls: {enabled: true, cert_file: cert.pem, key_file: key.pem}; for several names: certificates: {files: [{cert: a.pem, key: a.key}]}"},
	{[]string{"tenants[]"}, []string{"tls", "cert_file", "key_file"}, "tls is the listener's, at the top level of the file: tls: {enabled: true, cert_file: cert.pem, key_file: key.pem}; target_tls is how the tenant's targets are spoken to"},
	{nil, []string{"acme", "letsencrypt", "lets_encrypt", "certresolver", "cert_resolver", "certificates_resolvers", "auto_https", "autocert"},
		"certificates.acme orders certificates for tenants with tls: auto: certificates: {acme: {email: ops@example.com}}: docs/tls.md"},
	{nil, []string{"http2", "h2", "h2c", "http3", "h3", "quic", "alpn", "grpc", "codec_type"}, "protocols of a listener says what clients may speak, the url of a service what is spoken with it, such as h2c:// and grpc://: docs/protocols.md"},
	{inTenant, []string{"grpc_web", "grpcweb", "grpc_web_filter", "enable_grpc_web"}, "grpc of a tenant translates gRPC-Web: grpc: {web: true}; with the policy cors: docs/grpc.md#grpc-web"},
	{nil, []string{"websocket", "websockets", "upgrade", "upgrade_configs", "proxy_http_version"}, "WebSockets and other upgrades need no setting: docs/http.md#upgrades"},
	{nil, []string{"gzip", "gzip_types", "gzip_comp_level", "compress", "encode", "brotli", "zstd", "deflate"},
		"compression is what compresses responses: compression: {enabled: true}"},
	{nil, []string{"client_max_body_size", "max_body", "body_limit", "body_size", "max_request_body", "max_request_body_size", "request_body_limit", "client_body_buffer_size", "buffering"},
		"request_limits.max_body_size bounds request bodies: request_limits: {max_body_size: 10MiB}"},
	{[]string{"request_limits", "tenants[].request_limits"}, []string{"max_body", "body", "body_size", "body_limit", "max_body_bytes", "client_max_body_size", "max_size", "max_request_body_size"},
		"request_limits.max_body_size bounds request bodies: request_limits: {max_body_size: 10MiB}"},
	{nil, []string{"large_client_header_buffers", "max_header_bytes", "max_headers", "header_limit"}, "request_limits.max_header_size bounds the header section"},
	{nil, []string{"real_ip", "set_real_ip_from", "real_ip_header", "trusted_proxy", "trust_proxy", "trust_forward_header", "forwarded_headers", "x_forwarded_for", "xff", "xff_num_trusted_hops"},
		"server.trusted_proxies says whose X-Forwarded-* is believed: docs/http.md#fields"},
	{nil, []string{"proxy_protocol", "accept_proxy", "send_proxy", "proxyprotocol"},
		"server.proxy_protocol says whose PROXY headers are believed: server: {proxy_protocol: {from: [10.0.0.0/8]}}"},
	{nil, []string{"maxconn", "worker_connections", "max_conn", "connection_limit"}, "server.max_connections bounds connections of clients"},
	{nil, []string{"workers", "worker_processes", "threads", "nbthread", "concurrency", "cpus"}, "the gateway uses all processors, or as many as the environment variable GOMAXPROCS says"},
	{nil, []string{"drain", "grace", "grace_period", "graceful_shutdown", "graceful_timeout", "shutdown_timeout", "stop_timeout"},
		"server.drain_timeout is how long requests may take to finish at the end"},

	// Time.
	{inTenant, []string{"timeout", "proxy_read_timeout", "proxy_connect_timeout", "proxy_send_timeout", "connect_timeout", "read_timeout", "write_timeout", "send_timeout", "dial_timeout", "idle_timeout", "request_timeout", "response_timeout", "per_try_timeout", "transport", "servers_transport", "responding_timeouts"},
		"timeouts of a tenant bounds what its targets take: timeouts: {connect: 2s, response_header: 60s, idle: 60s, total: 5m}"},
	{atTop, []string{"timeout", "read_timeout", "write_timeout", "client_timeout", "client_body_timeout", "client_header_timeout", "send_timeout", "read_header_timeout", "idle_timeout", "request_timeout", "keepalive_timeout", "keep_alive", "keepalive"},
		"server.timeouts bounds what clients take, and timeouts of a tenant what its targets take: docs/http.md#time-outs"},
	{[]string{"tenants[].timeouts"}, []string{"read", "response", "header", "headers", "request", "first_byte", "server", "timeout"},
		"the keys are connect, response_header, idle and total: docs/http.md#time-outs"},
	{[]string{"server.timeouts"}, []string{"read", "request", "client", "body", "write", "send", "idle", "timeout", "read_header", "shutdown"},
		"the keys are header, body_idle, write_idle and keepalive among others: docs/http.md#time-outs"},
	{[]string{"tenants[].health"}, []string{"url", "uri", "endpoint", "enabled", "check"}, "health.path is what is probed with GET: health: {path: /health}"},
	{[]string{"tenants[].health"}, []string{"rise", "success_threshold", "healthy_threshold", "passes"}, "health.healthy_after is how many probes in a row must succeed"},
	{[]string{"tenants[].health"}, []string{"fall", "failure_threshold", "unhealthy_threshold", "fails", "retries"}, "health.unhealthy_after is how many probes in a row must fail"},
	{[]string{"tenants[].health"}, []string{"status", "expected_status", "expect", "status_code", "match"}, `health.expect_status is what a healthy target answers: expect_status: "200-299"`},
	{[]string{"tenants[].connections"}, []string{"max", "max_connections", "max_conns", "max_idle", "limit", "pool_size"}, "connections.max_per_target bounds the connections to one target"},
	{[]string{"tenants[].connections"}, []string{"keepalive", "keep_alive", "idle", "keepalive_timeout"}, "connections.idle_timeout is how long an unused one is kept"},

	// What is told.
	{nil, []string{"accesslog", "access_logs", "request_log", "logfile"}, `access_log is one line a request: access_log: {output: /var/log/keystone/access.log}`},
	{[]string{"access_log"}, []string{"file", "path", "filename", "log_file", "destination", "target"}, "access_log.output is the file: access_log: {output: /var/log/keystone/access.log}"},
	{[]string{"log"}, []string{"file", "path", "filename", "output", "destination", "target"}, "the gateway's own log is written to standard error: docs/logs.md"},
	{[]string{"compression", "tenants[].compression"}, []string{"types", "mime_types", "gzip_types", "content_type", "mimetypes", "media_types"}, "content_types is what is compressed: content_types: [text/html, application/json]"},
	{[]string{"tenants[]"}, []string{"access_log", "log", "logs", "logging"}, "access_log and log are for all tenants, at the top level of the file; every line names its tenant: docs/logs.md"},
	{atTop, []string{"logs", "logging", "logger", "error_log", "log_level", "log_format", "loglevel"}, "log is the gateway's own log: log: {level: info, format: json}"},
	{nil, []string{"metrics", "prometheus", "stats", "status", "statsd", "monitoring"}, "metrics need no setting, admin.address serves them: docs/admin.md#get-metrics"},
	{nil, []string{"api", "dashboard", "ui", "admin_address", "admin_port"}, `admin is the section of the admin API: admin: {address: "127.0.0.1:9090"}`},
	{nil, []string{"tracing", "opentelemetry", "otel", "jaeger", "zipkin", "otlp"}, "there is no tracing; X-Request-Id follows a request through logs: docs/logs.md"},
	{nil, []string{"redis", "memcached", "store", "storage", "database", "db"}, "store lets gateways count together: store: {redis: {address: \"127.0.0.1:6379\"}}: docs/fleet.md; scripts share values in memory, without a server: docs/lua.md#shared"},

	// The file.
	{nil, []string{"env", "environment", "vars", "variables"}, "values take environment variables as ${NAME}: and what files hold as ${file:/run/secrets/name}: docs/configuration.md#environment-variables-and-secrets-in-files"},
	{nil, []string{"include", "includes", "import", "imports", "extends"}, "the configuration is one file; anchors and << repeat what is the same: docs/configuration.md#how-values-are-written"},
	{[]string{""}, []string{"http", "https", "stream", "events", "static_resources", "dynamic_resources", "admin_api", "global", "defaults", "providers", "api_version", "kind", "metadata", "spec", "version", "tcp", "udp"},
		"this looks like another program's file: docs/configuration.md shows this one's"},
}

// Hint is settings.Hinter's. A pool is asked about as its tenant is.
func (*Config) Hint(key, section string) string {
	if below, ok := strings.CutPrefix(section, "tenants[].pools."); ok {
		if at := strings.LastIndexByte(below, '.'); at >= 0 {
			section = "tenants[]" + below[at:]
		} else {
			section = "tenants[]"
		}
	}
	for i := range hints {
		sections := hints[i].sections
		if sections == nil {
			sections = anywhere
		}
		if slices.Contains(sections, section) && slices.Contains(hints[i].keys, key) {
			return hints[i].words
		}
	}
	if edits := strings.HasSuffix(section, "].headers.request") || strings.HasSuffix(section, "].headers.response"); edits && spelling.Nearest(key, []string{"set", "add", "remove"}) == "" {
		return "fields stand below set or add with their values, and in the list remove, such as set: {X-Frame-Options: DENY}"
	}
	return ""
}
