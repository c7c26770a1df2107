---@meta _

-- Keystone Gateway's API for scripts, for editors with the Lua language
-- server (https://luals.github.io). .luarc.json points here; a Go test keeps
-- these files equal to what the gateway registers. docs/lua.md is the
-- reference, with examples.

----------------------------------------------------------------------------
-- Requests

--- A property, also to be called as the earlier Keystone's scripts do: request.path and request:path() are the same.
---@class keystone.Property: string
---@operator call: string

--- The certificate by which a client has proven who it is: its authority has signed it, and the client has its key.
---@class keystone.Certificate
---@field subject string its distinguished name, as RFC 4514 writes it
---@field issuer string that of who has signed it
---@field serial string hexadecimal, lower case
---@field fingerprint string SHA-256 of it, hexadecimal, lower case
---@field not_before integer seconds since 1970
---@field not_after integer seconds since 1970
---@field dns_names string[]
---@field emails string[]
---@field uris string[]
---@field ips string[]

--- A request under way. What a script sets is what the rest of the chain and the target see.
---@class keystone.Request
---@field method keystone.Property
---@field path keystone.Property canonical, with the tenant's path_prefix
---@field url keystone.Property path and query
---@field query keystone.Property without "?"; "" if there is none
---@field host keystone.Property canonical, without the port; header("Host") is what the client sent
---@field scheme keystone.Property "http" or "https"
---@field protocol keystone.Property "HTTP/1.1" or "HTTP/1.0"
---@field remote_addr keystone.Property the client's address, past trusted proxies; "unix" on a Unix socket
---@field client_certificate keystone.Certificate? a copy of what is known of the client's certificate, verified; nil without one
---@field user keystone.Property? who has sent the request, as a policy has found out; nil where none has
---@field id keystone.Property the request's id, as in logs and in X-Request-Id
---@field tenant keystone.Property the tenant's name
---@field route keystone.Property the pattern of the route that answers; "" before routing and where there is none
---@field headers table<string, string> fields by names in any case; can be assigned to and gone through with pairs
---@field body keystone.Property all of the body, read from the client when it is first asked for; beyond lua.max_body the request is answered with 413
---@field params table<string, string> a copy of the route's parameters, decoded
local request = {}

--- Returns the first value of a field, or nil. X-Forwarded-* and Forwarded are there only if the peer is trusted.
---@param name string
---@return string?
function request:header(name) end

--- Returns all values of a field, in order; {} if there is none.
---@param name string
---@return string[]
function request:headers_all(name) end

--- Returns what a policy has found out about who has sent the request, by the policy's name and the value's: "jwt.sub", "api_key.plan"; nil where there is no such value.
---@param name string
---@return string?
function request:identity(name) end

--- Sets a field in place of all of its name; nil removes it. Control characters in the value are an error, as are X-Forwarded-*, Forwarded, Via and X-Request-Id, which the gateway writes. Fields about the connection and the framing are ignored. Host is set_host.
---@param name string
---@param value string|number|nil
function request:set_header(name, value) end

--- Adds a field. See set_header.
---@param name string
---@param value string|number
function request:add_header(name, value) end

--- Removes all fields of a name. See set_header.
---@param name string
function request:remove_header(name) end

--- Returns the first value of a parameter of the query, decoded, or nil.
---@param name string
---@return string?
function request:query_param(name) end

--- Returns the value of a cookie as it was sent, without quotes around it, or nil.
---@param name string
---@return string?
function request:cookie(name) end

--- Returns a parameter of the route, decoded, or nil. "*" is the rest that /* matched. Middleware of groups has them, middleware of the whole tenant not yet: it runs before routing.
---@param name string
---@return string?
function request:param(name) end

--- Replaces the path, before next has sent the request on. Middleware and routes that come later match the new one. A path without a canonical form is an error.
---@param path string
function request:set_path(path) end

--- Replaces the query, with or without "?".
---@param query string
function request:set_query(query) end

--- Replaces the method that is sent on. CONNECT and TRACE are errors.
---@param method string
function request:set_method(method) end

--- Replaces the host that targets see.
---@param host string
function request:set_host(host) end

--- Replaces the body. Set Content-Type yourself.
---@param body string
function request:set_body(body) end

--- Returns the body, decoded as json.decode does, or nil and a message.
---@return any value
---@return string? message
function request:json() end

--- Keeps a value of any type for this request. nil removes it.
---@param key string
---@param value any
function request:set(key, value) end

--- Returns what set has kept, or nil.
---@param key string
---@return any
function request:get(key) end

--- The earlier Keystone's name of set.
---@param key string
---@param value any
function request:set_context(key, value) end

--- The earlier Keystone's name of get.
---@param key string
---@return any
function request:get_context(key) end

--- Makes next use the target of that name, one of tenants[].services[].name; the tenant's name lets the pool choose again. An unknown name is an error.
---@param name string
function request:upstream(name) end

--- Makes next use the pool of that name, one of tenants[].pools, whatever a route of the configuration says; "default" is the tenant's services. An unknown name is an error.
---@param name string
function request:pool(name) end

--- Says what the request belongs to a target by, where the pool's balance is hash, and to a pool, where the route has a split; in the place of what by says there. At most 4 KiB.
---@param text string
function request:balance_key(text) end

----------------------------------------------------------------------------
-- Responses

---@class keystone.Cookie
---@field name string
---@field value? string default ""
---@field path? string default "/"
---@field domain? string
---@field max_age? integer seconds; 0 and less end the cookie
---@field expires? number seconds since 1970
---@field secure? boolean
---@field http_only? boolean
---@field same_site? "Lax"|"Strict"|"None"

--- What the client will get: what scripts make of it, and after next() a target's response.
---@class keystone.Response
---@field status_code integer 200 until it is set; can be assigned to
---@field headers table<string, string> fields by names in any case; can be assigned to and gone through with pairs
---@field body string the body so far. After next() a target's is read whole, at most lua.max_body, beyond which it is an error; can be assigned to
local response = {}

--- Sets the status: 200 to 599.
---@param status integer
function response:status(status) end

--- With one argument: returns the first value of a field, or nil. With two: sets it, in place of all of its name; nil removes it. Set before next(), it replaces the target's. Control characters are an error; fields about the connection and the framing and X-Request-Id are ignored, as is everything once the head has been sent.
---@overload fun(self: keystone.Response, name: string): string?
---@param name string
---@param value string|number|nil
function response:header(name, value) end

--- header with two arguments.
---@param name string
---@param value string|number|nil
function response:set_header(name, value) end

--- Adds a field. Added before next(), it is added to the target's.
---@param name string
---@param value string|number
function response:add_header(name, value) end

--- Removes all fields of a name.
---@param name string
function response:remove_header(name) end

--- Returns all values of a field, in order; {} if there is none.
---@param name string
---@return string[]
function response:headers_all(name) end

--- Adds strings and numbers to the body. Without a Content-Type it is text/plain; charset=utf-8. On a target's response it is an error: see body and set_body.
---@param ... string|number
function response:write(...) end

--- Writes a value as JSON, sets Content-Type, and the status if there is one.
---@param value any
---@param status? integer
function response:json(value, status) end

--- Makes the response a redirect: 302, or one of 301, 303, 307, 308.
---@param url string
---@param code? integer
function response:redirect(url, code) end

--- Adds a Set-Cookie field.
---@param cookie keystone.Cookie
function response:cookie(cookie) end

--- Replaces the body, a target's too; then ETag, Content-Encoding and the like are removed.
---@param body string
function response:set_body(body) end

--- Begins the response and sends what has been written. The body is sent in chunks; status and header are final.
function response:flush() end

----------------------------------------------------------------------------
-- Declarations: only while a script is loaded

---@alias keystone.Handler fun(request: keystone.Request, response: keystone.Response)
---@alias keystone.Middleware fun(request: keystone.Request, response: keystone.Response, next: fun())

--- Declares a middleware: for its whole scope (the tenant, or the group it stands in), or for a path and all below. It runs the rest with next(), once at most; if it doesn't, the request ends with what it has set.
---@overload fun(handler: keystone.Middleware, ...: keystone.Middleware)
---@param pattern string
---@param handler keystone.Middleware
---@param ... keystone.Middleware
function chi_middleware(pattern, handler, ...) end

--- Declares a route. method is one, or "ANY" or "*". Patterns: /users/{id}, /users/{id:[0-9]+}, /files/*.
---@param method string
---@param pattern string
---@param handler keystone.Handler
function chi_route(method, pattern, handler) end

--- Opens a scope while declare runs: its middleware covers what is declared in it. With a prefix, all paths in it begin with that.
---@overload fun(declare: fun())
---@param prefix string
---@param declare fun()
function chi_group(prefix, declare) end

--- chi_group.
---@overload fun(declare: fun())
---@param prefix string
---@param declare fun()
function chi_route_group(prefix, declare) end

--- Declares a route of any method for a path and all below.
---@param pattern string
---@param handler keystone.Handler
function chi_mount(pattern, handler) end

--- Answers where no route matches: of the tenant if it has no services, of a group with a prefix always.
---@param handler keystone.Handler
function chi_not_found(handler) end

--- Answers where routes match the path but not the method.
---@param handler keystone.Handler
function chi_method_not_allowed(handler) end

--- Says whether a name that no domain spells out may have a certificate: true or false, anything else is an error and no yes. For tenants with tls: auto; asked before the first certificate and before each renewal.
---@param ask fun(name: string): boolean
function chi_tls_ask(ask) end

--- What chi.with returns: functions that declare in a scope of its own. Called with a dot.
---@class keystone.Router
---@field get fun(pattern: string, handler: keystone.Handler)
---@field post fun(pattern: string, handler: keystone.Handler)
---@field put fun(pattern: string, handler: keystone.Handler)
---@field patch fun(pattern: string, handler: keystone.Handler)
---@field delete fun(pattern: string, handler: keystone.Handler)
---@field head fun(pattern: string, handler: keystone.Handler)
---@field options fun(pattern: string, handler: keystone.Handler)
---@field method fun(method: string, pattern: string, handler: keystone.Handler)
---@field handle fun(pattern: string, handler: keystone.Handler) any method
---@field mount fun(pattern: string, handler: keystone.Handler)
---@field use fun(...: string|keystone.Middleware)
---@field with fun(...: keystone.Middleware): keystone.Router
---@field route fun(prefix: string, declare: fun())

--- The same in chi's own words. Called with a dot.
---@class keystone.chi
---@field get_head keystone.Middleware for chi.use: HEAD is answered by the route for GET where there is none for HEAD
chi = {}

--- chi_middleware.
---@overload fun(handler: keystone.Middleware, ...: keystone.Middleware)
---@param pattern string
---@param handler keystone.Middleware
---@param ... keystone.Middleware
function chi.use(pattern, handler, ...) end

---@param pattern string
---@param handler keystone.Handler
function chi.get(pattern, handler) end

---@param pattern string
---@param handler keystone.Handler
function chi.post(pattern, handler) end

---@param pattern string
---@param handler keystone.Handler
function chi.put(pattern, handler) end

---@param pattern string
---@param handler keystone.Handler
function chi.patch(pattern, handler) end

---@param pattern string
---@param handler keystone.Handler
function chi.delete(pattern, handler) end

---@param pattern string
---@param handler keystone.Handler
function chi.head(pattern, handler) end

---@param pattern string
---@param handler keystone.Handler
function chi.options(pattern, handler) end

--- chi_route.
---@param method string
---@param pattern string
---@param handler keystone.Handler
function chi.method(method, pattern, handler) end

--- Declares a route of any method.
---@param pattern string
---@param handler keystone.Handler
function chi.handle(pattern, handler) end

--- chi_mount.
---@param pattern string
---@param handler keystone.Handler
function chi.mount(pattern, handler) end

--- chi_group.
---@overload fun(declare: fun())
---@param prefix string
---@param declare fun()
function chi.group(prefix, declare) end

--- chi_group with a prefix.
---@param prefix string
---@param declare fun()
function chi.route(prefix, declare) end

--- Returns functions whose routes go through these middlewares too: chi.with(auth).get("/me", me).
---@param ... keystone.Middleware
---@return keystone.Router
function chi.with(...) end

--- chi_not_found.
---@param handler keystone.Handler
function chi.not_found(handler) end

--- chi_method_not_allowed.
---@param handler keystone.Handler
function chi.method_not_allowed(handler) end

--- chi_tls_ask.
---@param ask fun(name: string): boolean
function chi.tls_ask(ask) end

----------------------------------------------------------------------------
-- Modules that need no require

json = require "keystone.json"
http = require "keystone.http"
shared = require "keystone.shared"
limit = require "keystone.limit"
log = require "keystone.log"

--- Returns an environment variable that lua.env of the tenant names; "" for all others. `check` can't tell: a secret may be missing.
---@param name string
---@return string
function get_env(name) end

----------------------------------------------------------------------------
-- The earlier Keystone's functions. What is missing is "" here, not nil.

---@param request keystone.Request
---@param name string
---@return string
function chi_param(request, name) end

---@param request keystone.Request
---@param key string
---@param value any
function chi_context_set(request, key, value) end

---@param request keystone.Request
---@param key string
---@return any
function chi_context_get(request, key) end

---@param request keystone.Request
---@return string
function request_method(request) end

--- Path and query.
---@param request keystone.Request
---@return string
function request_url(request) end

---@param request keystone.Request
---@return string
function request_body(request) end

---@param request keystone.Request
---@return string
function request_host(request) end

---@param request keystone.Request
---@return string
function request_path(request) end

---@param request keystone.Request
---@return string
function request_query(request) end

--- A table of its own: names as they came, the first value of each.
---@param request keystone.Request
---@return table<string, string>
function request_headers(request) end

---@param request keystone.Request
---@param name string
---@return string
function request_header(request, name) end

---@param response keystone.Response
---@param status integer
function response_status(response, status) end

---@param response keystone.Response
---@param name string
---@param value string|number|nil
function response_header(response, name, value) end

---@param response keystone.Response
---@param ... string|number
function response_write(response, ...) end

--- Returns body, status and fields; "", 0, {} and a message if there is no response. Fields that belong to the connection are left out of what is sent.
---@param url string
---@param headers? table<string, string>
---@return string body
---@return integer status
---@return table<string, string|string[]> headers
---@return string? message
function http_get(url, headers) end

---@param url string
---@param body? string
---@param headers? table<string, string>
---@return string body
---@return integer status
---@return table<string, string|string[]> headers
---@return string? message
function http_post(url, body, headers) end
