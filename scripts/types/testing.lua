---@meta _

-- What files named *_test.lua have, besides the language and the modules.
-- docs/testing-scripts.md explains it.

---@class keystone.test.Message
---@field headers table<string, string> by names in any case; several fields of a name are joined with ", "
---@field body string
local message = {}

--- The body, decoded; what isn't JSON fails the test.
---@return any value
function message:json() end

--- The first value of a field, or nil.
---@param name string
---@return string?
function message:header(name) end

---@param name string
---@return string[]
function message:headers_all(name) end

--- The value of a cookie: of Set-Cookie in a response, of Cookie in a request.
---@param name string
---@return string?
function message:cookie(name) end

---@class keystone.test.Response: keystone.test.Message
---@field status integer
---@field reason string

--- What a mock has received.
---@class keystone.test.Received: keystone.test.Message
---@field method string
---@field path string
---@field query string
---@field url string path and query
---@field host string

---@class keystone.test.RequestOptions
---@field headers? table<string, string|string[]>
---@field body? string
---@field json? any
---@field form? table<string, string>
---@field query? string|table<string, string|number>
---@field host? string
---@field cookies? table<string, string>
---@field from? string an address in 127.0.0.0/8 to ask from
---@field limit? integer reads only so many bytes of the body
---@field timeout? number seconds; default 5

--- Asks the test's gateway.
---@param method string
---@param path string
---@param options? keystone.test.RequestOptions
---@return keystone.test.Response
function request(method, path, options) end

---@param name string
---@param run fun()
function test(name, run) end

---@param name string
---@param run? fun()
function skip(name, run) end

--- A group of tests.
---@param name string
---@param declare fun()
function describe(name, declare) end

---@param run fun()
function before_each(run) end

---@param run fun()
function after_each(run) end

--- The scripts that are tested; default: the one of this file's name without _test.
---@param ... string
function scripts(...) end

--- Settings of the tenant as in tenants[]; also tenant (its name), env (variables and their values), services (names of mocks, or false), gateway (settings outside of tenants).
---@param settings table<string, any>
function config(settings) end

---@param message? string
function fail(message) end

---@class keystone.test.Answer
---@field status? integer
---@field headers? table<string, string|string[]>
---@field body? string
---@field json? any
---@field form? table<string, string>
---@field chunks? string[]
---@field delay? number seconds
---@field fail? "close"|"partial"|"timeout"

---@alias keystone.test.Answers integer|string|keystone.test.Answer|fun(request: keystone.test.Received): integer|string|keystone.test.Answer

--- A server that tests answer for. Functions are called with a dot.
---@class keystone.test.Mock
---@field url string
---@field name string
---@field requests keystone.test.Received[]
---@field last keystone.test.Received? the last request
---@field respond fun(answer: keystone.test.Answers, ...: keystone.test.Answers)
---@field on fun(method: string, path: string, answer: keystone.test.Answers, ...: keystone.test.Answers)
---@field fail fun(how: "refuse"|"close"|"partial"|"timeout")

--- The tenant's first service; upstream(name) is the one of that name.
---@class keystone.test.Upstream: keystone.test.Mock
---@overload fun(name: string): keystone.test.Mock
upstream = {}

--- Another server, such as one that scripts ask with http.
---@param name string
---@return keystone.test.Mock
function mock(name) end

--- The time that scripts see. It moves only when a test or a sleep moves it.
clock = {}

---@return number seconds since 1970
function clock.now() end

--- Sets the time. Timers of the scripts that are due then run before it returns, once.
---@param time number|string seconds since 1970, or like 2026-01-31T08:00:00Z
function clock.set(time) end

--- Moves the time on. Timers of the scripts that become due meanwhile run before it returns, each at its time.
---@param seconds number
function clock.advance(seconds) end

--- The gateway of this test.
gateway = {}

--- Starts it, which the first request does too.
function gateway.start() end

---@return string
function gateway.url() end

--- The value of a counter or gauge of the scripts' own (keystone.metrics), nil if there is none.
---@param name string
---@param labels? keystone.metrics.Labels
---@return number? value
function gateway.metric(name, labels) end

--- What scripts say to a name that may have a certificate (chi.tls_ask), or nil and why they don't.
---@param name string
---@return boolean? yes
---@return string? problem
function gateway.tls_ask(name) end

--- What scripts have logged.
---@return table[]
function gateway.log() end

--- Errors of scripts.
---@return table[]
function gateway.errors() end

---@class keystone.test.Expectation
---@field equals fun(self: keystone.test.Expectation, value: any): keystone.test.Expectation deeply
---@field is_nil fun(self: keystone.test.Expectation): keystone.test.Expectation
---@field is_true fun(self: keystone.test.Expectation): keystone.test.Expectation
---@field is_false fun(self: keystone.test.Expectation): keystone.test.Expectation
---@field is_empty fun(self: keystone.test.Expectation): keystone.test.Expectation
---@field is_a fun(self: keystone.test.Expectation, type: string): keystone.test.Expectation
---@field contains fun(self: keystone.test.Expectation, part: any): keystone.test.Expectation
---@field matches fun(self: keystone.test.Expectation, pattern: string): keystone.test.Expectation
---@field errors fun(self: keystone.test.Expectation, part?: string): keystone.test.Expectation
---@field at_least fun(self: keystone.test.Expectation, bound: number): keystone.test.Expectation
---@field at_most fun(self: keystone.test.Expectation, bound: number): keystone.test.Expectation
---@field has_length fun(self: keystone.test.Expectation, n: integer): keystone.test.Expectation
---@field not_equals fun(self: keystone.test.Expectation, value: any): keystone.test.Expectation
---@field is_not_nil fun(self: keystone.test.Expectation): keystone.test.Expectation
---@field is_not_true fun(self: keystone.test.Expectation): keystone.test.Expectation
---@field is_not_false fun(self: keystone.test.Expectation): keystone.test.Expectation
---@field is_not_empty fun(self: keystone.test.Expectation): keystone.test.Expectation
---@field is_not_a fun(self: keystone.test.Expectation, type: string): keystone.test.Expectation
---@field not_contains fun(self: keystone.test.Expectation, part: any): keystone.test.Expectation
---@field not_matches fun(self: keystone.test.Expectation, pattern: string): keystone.test.Expectation
---@field not_errors fun(self: keystone.test.Expectation, part?: string): keystone.test.Expectation
---@field not_at_least fun(self: keystone.test.Expectation, bound: number): keystone.test.Expectation
---@field not_at_most fun(self: keystone.test.Expectation, bound: number): keystone.test.Expectation
---@field not_has_length fun(self: keystone.test.Expectation, n: integer): keystone.test.Expectation

---@param value any
---@return keystone.test.Expectation
function expect(value) end
