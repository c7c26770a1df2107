---@meta keystone.http

--- Requests to other servers, also as the global http. While a script waits, other requests use its VM. Loopback, link-local, metadata, multicast and unspecified addresses are refused unless lua.http.allow names them, and always what the gateway itself listens on.
---@class keystone.http
local http = {}

---@alias keystone.http.Values table<string, string|number|boolean|string[]>

---@class keystone.http.Options
---@field headers? keystone.http.Values
---@field query? keystone.http.Values added to the URL's query
---@field json? any sent as the body, encoded, as application/json
---@field timeout? number seconds for everything until the end of the body; default lua.http.timeout
---@field redirects? integer how many redirects are followed: 0 to 10; default 0: a redirect is the response. Authorization and Cookie don't go to another host
---@field max_response? integer bytes that the body may have; default, and at most, lua.http.max_response
---@field decompress? boolean asks for gzip, and unpacks it; default false

---@class keystone.http.Request: keystone.http.Options
---@field url string
---@field method? string default GET, or POST where there is a body
---@field body? string

---@class keystone.http.Response
---@field status integer
---@field body string
---@field url string of the last request, after redirects
---@field headers table<string, string> found by names in any case; several fields of a name are joined with ", "
---@field headers_all table<string, string[]> the same with lists
---@field error nil nil in a response: results of http.all that failed have a message here
local response = {}

--- Returns the body, decoded as json.decode does, or nil and a message.
---@return any value
---@return string? message
function response:json() end

---@class keystone.http.Failure
---@field error string

--- Makes a request. Returns nil and a message if there is no complete response; a status such as 500 is a response. Wrong options are raised.
---@param options keystone.http.Request
---@return keystone.http.Response? response
---@return string? message
function http.request(options) end

---@param url string
---@param options? keystone.http.Options
---@return keystone.http.Response? response
---@return string? message
function http.get(url, options) end

---@param url string
---@param options? keystone.http.Options
---@return keystone.http.Response? response
---@return string? message
function http.head(url, options) end

---@param url string
---@param options? keystone.http.Options
---@return keystone.http.Response? response
---@return string? message
function http.delete(url, options) end

---@param url string
---@param body? string
---@param options? keystone.http.Options
---@return keystone.http.Response? response
---@return string? message
function http.post(url, body, options) end

---@param url string
---@param body? string
---@param options? keystone.http.Options
---@return keystone.http.Response? response
---@return string? message
function http.put(url, body, options) end

---@param url string
---@param body? string
---@param options? keystone.http.Options
---@return keystone.http.Response? response
---@return string? message
function http.patch(url, body, options) end

--- Makes up to 64 requests at once, each the options of http.request or a URL. Results are in the same order; one that failed has only the field error.
---@param requests (keystone.http.Request|string)[]
---@return (keystone.http.Response|keystone.http.Failure)[]
function http.all(requests) end

return http
